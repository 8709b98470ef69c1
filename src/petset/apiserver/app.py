"""The server as one function from request to answer, and its background tasks.

Invariant: every failure becomes a Status here, by one table; nothing is acknowledged that the
store did not take.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from petset.api.behaviours import behaviour
from petset.api.errors import StatusError, conflict, expired, internal, timeout
from petset.apiserver import answer, authn, authz, bootstrap, handlers, warnings
from petset.apiserver.call import Backend, Call
from petset.apiserver.config import Config
from petset.apiserver.expire import expire_events
from petset.apiserver.glance import Glance
from petset.apiserver.health import Check, Health
from petset.apiserver.hub import Hub
from petset.apiserver.kubelet import Connect, Kubelet, no_connect
from petset.apiserver.metrics import Metrics
from petset.apiserver.overtime import Overtime
from petset.apiserver.public import Public
from petset.apiserver.route import NotFoundPathError, Route, is_true, resolve
from petset.apiserver.serviceip import SERVICES, ServiceAllocator
from petset.apiserver.soon import Creates
from petset.apiserver.view import View
from petset.base.clock import Clock
from petset.base.http import Headers, Identity, Later, Reply, Request, Response, Upgrade
from petset.base.ids import Ids
from petset.store.types import CompactedError, ConflictError, Store, StoreError, UnavailableError

RESTART_S = 1.0
UNCACHED = ("Cache-Control", "no-cache, private")
READING = frozenset({"GET", "HEAD"})
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Trail:
    """What is noted of a request on its way: for metrics and Warning headers."""

    verb: str = ""
    group: str = ""
    resource: str = ""
    warnings: list[str] = field(default_factory=list)


class App:
    """The API server.

    Args:
        store: opened; stays the caller's to close.
        connect: opens connections to agents (`kubelet.tls_connect`); without it logs, exec and
            port-forward answer that there are no credentials.

    Attributes:

    Use: `await start()`, serve `dispatch` with `base.edge.serve` or in process, `await close()`.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        *,
        config: Config | None = None,
        connect: Connect = no_connect,
    ) -> None:
        self.config = config or Config()
        hub = Hub(store)
        services = ServiceAllocator(self.config.service_cidr, self.config.node_ports, ids.rng)
        self._backend = Backend(
            store, clock, ids, self.config, hub, View(store), services, Kubelet(connect)
        )
        self.metrics = Metrics(store, hub)
        self._health = {name: Health(name) for name in ("healthz", "livez", "readyz")}
        self._public = Public(self.config, clock, self._health, self.metrics)
        self._glance = Glance(store, self.metrics, self._dress).answer
        self._creates = Creates(self._backend, self.metrics, self._dress, failure).answer
        self._audit_prefix = ids.uid()[:24]
        self._audit_count = 0
        self._overtime = Overtime()
        self._ready = self._closing = False
        self._tasks: list[asyncio.Task[None]] = []
        self.add_ready_check("store", lambda: not self._closing)
        self.add_ready_check("bootstrap", lambda: self._ready)

    def add_ready_check(self, name: str, check: Check) -> None:
        """Make /readyz depend on `check` too: a sync or async function that is true when ready."""
        self._health["readyz"].add(name, check)

    async def start(self) -> None:
        """Index what is stored, create the bootstrap objects, start the background tasks."""
        backend = self._backend
        backend.services.rebuild(backend.view.list(SERVICES))
        await bootstrap.make(backend)
        self._ready = True
        ttl_s = self.config.event_ttl_s
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "expire-events": lambda: expire_events(backend.store, backend.clock, ttl_s),
            "bootstrap": lambda: bootstrap.keep(backend),
        }
        self._tasks += [
            asyncio.create_task(self._keep_running(make), name=name) for name, make in work.items()
        ]

    async def close(self) -> None:
        """End watches as if they had timed out, and stop the background tasks."""
        self._closing = True
        self._backend.hub.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def at_once(self, request: Request) -> Response | Later | None:
        """Answer what needs no task, for edges (`base.http.AtOnce`): the same as `dispatch`."""
        if request.method == "GET":
            return self._glance(request)
        return self._creates(request) if request.method == "POST" else None

    async def dispatch(self, request: Request) -> Reply:
        """Answer one request. Never raises but for cancellation."""
        time = asyncio.get_running_loop().time
        started = time()
        trail = Trail(request.method)
        running = self.metrics.reading if request.method in READING else self.metrics.mutating
        running.now += 1
        try:
            reply = await self._serve(request, trail)
        except (StatusError, StoreError, NotFoundPathError) as error:
            reply = answer.negotiated(failure(error), request.headers.get("accept", ""))
        except Exception as error:
            _log.exception("bug: %s %s failed", request.method, request.path)
            self.metrics.bugs += 1
            reply = answer.status_answer(internal(f"{type(error).__name__} (see the server's log)"))
        finally:
            running.now -= 1
        code = 101 if isinstance(reply, Upgrade) else reply.status
        self.metrics.count(trail.verb, trail.group, trail.resource, code, time() - started)
        return self._dressed(reply, trail)

    async def _serve(self, request: Request, trail: Trail) -> Reply:
        identity = authn.identify(request)
        authz.check_path(identity, request.path)
        watch = bool(request.query) and is_true(request.param("watch"))
        route = resolve(request.method, request.path, watch=watch)
        if route is None:
            return await self._public.answer(request)
        assert identity is not None
        trail.verb, trail.group = route.verb, route.resource.group
        trail.resource = route.resource.plural
        authz.check(identity, route)
        handle = handlers.find(route)
        call = self._call(request, identity, route, trail)
        if request.method in READING or route.subresource in handlers.LONG_BELOW:
            return await handle(call)
        try:
            with self._overtime.limit(self._limit_s(request)):
                return await self._change(handle, call)
        except TimeoutError:
            raise timeout("request did not complete within the allotted timeout") from None

    async def _change(self, handle: handlers.Handle, call: Call) -> Reply:
        """The answer of a handler that writes.

        A refusal based on a write that is not yet committed is held back until readers can see that
        write; if its commit fails, there was no reason to refuse.
        """
        try:
            return await handle(call)
        except (StatusError, ConflictError):
            await call.backend.store.settled()
            raise

    def _call(self, request: Request, identity: Identity, route: Route, trail: Trail) -> Call:
        kind = behaviour(route.stored.id)
        return Call(self._backend, request, identity, route, kind, warnings=trail.warnings)

    def _limit_s(self, request: Request) -> float:
        if not request.query:
            return self.config.request_timeout_s
        text = request.param("timeout").removesuffix("s")
        wanted = float(text) if text.isascii() and text.isdigit() else 0.0
        return min(wanted or self.config.request_timeout_s, self.config.request_timeout_s)

    def _dressed(self, reply: Reply, trail: Trail) -> Reply:
        if isinstance(reply, Upgrade):
            return reply
        reply.headers = self._dress(reply.headers)
        if trail.warnings:
            reply.headers = (*reply.headers, *warnings.headers(trail.warnings))
        return reply

    def _dress(self, headers: Headers) -> Headers:
        """Add the headers that every answer has."""
        self._audit_count += 1
        audit = ("Audit-Id", f"{self._audit_prefix}{self._audit_count & 0xFFFFFFFFFFFF:012x}")
        for name, _ in headers:
            if name == "Cache-Control":
                return (*headers, audit)
        return (*headers, audit, UNCACHED)

    async def _keep_running(self, make: Callable[[], Awaitable[None]]) -> None:
        """Run a background task for ever; a bug in it is logged, counted, and it is restarted."""
        while True:
            try:
                await make()
            except Exception:
                _log.exception("bug: a background task of the server failed")
                self.metrics.bugs += 1
            await asyncio.sleep(RESTART_S)


def refusal(status: int, reason: str) -> Response:
    """What the edge answers where it refuses a request itself (too large, too slow, malformed)."""
    word = {400: "BadRequest", 413: "RequestEntityTooLarge", 408: "Timeout"}.get(status, "")
    return answer.status_answer(StatusError(status, word, reason))


def failure(error: Exception) -> Response:
    """The one table from what went wrong to the HTTP answer."""
    match error:
        case StatusError():
            return answer.status_answer(error)
        case NotFoundPathError():
            return Response(404, (("Content-Type", "text/plain"),), b"404 page not found\n")
        case UnavailableError():
            return answer.status_answer(internal(f"the write could not be made durable: {error}"))
        case CompactedError():
            return answer.status_answer(
                expired(f"too old resource version: {error.revision} ({error.oldest})")
            )
        case ConflictError():
            resource, _, rest = error.key.partition("/")
            return answer.status_answer(conflict(resource, rest.partition("/")[2]))
        case _:
            return answer.status_answer(internal(str(error)))
