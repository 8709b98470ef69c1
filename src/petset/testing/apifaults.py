"""An API that fails on demand: errors, slow and lost answers, stale lists, watches that break.

    rule = cluster.faults.add(verb="update", resource="statefulsets.apps", status=409, times=2)

Rules stand in front of the server's handler, so they work in process and over HTTP alike. The
cluster's own controllers, scheduler and nodes go another way and are never hit. In a world of
virtual time `ApiFaults.of(world).client_for(identity)` is the client that is hit.

Invariant: what a rule answers has the shape that Kubernetes gives it: a Status with reason and
details, `Retry-After` where there is a time to wait.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from random import Random
from typing import Literal, Self, TypedDict, Unpack

from petset.api import errors, registry
from petset.api.errors import StatusError
from petset.apiserver import answer, authn
from petset.apiserver.route import NotFoundPathError, Route, is_true, resolve
from petset.apiserver.verbs.watch import error_line
from petset.base.http import CutError, Handler, Identity, Reply, Request, Stream, Writer
from petset.client.client import Client
from petset.client.local import Local, consume
from petset.client.transport import TransportError
from petset.testing.world import World

Cut = Literal["before", "answer", "end", "reset"]

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
BOOKMARK = b'{"type":"BOOKMARK"'
_LIST_PARAMETERS = ("resourceVersion", "resourceVersionMatch", "continue", "limit")


class Fields(TypedDict, total=False):
    """What `ApiFaults.add` takes; see `Rule`."""

    verb: str | Sequence[str]
    resource: str
    namespace: str
    name: str
    user: str
    user_agent: str
    after: int
    times: int | None
    chance: float
    status: int
    reason: str
    message: str
    retry_after: int
    delay_s: float
    stale: bool
    cut: Cut | None
    events: int | None


@dataclass(slots=True, eq=False)
class Rule:
    """Which requests go wrong, and how. Patterns are those of `fnmatch` (`*`, `?`, `[ab]`).

    Attributes:
        verb: one of Kubernetes' verbs, several, or "*".
        resource: pattern of the resource's id: `pods`, `statefulsets.apps`, `pods/status` for a
            subresource, `*` for all; or of a path that is no resource: `/apis*`, `/version`.
        namespace, name: patterns; requests on collections have no name.
        user: pattern of the user's name.
        user_agent: pattern of the header; requests in process have none.
        after: so many matching requests are let through first.
        times: so many are hit then; None: all.
        chance: probability of each of them to be hit.
        status: HTTP status of the answer, 0: the server answers. Of a watch with `events`: the
            status in an ERROR event that ends it.
        reason, message: of the Status; "" for Kubernetes' own.
        retry_after: seconds that the client is told to wait, 0: it is told nothing.
        delay_s: before the answer, and before each event of a watch (cluster time).
        stale: a list is answered as things stood when the rule was made.
        cut: "before": the connection breaks and the server never sees the request; "answer": the
            server does what was asked, the connection breaks instead of the answer; "end": a watch
            ends as if its time were up; "reset": a watch breaks in the middle of an event.
        events: so many events of a watch come as they should (bookmarks are not counted); then its
            `cut` or `status` is due. None: none do, and a `status` is that of the whole answer.
        hits: how many requests were hit so far.
    """

    verb: str | Sequence[str] = "*"
    resource: str = "*"
    namespace: str = "*"
    name: str = "*"
    user: str = "*"
    user_agent: str = "*"
    after: int = 0
    times: int | None = None
    chance: float = 1.0
    status: int = 0
    reason: str = ""
    message: str = ""
    retry_after: int = 0
    delay_s: float = 0.0
    stale: bool = False
    cut: Cut | None = None
    events: int | None = None
    hits: int = field(default=0, init=False)
    seen: int = field(default=0, init=False)
    revision: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if unknown := [v for v in self.verbs if v not in VERBS and v != "*"]:
            raise ValueError(f"no verb {', '.join(unknown)}; there are: {', '.join(VERBS)}")
        _check_resource(self.resource)
        if not (self.status or self.delay_s or self.stale or self.cut):
            raise ValueError("the rule does nothing: give status, delay_s, stale or cut")
        if self.status and not 400 <= self.status < 600:
            raise ValueError(f"{self.status} is no status of a failure")
        if self.status and self.cut:
            raise ValueError("a request gets a status or is cut, not both")
        if self.stale and self.verbs != ("list",):
            raise ValueError("only lists can be stale: verb='list'")
        watches = self.events is not None or self.cut in ("end", "reset")
        if watches and self.verbs != ("watch",):
            raise ValueError("events, 'end' and 'reset' are for watches: verb='watch'")

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs, "*" for all."""
        return (self.verb,) if isinstance(self.verb, str) else tuple(self.verb)

    def strikes(self, request: "Asked", rng: Random) -> bool:
        """Whether `request` is to go wrong by this rule; it is counted."""
        if not self._matches(request):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.hits >= self.times):
            return False
        if self.chance < 1.0 and rng.random() >= self.chance:
            return False
        self.hits += 1
        return True

    def _matches(self, asked: "Asked") -> bool:
        if self.verbs != ("*",) and asked.verb not in self.verbs:
            return False
        if self.resource == "*" and asked.resource.startswith("/"):
            return False
        pairs = (
            (asked.resource, self.resource),
            (asked.namespace, self.namespace),
            (asked.name, self.name),
            (asked.user, self.user),
            (asked.user_agent, self.user_agent),
        )
        return all(pattern == "*" or fnmatchcase(text, pattern) for text, pattern in pairs)


