"""The connection between a process and the API, and all that can go wrong with it.

A `Server` owns the requests it was given, as a real one does: who asked may die, the request goes
on. A `Wire` carries all that one process asks: it is late, cut, stalled, and it is where a process
can be made to die at a chosen write, before or after the server took it.

Invariant: what a watch brings is never reordered, whatever breaks.
"""

import asyncio
import enum
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from random import Random
from typing import NamedTuple

from petset.base.http import Handler, Identity, Reply, Request, Response, Stream, Writer
from petset.client.client import Client
from petset.client.local import Local
from petset.client.transport import TransportError
from petset.testing.trouble import LATE_MAX_S, How, Trouble, refusal

TIMEOUT_S = 3.0
"""How long a process that is cut off waits for an answer, at most."""


class Server:
    """Requests under way in one life of a server.

    Args:
        dispatch: `App.dispatch`.
    """

    def __init__(self, dispatch: Handler) -> None:
        self._dispatch = dispatch
        self._tasks: dict[asyncio.Task[object], None] = {}
        self.up = True

    async def dispatch(self, request: Request) -> Reply:
        """Answer a request. Raises TransportError when the server is not there, or dies over it."""
        if not self.up:
            raise TransportError("connection refused")
        task = asyncio.get_running_loop().create_task(self._answer(request))
        self._hold(task)
        await asyncio.wait([task])
        if task.cancelled():
            raise TransportError("the server is gone")
        reply = task.result()
        if isinstance(reply, Stream):
            return Stream(partial(self._stream, reply.run), reply.status, reply.headers)
        return reply

    def kill(self) -> None:
        """Die at once: nobody gets an answer any more."""
        self.up = False
        for task in list(self._tasks):
            task.cancel()

    async def _answer(self, request: Request) -> Reply:
        return await self._dispatch(request)

    async def _stream(self, run: Callable[[Writer], Awaitable[None]], writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._hold(task)
        await run(writer)

    def _hold(self, task: "asyncio.Task[object]") -> None:
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)


class Cut(enum.Enum):
    """How a watch ends before its time."""

    CLEAN = "as if its time were up"
    BROKEN = "the connection breaks"
    TORN = "the connection breaks inside an event"


class Moment(enum.Enum):
    """When a process dies, seen from one of its writes."""

    BEFORE = "the server never hears of it"
    AFTER = "the server has done it, the answer is lost"


class Asked(NamedTuple):
    """A request: which part of the process asks, and what."""

    who: str
    method: str
    path: str
    body: bytes


