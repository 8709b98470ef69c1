"""Paths that are no resources: discovery, OpenAPI, version, health, metrics."""

import platform
from collections.abc import Awaitable, Callable, Mapping

from petset.api.errors import method_not_allowed
from petset.apiserver import documents, negotiate
from petset.apiserver.answer import plain
from petset.apiserver.config import Config
from petset.apiserver.health import Health
from petset.apiserver.metrics import CONTENT_TYPE, Metrics
from petset.apiserver.route import NotFoundPathError
from petset.base.clock import Clock
from petset.base.http import Request, Response

Answer = Callable[[Request], Response | Awaitable[Response]]


class Public:
    """Answers for the paths that are no resources."""

    def __init__(
        self, config: Config, clock: Clock, health: Mapping[str, Health], metrics: Metrics
    ) -> None:
        self._config = config
        self._clock = clock
        self._health = health
        self._metrics = metrics
        self._exact: dict[str, Answer] = {
            "/": self._index,
            "/version": self._version,
            "/metrics": self._metrics_text,
            "/api": documents.api_versions,
            "/apis": documents.group_list,
            "/openapi/v2": documents.openapi_v2,
            "/openapi/v3": documents.openapi_index,
        }

    async def answer(self, request: Request) -> Response:
        """Answer `request`. Raises NotFoundPathError, StatusError."""
        path = request.path.rstrip("/") or "/"
        first = path.strip("/").partition("/")[0]
        if first in self._health:
            return await self._health[first].answer(request)
        found = self._exact.get(path) or self._below(path)
        if found is None:
            raise NotFoundPathError
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        reply = found(request)
        return reply if isinstance(reply, Response) else await reply

    def _below(self, path: str) -> Answer | None:
        if path.startswith("/openapi/v3/"):
            return lambda request: documents.openapi_document(request, self._clock.now())
        if path.startswith(("/api/", "/apis/")):
            return documents.group_or_version
        return None

    def _index(self, request: Request) -> Response:
        paths = sorted({*self._exact, *documents.paths(), *(f"/{n}" for n in self._health)} - {"/"})
        return plain({"paths": paths}, _form(request))

    def _version(self, request: Request) -> Response:
        version = self._config.git_version
        major, minor = version.removeprefix("v").split(".")[:2]
        return plain(
            {
                "major": major,
                "minor": minor,
                "gitVersion": version,
                "gitCommit": "",
                "gitTreeState": "clean",
                "buildDate": "1970-01-01T00:00:00Z",
                "goVersion": f"python{platform.python_version()}",
                "compiler": platform.python_implementation().lower(),
                "platform": f"linux/{_machine()}",
            },
            _form(request),
        )

    def _metrics_text(self, request: Request) -> Response:
        del request
        return Response(200, (("Content-Type", CONTENT_TYPE),), self._metrics.render())


def _machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _form(request: Request) -> negotiate.Format:
    return negotiate.choose(request.headers.get("accept", ""), negotiate.OTHER)