@dataclass(frozen=True, slots=True)
class Asked:
    """What rules look at in a request."""

    verb: str
    resource: str
    namespace: str
    name: str
    user: str
    user_agent: str


class ApiFaults:
    """The rules, and the handler that keeps them.

    Args:
        inner: the server's handler.
        revision: tells the store's newest revision.
        rng: decides where a rule has a chance.
    """

    def __init__(self, inner: Handler, revision: Callable[[], int], rng: Random) -> None:
        self._inner = inner
        self._revision = revision
        self._rng = rng
        self._rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, world: World) -> Self:
        """Rules for clients of a world that are made by `client_for`."""
        return cls(world.app.dispatch, lambda: world.store.revision, world.ids.rng)

    def client_for(self, identity: Identity) -> Client:
        """A client in process that calls as `identity` and is hit by the rules."""
        return Client(Local(self.dispatch, identity), manager=identity.user)

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules, in the order in which they are asked; the first that strikes counts."""
        return self._rules

    def add(self, **fields: Unpack[Fields]) -> Rule:
        """Have requests go wrong; see `Rule` for what can be given.

        Raises ValueError for a rule that could never strike or does nothing.
        """
        rule = Rule(**fields)
        rule.revision = self._revision()
        self._rules = (*self._rules, rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Take a rule away. Watches that it holds up stay as they are."""
        self._rules = tuple(r for r in self._rules if r is not rule)

    def clear(self) -> None:
        """Take all rules away."""
        self._rules = ()

    @contextmanager
    def during(self, **fields: Unpack[Fields]) -> Iterator[Rule]:
        """A rule for as long as the block runs."""
        rule = self.add(**fields)
        try:
            yield rule
        finally:
            self.remove(rule)

    async def dispatch(self, request: Request) -> Reply:
        """Answer a request, wrong where a rule strikes."""
        if not self._rules:
            return await self._inner(request)
        asked = ask(request)
        rule = next((r for r in self._rules if r.strikes(asked, self._rng)), None)
        if rule is None:
            return await self._inner(request)
        return await self._wrong(rule, asked, request)

    async def _wrong(self, rule: Rule, asked: Asked, request: Request) -> Reply:
        watching = asked.verb == "watch"
        if rule.delay_s and not watching:
            await asyncio.sleep(rule.delay_s)
        if watching and (rule.events is not None or rule.cut in ("end", "reset")):
            return _broken(await self._inner(request), rule, asked)
        if rule.status:
            return answer.status_answer(error_of(rule, asked))
        if rule.cut == "before":
            raise CutError
        if rule.stale and not request.param("continue"):
            request = _as_of(request, rule.revision)
        reply = await self._inner(request)
        if rule.cut is not None:
            raise CutError
        return _broken(reply, rule, asked) if watching else reply


