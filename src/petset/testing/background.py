"""A world in a thread of its own: served over HTTP, reset in place, its clock moved on demand.

The thread has a loop of its own (`PacedLoop`), so a test may block, or close its loop, as it likes.
`cluster` gives this to tests in an awaitable and in a blocking form.

Invariant: the world and all that belongs to it are touched on its own loop only; `call` and
`future` are the ways there.
Invariant: revisions go on over a reset: a watch that wants to go on from before gets 410.
"""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from petset.api import meta, registry
from petset.api.meta import MutableObj, Obj
from petset.apiserver.app import App, refusal
from petset.apiserver.config import Config as ServerConfig
from petset.base import edge
from petset.base.http import Reply, Request
from petset.base.ids import Ids
from petset.controllers.registry import CONTROLLERS
from petset.reconcile.context import Config
from petset.reconcile.manager import Factory
from petset.store.drivers.memory import MemoryStore
from petset.testing.access import HOST, Access
from petset.testing.apifaults import ApiFaults
from petset.testing.fakepod import Script
from petset.testing.paced import PacedClock, PacedLoop
from petset.testing.world import ADMIN, QUARANTINE_S, World

T = TypeVar("T")

NEVER_S = 1e9
LIMITS = edge.Limits(
    head_s=NEVER_S, body_s=NEVER_S, idle_s=NEVER_S, stall_s=NEVER_S, handshake_s=NEVER_S
)
"""The front has no timeouts: a leap of the clock must not cut clients, who live in real time."""

AT_ONCE = Script(start_s=0.0, ready_s=0.0, stop_s=0.0)
"""What pods do unless a test says otherwise: no time passes."""

DRAIN_S = 1.0
"""How long a reset waits for calls under way."""

GRACE_S = 1.0
"""How long the end of the cluster waits for connections to end."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a test cluster is made of.

    Attributes:
        nodes: how many fake nodes: n1, n2, ...
        tls: False serves plain HTTP, on which everybody is the administrator.
        seed: of every random choice; None: names and uids differ from run to run.
        script: what pods do that have no script of their own.
        controllers: which ones run, as `controllers.registry.CONTROLLERS`.
        config: settings of the controllers.
    """

    nodes: int = 1
    tls: bool = True
    seed: int | None = None
    script: Script = AT_ONCE
    controllers: Sequence[tuple[str, Factory]] = CONTROLLERS
    config: Config | None = None


class Options(TypedDict, total=False):
    """The fields of `Settings`, as keywords."""

    nodes: int
    tls: bool
    seed: int | None
    script: Script
    controllers: Sequence[tuple[str, Factory]]
    config: Config | None


class _World(World):
    """A world in real time whose revisions go on from those of the one before."""

    def __init__(self, settings: Settings, config: Config, loop: PacedLoop, ids: Ids) -> None:
        super().__init__(nodes=settings.nodes, controllers=settings.controllers, config=config)
        self.ids = ids
        self.clock = PacedClock(loop)
        self.server = ServerConfig()
        self.after = 0
        self.script("*", settings.script)

    async def _start_server(self, stack: contextlib.AsyncExitStack) -> None:
        self.store = MemoryStore(self.clock, revision=self.after)
        stack.push_async_callback(self.store.close)
        self.store.subscribe("", self._tell)
        self.app = App(self.store, self.clock, self.ids, config=self.server)
        stack.push_async_callback(self.app.close)
        await self.app.start()

    async def _apply(self, obj: Obj) -> MutableObj:
        """Merge into what is there, however little is given; create what is not."""
        found = registry.by_api_version(obj["apiVersion"], obj["kind"])
        name, namespace = meta.name_of(obj), meta.namespace_of(obj) or "default"
        if found is None or not name or self.get(found.id, name, namespace) is None:
            return await super()._apply(obj)
        namespace = namespace if found.namespaced else ""
        return await self.client.patch(found.id, name, obj, namespace)


class Engine:
    """The thread, its loop, the world and the front.

    Use: `start()`, wait for `started`, ..., `stop()`, wait for `ended`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started: Future[None] = Future()
        self.ended: Future[None] = Future()
        self.access: Access
        self.world: World
        self.front: edge.Edge
        self.faults: ApiFaults
        self._loop: PacedLoop
        self._ids = Ids(settings.seed)
        self._thread = threading.Thread(target=self._run, name="petset-cluster", daemon=True)
        self._lock = threading.Lock()
        self._wakes: tuple[Callable[[], None], ...] = ()
        self._stack = contextlib.AsyncExitStack()
        self._busy = 0

    # -- from other threads -----------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; `started` tells when the cluster is ready, or why it is not."""
        self._thread.start()

    def stop(self) -> None:
        """Have the cluster end; `ended` tells when it has, or what it died of."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        """Wait until the thread is gone, once `ended` is there."""
        self._thread.join()

    def future(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run `work` on the cluster's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[[], T]) -> T:
        """Call `function` on the cluster's loop and wait for it; from that loop itself: call it."""
        if threading.current_thread() is self._thread:
            return function()

        async def work() -> T:
            return function()

        return self.future(work()).result()

    @contextlib.contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called, on the cluster's thread, after every change."""
        with self._lock:
            self._wakes = (*self._wakes, wake)
        try:
            yield
        finally:
            with self._lock:
                self._wakes = tuple(w for w in self._wakes if w is not wake)

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=PacedLoop) as runner:
                runner.run(self._live())
        except BaseException as error:
            for future in (self.started, self.ended):
                if not future.done():
                    future.set_exception(error)
        else:
            self.ended.set_result(None)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PacedLoop)
        self._loop, self._stop, self._open = loop, asyncio.Event(), asyncio.Event()
        self._quiet = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            root = stack.enter_context(tempfile.TemporaryDirectory(prefix="petset-testing-"))
            await self._listen(Path(root), stack)
            stack.push_async_callback(self._leave)
            await self._enter(0)
            self.started.set_result(None)
            await self._stop.wait()
            self._open.clear()

    async def _listen(self, root: Path, stack: contextlib.AsyncExitStack) -> None:
        self.access = Access(root, tls=self.settings.tls)
        self.faults = ApiFaults(self._ask, lambda: self.world.store.revision, self._ids.rng)
        self.front = await edge.serve(
            self.answer,
            host=HOST,
            ssl=self.access.server_context(),
            limits=LIMITS,
            on_refuse=refusal,
        )
        stack.push_async_callback(self.front.close, GRACE_S)
        self.access.port = self.front.port

    async def _enter(self, after: int) -> None:
        """Make a fresh world; requests that came meanwhile are answered by it."""
        config = self.settings.config or Config(
            ca_text=self.access.authority.decode(), orphan_quarantine_s=QUARANTINE_S
        )
        made = _World(self.settings, config, self._loop, self._ids)
        made.after = after
        made.server = ServerConfig(advertise_address=HOST, secure_port=self.access.port)
        made.listeners.append(lambda _: self._tell())
        made.runtime.listeners.append(lambda _: self._tell())
        self.world = await self._stack.enter_async_context(made)
        if config.ca_text and "namespace" in dict(self.settings.controllers):
            await made.wait_for(lambda: _have_authority(made))
        self._open.set()

    async def _leave(self) -> None:
        """End the world: calls under way are answered, watches end as if their time were up."""
        self._open.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._busy:
                    self._quiet.clear()
                    await self._quiet.wait()
        await self._stack.aclose()

    async def reset(self) -> None:
        """Put a fresh world in the place of the one that is there; faults and scripts go too."""
        self.faults.clear()
        try:
            await self._leave()
        finally:  # what the old world died of is told, and the cluster is there all the same
            await self._enter(self.world.store.revision)

    async def advance(self, seconds: float) -> None:
        """Leap ahead in time."""
        await self._loop.advance(seconds)
        await self.check()

    async def check(self) -> None:
        """Raise what controllers, scheduler or a node died of."""
        await self.world.sleep(0)

    async def answer(self, request: Request) -> Reply:
        """Answer a request as clients see it, faults included. On the cluster's loop."""
        await self._open.wait()
        if not self.access.tls and request.identity is None:
            request.identity = ADMIN
        self._busy += 1
        try:
            return await self.faults.dispatch(request)
        finally:
            self._busy -= 1
            self._quiet.set()

    async def _ask(self, request: Request) -> Reply:
        return await self.world.app.dispatch(request)

    def _tell(self) -> None:
        for wake in self._wakes:
            wake()


def _have_authority(world: World) -> bool:
    """Whether every namespace has its copy of the authority's certificate."""
    holders = {meta.namespace_of(o) for o in world.objects("configmaps") if _is_authority(o)}
    return holders >= set(world.names("namespaces"))


def _is_authority(obj: Obj) -> bool:
    return meta.name_of(obj) == "kube-root-ca.crt"
