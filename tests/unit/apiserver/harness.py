"""A server on a store in memory, and short ways to ask it things."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from petset.apiserver.app import App
from petset.apiserver.config import Config
from petset.apiserver.kubelet import Connect, no_connect
from petset.base.http import Identity, PeerCertificate, Reply, Request, Response, Stream
from petset.base.ids import Ids
from petset.store.drivers.memory import MemoryStore
from petset.store.types import Store

ADMIN = Identity("kubernetes-admin", ("system:masters", "system:authenticated"))
EPOCH = 1_700_000_000.0


class HandClock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.time = EPOCH

    def now(self) -> float:
        return self.time


@dataclass
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    raw: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


@dataclass
class Ear:
    """The writing side of a watch: lines as they come."""

    chunks: list[bytes] = field(default_factory=list)
    closed: bool = False
    pressure: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    relieved: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, data: bytes) -> None:
        self.chunks.append(data)
        self.heard.set()

    async def drain(self) -> None:
        while self.pressure:
            self.relieved.clear()
            await self.relieved.wait()

    async def wait_closed(self) -> None:
        await asyncio.Event().wait()

    @property
    def events(self) -> list[Any]:
        return [orjson.loads(line) for line in b"".join(self.chunks).splitlines()]

    def names(self) -> list[tuple[str, str]]:
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in self.events]

    async def until(self, count: int) -> list[Any]:
        """Wait until there are `count` events."""
        async with asyncio.timeout(5):
            while len(self.events) < count:
                self.heard.clear()
                await self.heard.wait()
        return self.events


class Server:
    """An App, and requests to it."""

    def __init__(self, app: App, store: Store, clock: HandClock) -> None:
        self.app = app
        self.store = store
        self.clock = clock

    async def reply(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Sequence[tuple[str, str]] = (),
        identity: Identity | None = ADMIN,
        peer: PeerCertificate | None = None,
        **headers: str,
    ) -> Reply:
        path, _, text = path.partition("?")
        split = (part.partition("=") for part in text.split("&") if part)
        pairs = [(name, value) for name, _, value in split]
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        request = Request(
            method, path, [*pairs, *query], named, raw, path, peer=peer, identity=identity
        )
        return await self.app.dispatch(request)

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        reply = await self.reply(method, path, body, **more)
        assert isinstance(reply, Response), reply
        raw = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
        return Answer(reply.status, reply.headers, raw)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.ask("GET", path, **more)

    async def make(self, path: str, body: Any, **more: Any) -> Any:
        answer = await self.ask("POST", path, body, **more)
        assert answer.status == 201, answer.raw
        return answer.body

    async def patch(self, path: str, body: Any, kind: str = "merge", **more: Any) -> Answer:
        media = {
            "merge": "application/merge-patch+json",
            "json": "application/json-patch+json",
            "strategic": "application/strategic-merge-patch+json",
            "apply": "application/apply-patch+yaml",
        }[kind]
        return await self.ask("PATCH", path, body, content_type=media, **more)

    async def apply(self, path: str, body: Any, manager: str = "me", **more: Any) -> Answer:
        """Apply `body` as `manager`; `force=True` takes over what others own."""
        query = [("fieldManager", manager)] if manager else []
        if more.pop("force", False):
            query.append(("force", "true"))
        return await self.patch(path, body, "apply", query=[*query, *more.pop("query", ())], **more)

    @asynccontextmanager
    async def watching(self, path: str, **more: Any) -> AsyncIterator[Ear]:
        reply = await self.reply("GET", path, query=[("watch", "1")], **more)
        assert isinstance(reply, Stream), reply
        ear = Ear()
        task = asyncio.ensure_future(reply.run(ear))
        try:
            yield ear
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is not None:
                raise AssertionError("the watch broke") from task.exception()


@asynccontextmanager
async def serving(
    store: Store | None = None, connect: Connect = no_connect, **config: Any
) -> AsyncIterator[Server]:
    """A started server."""
    clock = HandClock()
    store = store or MemoryStore(clock)
    app = App(store, clock, Ids(7), config=Config(**config), connect=connect)
    await app.start()
    try:
        yield Server(app, store, clock)
    finally:
        await app.close()
        await store.close()


def pod(name: str = "", **more: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name} if name else {}
    meta.update(more.pop("metadata", {}))
    spec = {"containers": [{"name": "c", "image": "nginx"}], **more.pop("spec", {})}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec, **more}


def configmap(name: str = "", data: Any = None, **meta: Any) -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {**named, **meta},
        "data": data or {"a": "1"},
    }


def statefulset(name: str = "web", replicas: int = 2) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
        },
    }


def node(name: str = "n1") -> dict[str, Any]:
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}}


PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
SETS = "/apis/apps/v1/namespaces/default/statefulsets"
SERVICES = "/api/v1/namespaces/default/services"