def _check_resource(pattern: str) -> None:
    """Raise ValueError for a name that no resource has: such a rule would never strike."""
    name, _, sub = pattern.partition("/")
    if pattern.startswith("/") or any(c in pattern for c in "*?["):
        return
    found = [r for r in registry.RESOURCES if r.id == name]
    if not found:
        raise ValueError(f"no resource {name!r}; ids are like pods, statefulsets.apps")
    if sub and sub not in {s.name for r in found for s in r.subresources}:
        raise ValueError(f"{name} has no subresource {sub!r}")


def ask(request: Request) -> Asked:
    """What rules look at in `request`."""
    user = ""
    try:
        identity = authn.identify(request)
        user = identity.user if identity is not None else "system:anonymous"
        route = resolve(request.method, request.path, watch=is_true(request.param("watch")))
    except (StatusError, NotFoundPathError):
        route = None
    agent = request.headers.get("user-agent", "")
    if route is None:
        verb = "get" if request.method in ("GET", "HEAD") else request.method.lower()
        return Asked(verb, request.path, "", "", user, agent)
    return Asked(route.verb, _id(route), route.namespace, route.name, user, agent)


def _id(route: Route) -> str:
    resource = route.resource.id
    return f"{resource}/{route.subresource}" if route.subresource else resource


def error_of(rule: Rule, asked: Asked) -> StatusError:
    """The error that a rule answers with, in Kubernetes' words unless it has its own."""
    error = _usual(rule.status, asked)
    details = dict(error.details)
    if rule.retry_after:
        details["retryAfterSeconds"] = rule.retry_after
    return StatusError(
        error.code, rule.reason or error.reason, rule.message or error.message, details
    )


def _usual(status: int, asked: Asked) -> StatusError:
    resource, _, _ = asked.resource.partition("/")
    match status:
        case 403:
            who = f'User "{asked.user}" cannot {asked.verb} resource "{asked.resource}"'
            return errors.forbidden(resource, asked.name, who)
        case 404:
            return errors.not_found(resource, asked.name)
        case 409 if asked.verb == "create":
            return errors.already_exists(resource, asked.name)
        case 409:
            return errors.conflict(resource, asked.name)
        case 410:
            return errors.expired("The resourceVersion for the provided list is too old.")
        case 429:
            return errors.too_many_requests(
                "the server has received too many requests and has asked us to try again later"
            )
        case 500:
            return errors.internal("injected fault")
        case 503:
            return errors.unavailable("the server is currently unable to handle the request")
        case 504:
            return errors.timeout("request did not complete within the allotted timeout")
        case _:
            return StatusError(status, _REASONS.get(status, ""), f"injected fault {status}")


_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
}


def _as_of(request: Request, revision: int) -> Request:
    """The same list as it was at `revision`."""
    query = [pair for pair in request.query if pair[0] not in _LIST_PARAMETERS]
    query += [("resourceVersion", str(revision)), ("resourceVersionMatch", "Exact")]
    return replace(request, query=query)


def _broken(reply: Reply, rule: Rule, asked: Asked) -> Reply:
    """A watch that is slow, ends early or breaks."""
    if not isinstance(reply, Stream):
        return reply

    async def run(writer: Writer) -> None:
        try:
            async with aclosing(consume(reply)) as pieces, aclosing(_lines(pieces)) as lines:
                await _misbehave(lines, writer, rule, asked)
        except TransportError as error:
            raise CutError from error

    return Stream(run, reply.status, reply.headers)


async def _misbehave(
    lines: AsyncGenerator[bytes, None], writer: Writer, rule: Rule, asked: Asked
) -> None:
    faithful = rule.events or 0
    if rule.cut is None and not rule.status:
        faithful = -1
    while faithful != 0:
        line = await anext(lines, b"")
        if not line:
            return
        await asyncio.sleep(rule.delay_s)
        writer.write(line)
        await writer.drain()
        faithful -= not line.startswith(BOOKMARK)
    if rule.cut == "reset" and (line := await anext(lines, b"")):
        writer.write(line[: len(line) // 2])
        await writer.drain()
        raise CutError
    if rule.status:
        writer.write(error_line(error_of(rule, asked)))


async def _lines(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The lines of an answer, each with its end."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest
