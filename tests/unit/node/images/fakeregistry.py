"""A registry in memory, with token authentication, on loopback."""

import base64
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson

from petset.base import edge
from petset.base.http import Reply, Request, Response
from petset.node.images.manifest import ACCEPT
from tests.unit.node.images.layers import Built, digest

TOKEN = "token-of-the-day"


@dataclass
class FakeRegistry:
    """What is in it, how it behaves, and what it was asked."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    scheme: str = ""
    login: str = ""
    status: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    port: int = 0

    def add(self, name: str, image: Built) -> None:
        self.manifests[name] = image.manifest
        self.manifests[image.digest] = image.manifest
        self.blobs |= image.blobs

    def add_index(self, name: str, **images: Built) -> str:
        entries = []
        for architecture, image in images.items():
            self.add(image.digest, image)
            platform = {"os": "linux", "architecture": architecture}
            size = len(image.manifest)
            entries.append({"digest": image.digest, "size": size, "platform": platform})
        kind = "application/vnd.oci.image.index.v1+json"
        index = orjson.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries})
        self.manifests[name] = self.manifests[digest(index)] = index
        return digest(index)

    async def handle(self, request: Request) -> Reply:
        self.asked[request.path] += 1
        if request.path == "/token":
            return self._token(request)
        if self.status:
            return Response(self.status)
        if not self._known(request):
            return self._challenge()
        kind, name = request.path.split("/")[-2:]
        if kind == "manifests" and name in self.manifests:
            raw = self.manifests[name]
            assert all(accepted in request.headers["accept"] for accepted in ACCEPT)
            return Response(200, (("Content-Type", orjson.loads(raw)["mediaType"]),), raw)
        if kind == "blobs" and name in self.blobs:
            return Response(200, (), self.blobs[name])
        return Response(404)

    def _known(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        match self.scheme:
            case "bearer":
                return given == f"Bearer {TOKEN}"
            case "basic":
                return given == f"Basic {self.login}"
            case _:
                return True

    def _challenge(self) -> Response:
        realm = f"http://127.0.0.1:{self.port}/token"
        value = f'Bearer realm="{realm}",service="fake",scope="repository:team/app:pull"'
        if self.scheme == "basic":
            value = 'Basic realm="fake"'
        return Response(401, (("WWW-Authenticate", value),))

    def _token(self, request: Request) -> Response:
        assert request.param("service") == "fake"
        assert request.param("scope") == "repository:team/app:pull"
        if self.login and request.headers.get("authorization") != f"Basic {self.login}":
            return Response(401)
        return Response(200, (), orjson.dumps({"token": TOKEN}))


def login(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@contextlib.asynccontextmanager
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    served = await edge.serve(fake.handle)
    fake.port = served.port
    try:
        yield fake
    finally:
        await served.close(1)