class Wire:
    """The connections of one process.

    Args:
        name: of the process.
        dispatch: the server, whichever lives just now.
        lag_s: longest delay of a request, an answer or a piece of a watch.

    Attributes:
        on_request: told of a request when it reaches the server.
        on_answer: told of it again when the server has answered.
        on_late: told of a request that nobody waits for any more when it gets there.
        on_heard: and once more when the answer has reached who asked.
        on_death: told when the process dies at a write it was to die at.
        dead: the process runs no further: whatever it still tries is cancelled.
        troubled_at: when something last went wrong, on the event loop's clock; it may lie ahead.
        slowed: from when to when single requests were slow, in the order of their ends.
    """

    def __init__(self, name: str, dispatch: Handler, rng: Random, lag_s: float) -> None:
        self.name = name
        self.lag_s = lag_s
        self.dead = False
        self.on_request: Callable[[Asked], None] = lambda _: None
        self.on_answer: Callable[[Asked, Response], None] = lambda *_: None
        self.on_late: Callable[[Asked], None] = lambda _: None
        self.on_heard: Callable[[Asked, Response], None] = lambda *_: None
        self.on_death: Callable[[], None] = lambda: None
        self.troubled_at = asyncio.get_running_loop().time()
        self.slowed: list[tuple[float, float]] = []
        self._dispatch = dispatch
        self._rng = rng
        self._joined = asyncio.Event()
        self._joined.set()
        self._deaf = False
        self._writes_left = 0
        self._moment = Moment.BEFORE
        self._stalled: dict[str, float] = {}
        self._flows: dict[asyncio.Task[object], tuple[str, Writer]] = {}
        self._ends: dict[asyncio.Task[object], Cut] = {}
        self._troubles: list[Trouble] = []
        self._late: set[asyncio.Task[Response]] = set()

    def client(self, identity: Identity, who: str = "") -> Client:
        """A client of the process.

        Args:
            who: the part of the process that asks, as `on_request` is told.
        """
        return Client(_Way(self, identity, who or self.name), manager=identity.user)

    # -- faults -----------------------------------------------------------------------------------

    def die_at(self, write: int, moment: Moment) -> None:
        """Die at the `write`-th write from now on; 0: not any more."""
        self._writes_left, self._moment = write, moment

    def trouble(self, trouble: Trouble) -> None:
        """Have some of the next requests go wrong."""
        self._troubles.append(trouble)

    def part(self, *, deaf: bool = False) -> None:
        """Cut the process off.

        Args:
            deaf: requests reach the server all the same, only answers and watches do not come.
        """
        self._note_trouble()
        self._joined.clear()
        self._deaf = deaf

    def join(self) -> None:
        """Let the process reach the server again; its watches have to begin anew."""
        self._note_trouble()
        self._joined.set()
        self.cut("", Cut.BROKEN)

    @property
    def apart(self) -> bool:
        """Whether the process is cut off."""
        return not self._joined.is_set()

    def cut(self, resource: str, how: Cut) -> None:
        """End the watches of `resource` (plural), "" for all."""
        for task, (name, writer) in list(self._flows.items()):
            if resource not in ("", name) or task in self._ends:
                continue
            if how is Cut.TORN:
                writer.write(b'{"type":"MODIFIED","object":{"kind":')
            self._ends[task] = how
            task.cancel()

    def stall(self, resource: str, seconds: float) -> None:
        """Bring nothing of the watches of `resource` (plural, "" for all) for a while."""
        self._stalled[resource] = asyncio.get_running_loop().time() + seconds
        self._note_trouble(seconds)

    def calm(self) -> None:
        """No stall, no trouble, no death and no separation from now on."""
        self._stalled.clear()
        self._troubles.clear()
        self.die_at(0, Moment.BEFORE)
        if self.apart:
            self.join()

    # -- the way ----------------------------------------------------------------------------------

    async def request(self, asked: Asked, call: Callable[[], Awaitable[Response]]) -> Response:
        """Carry one request there and its answer back."""
        await self._lag()
        if self.apart and not self._deaf:
            await self._time_out()
        dies = asked.method != "GET" and self._counts()
        if dies and self._moment is Moment.BEFORE:
            self._die()
        self._alive()
        answer = await self._reach(asked, call)
        if dies:
            self._die()
        if self.apart:
            await self._time_out()
        await self._lag()
        self._alive()
        self.on_heard(asked, answer)
        return answer

    async def _reach(self, asked: Asked, call: Callable[[], Awaitable[Response]]) -> Response:
        """Have the server answer, unless something happens to the request."""
        struck = next((t.how for t in self._troubles if t.strikes(asked.who, asked.method)), None)
        if struck is not None:
            self._note_trouble(TIMEOUT_S + LATE_MAX_S)
        if struck is How.UNREACHED:
            raise TransportError("connection reset")
        if struck is not None and (refused := refusal(struck)) is not None:
            return refused
        self.on_request(asked)
        if struck is How.LATER:
            late = asyncio.ensure_future(self._later(asked, call))
            self._late.add(late)
            late.add_done_callback(self._forget)
            await self._time_out()
        if struck is How.SLOW:
            time = asyncio.get_running_loop().time
            began = time()
            await asyncio.sleep(self._rng.uniform(0.1, TIMEOUT_S))
            self.slowed.append((began, time()))
            self._alive()
        answer = await call()
        if answer.status >= 500:
            self._note_trouble()
        self.on_answer(asked, answer)
        if struck is How.UNANSWERED:
            await self._time_out()
        return answer

    async def _later(self, asked: Asked, call: Callable[[], Awaitable[Response]]) -> Response:
        await asyncio.sleep(self._rng.uniform(0.0, LATE_MAX_S))
        self.on_late(asked)
        return await call()

    def _forget(self, late: "asyncio.Task[Response]") -> None:
        """A request that nobody waited for has ended, however it did."""
        self._late.discard(late)
        if not late.cancelled():
            late.exception()

    async def hold(self, resource: str) -> None:
        """Wait with a piece of a watch of `resource`: it is late, stalled, or cut off."""
        await self._lag()
        if self._stalled:
            until = max(self._stalled.get(name, 0.0) for name in ("", resource))
            await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))
        await self._joined.wait()

    async def carry(self, request: Request) -> Reply:
        """Hand a request to the server, and keep the way back of a watch in hand."""
        try:
            reply = await self._dispatch(request)
        except TransportError:
            self._note_trouble()
            raise
        if not isinstance(reply, Stream):
            return reply
        plural = _plural(request.path)
        return Stream(partial(self._flow, plural, reply.run), reply.status, reply.headers)

    async def _flow(
        self, plural: str, run: Callable[[Writer], Awaitable[None]], writer: Writer
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._flows[task] = (plural, writer)
        try:
            await run(writer)
        except asyncio.CancelledError:
            if self._ends.get(task) is not Cut.CLEAN:
                raise
        finally:
            self._note_trouble()
            del self._flows[task]
            self._ends.pop(task, None)

    def _note_trouble(self, seconds: float = 0.0) -> None:
        now = asyncio.get_running_loop().time()
        self.troubled_at = max(self.troubled_at, now + seconds)

    def _counts(self) -> bool:
        if not self._writes_left:
            return False
        self._writes_left -= 1
        return self._writes_left == 0

    def _die(self) -> None:
        if not self.dead:
            self.dead = True
            self._note_trouble()
            self.on_death()
        self._alive()

    def _alive(self) -> None:
        if self.dead:
            raise asyncio.CancelledError(f"{self.name} is dead")

    async def _time_out(self) -> None:
        await asyncio.sleep(self._rng.uniform(0.1, TIMEOUT_S))
        raise TransportError(f"{self.name} is cut off")

    async def _lag(self) -> None:
        self._alive()
        if self.lag_s > 0:
            await asyncio.sleep(self._rng.uniform(0.0, self.lag_s))


class _Way:
    """A transport over a wire, for one identity."""

    def __init__(self, wire: Wire, identity: Identity, who: str) -> None:
        self._wire = wire
        self._local = Local(wire.carry, identity)
        self._who = who

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "",
        accept: str = "application/json",
    ) -> Response:
        """One request."""
        asked = Asked(self._who, method, path, body)
        call = partial(
            self._local.request,
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
        )
        return await self._wire.request(asked, call)

    async def stream(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json",
    ) -> AsyncGenerator[bytes, None]:
        """An answer in pieces."""
        await self._wire.hold("(opening)")
        async with aclosing(self._local.stream(path, query=query, accept=accept)) as pieces:
            async for piece in pieces:
                await self._wire.hold(_plural(path))
                yield piece

    async def close(self) -> None:
        """Nothing to close."""


def _plural(path: str) -> str:
    return path.rpartition("/")[2]
