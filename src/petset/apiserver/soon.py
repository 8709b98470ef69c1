"""Fast path for creates: no task per request; the commit's callback sends the answer.

All requests that wait for one commit are answered in a single turn of the event loop; a task for
each would cost more than everything else that the answers take.

Invariant: the answer equals that of `App.dispatch`. Refusals, and requests that need more than is
done here, are left to it before anything has been changed.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from petset.api import deprecated
from petset.api.behaviours import behaviour
from petset.api.errors import StatusError, timeout
from petset.apiserver import answer, authz, body, handlers, negotiate, warnings, write
from petset.apiserver.answer import GZIP_MIN_BYTES, JSON_HEADERS
from petset.apiserver.call import Backend, Call
from petset.apiserver.glance import PATHS_MAX, Dress, plain_reader
from petset.apiserver.metrics import Metrics
from petset.apiserver.route import NotFoundPathError, Route, resolve
from petset.apiserver.serviceip import SERVICES
from petset.apiserver.verbs import create, options
from petset.base.http import Identity, Later, Request, Response
from petset.store.types import Item, StoreError, UnavailableError

_KNOWN = frozenset({"fieldManager", "fieldValidation"})
"""Parameters of a query that change nothing of how a create is answered."""

Failure = Callable[[Exception], Response]
"""The answer that tells what went wrong."""


class Creates:
    """Accepts objects to create. `answer` is a `base.http.AtOnce`."""

    def __init__(self, backend: Backend, metrics: Metrics, dress: Dress, failure: Failure) -> None:
        self.metrics = metrics
        self.dress = dress
        self.failure = failure
        self._backend = backend
        self._waiting: deque[_Create] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def answer(self, request: Request) -> Later | None:
        """An answer that comes with the commit, or None for the ordinary path."""
        identity, route = plain_reader(request), _target(request.path)
        if identity is None or route is None or not _sends_json(request):
            return None
        if request.query and not _KNOWN.issuperset([name for name, _ in request.query]):
            return None
        loop = asyncio.get_running_loop()
        kind = behaviour(route.stored.id)
        call = Call(self._backend, request, identity, route, kind)
        one = _Create(self, call, loop.time())
        try:
            self._hand_in(identity, call, one)
        except (StatusError, StoreError):
            return None
        self.metrics.mutating.now += 1
        self._waiting.append(one)
        if self._timer is None:
            self._timer = loop.call_later(self._backend.config.request_timeout_s, self._expire)
        return one.later

    def _hand_in(self, identity: Identity, call: Call, one: "_Create") -> None:
        authz.check(identity, call.route)
        options.read_write_options(call, "CreateOptions")
        obj = body.read_object(call, call.route.resource)
        write.put_soon(call, obj, one.done)

    def over(self, one: "_Create", code: int) -> None:
        """Called by a create that has been answered."""
        self.metrics.mutating.now -= 1
        route = one.call.route
        took_s = asyncio.get_running_loop().time() - one.started
        resource = route.resource
        self.metrics.count(route.verb, resource.group, resource.plural, code, took_s)
        waiting = self._waiting
        while waiting and waiting[0].is_over:  # commits keep the order, so that none stays long
            waiting.popleft()

    def _expire(self) -> None:
        """Answer those that have waited too long; the timer then waits for the oldest one left."""
        self._timer = None
        loop = asyncio.get_running_loop()
        limit_s = self._backend.config.request_timeout_s
        while self._waiting and self._waiting[0].started + limit_s <= loop.time():
            self._waiting.popleft().expire()
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0].started + limit_s, self._expire)


class _Create:
    """One object on its way into the store.

    Attributes:
        started: loop time.
    """

    __slots__ = ("_creates", "call", "is_over", "later", "started")

    def __init__(self, creates: Creates, call: Call, started: float) -> None:
        self._creates = creates
        self.call = call
        self.started = started
        self.is_over = False
        self.later = Later()

    def done(self, outcome: Item | UnavailableError) -> None:
        """From the store."""
        if isinstance(outcome, UnavailableError):
            self._give(self._creates.failure(outcome))
        elif len(outcome.value) <= GZIP_MIN_BYTES:
            self._give(Response(201, JSON_HEADERS, outcome.value))
        else:
            self._give(answer.stored(self.call, outcome.value, 201))

    def expire(self) -> None:
        """The time limit has passed; the write itself goes on."""
        why = timeout("request did not complete within the allotted timeout")
        self._give(self._creates.failure(why))

    def _give(self, reply: Response) -> None:
        if self.is_over:
            return
        self.is_over = True
        reply.headers = self._creates.dress(reply.headers)
        if self.call.warnings:
            reply.headers = (*reply.headers, *warnings.headers(self.call.warnings))
        self._creates.over(self, reply.status)
        self.later.take(reply)


@lru_cache(maxsize=PATHS_MAX)
def _target(path: str) -> Route | None:
    """The route of a path that objects are created by, in the form in which they are stored."""
    try:
        route = resolve("POST", path, watch=False)
        if route is None or handlers.find(route) is not create.create:
            return None
    except (StatusError, NotFoundPathError):
        return None
    resource = route.resource
    special = route.converts or resource.id == SERVICES or resource.id in deprecated.RESOURCES
    return None if special else route


def _sends_json(request: Request) -> bool:
    media = request.headers.get("content-type", "")
    return media == negotiate.JSON or negotiate.content_type(media) == negotiate.JSON
