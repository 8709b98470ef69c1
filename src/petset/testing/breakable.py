"""A world that can be broken anywhere: every process may die between any two of its steps.

    async with BreakableWorld(nodes=3, seed=7, lag_s=0.01) as world:
        world.wires["control"].die_at(5, Moment.AFTER)
        world.crash_server(back_s=2.0)
        world.wires["n1"].part()

Processes are "server" (the API; its disk keeps what was synced), "control" (controllers and
scheduler) and one agent per node. Who dies comes back by itself after a while, with nothing but
what is in the API, on the disk, or still running on its node.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from petset.api.meta import Obj
from petset.apiserver.app import App
from petset.apiserver.config import Config
from petset.base.http import Identity, Reply, Request, Response
from petset.base.loopclock import LoopClock
from petset.client.client import Client
from petset.client.reflector import Informers
from petset.client.transport import TransportError
from petset.reconcile.manager import Manager
from petset.scheduler.scheduler import Scheduler
from petset.store.log import HISTORY_BYTES_MAX, Log
from petset.store.types import Event, StoreError
from petset.testing.disk import Disk, Spindle
from petset.testing.fakepod import Script
from petset.testing.faults import FaultyDriver
from petset.testing.narrow import NarrowInformers
from petset.testing.wire import Asked, Server, Wire
from petset.testing.world import CONTROL, World, node_identity

CONTROL_WIRE = "control"
BOOT_RETRY_S = 1.0
SERVER = Config(bookmark_s=300.0)
"""Bookmarks are rare: they cost time, and without them watches meet 410."""
_VERSION = re.compile(rb'"resourceVersion":"([0-9]+)"')


class JumpingClock(LoopClock):
    """Wall time that may be set.

    Attributes:
        offset_s: how far it is from where it would be.
    """

    offset_s = 0.0

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        return super().now() + self.offset_s


class BreakableWorld(World):
    """A world whose processes are separate. Settings are those of `World`, and

    Args:
        disk: where the store is kept.
        disk_s: longest time that the disk takes for each half of a commit.
        history_bytes: of history that watches can resume from; little of it makes 410s frequent.
        followed: resources that controllers and scheduler ask for, None: all. See `unfollowed`.

    Attributes:
        wires: the connections of each process, by its name.
        asked: told of every request that reaches the server.
        late: the requests that got there when nobody waited for them any more.
        heard: told of every request whose answer has reached who asked.
        losses: writes that were acknowledged and are not there any more, and writes acknowledged
            before they were durable: always a fault.
    """

    def __init__(
        self,
        *,
        disk: Disk | None = None,
        disk_s: float = 0.001,
        history_bytes: int = HISTORY_BYTES_MAX,
        followed: frozenset[str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.clock: JumpingClock = JumpingClock()
        self.disk = disk or Disk()
        self.driver = FaultyDriver(self.disk)
        self.disk_s = disk_s
        self.history_bytes = history_bytes
        self.followed = followed
        self.wires: dict[str, Wire] = {}
        self.asked: list[Callable[[Asked], None]] = []
        self.late: list[Asked] = []
        self.heard: list[Callable[[Asked, Response], None]] = []
        self.losses: list[str] = []
        self.script_by: Callable[[Obj], Script | None] = lambda pod: None
        self.informers: Informers | None = None
        self.gone: set[str] = set()
        self._acknowledged: dict[str, int] = {}
        self._revision = 0
        self._returns: set[asyncio.Task[None]] = set()
        self._server: Server | None = None
        self.listeners.append(self._remember)

    # -- the server -------------------------------------------------------------------------------

    @property
    def served(self) -> bool:
        """Whether the server is up."""
        return self._server is not None and self._server.up

    async def _start_server(self, stack: contextlib.AsyncExitStack) -> None:
        self.wires[CONTROL_WIRE] = self._wire(CONTROL_WIRE)
        stack.push_async_callback(self._end)
        await self._boot()

    def _open_store(self) -> Log:
        self._spindle = Spindle(self.ids.rng, self.disk_s)
        self.driver = FaultyDriver(self.disk)
        return Log(self.driver, self._spindle, self.clock, history_bytes_max=self.history_bytes)

    async def _boot(self) -> None:
        """Open what the disk has, look for losses, serve."""
        self.store = self._open_store()
        self._look_for_losses()
        self.store.subscribe("", self._tell)
        self.app = App(self.store, self.clock, self.ids, config=SERVER)
        await self.app.start()
        self._server = Server(self.app.dispatch)

    def crash_server(self, *, back_s: float) -> None:
        """Take the power from the server; it is back after `back_s`."""
        if not self.served:
            return
        self._power_off()
        self.trace.append(f"{asyncio.get_running_loop().time():.3f} server: power lost")
        self._return(self._serve_again(back_s))

    def _power_off(self) -> None:
        assert self._server is not None
        self._server.kill()
        self._spindle.lose_power()
        self.disk.lose_power()

    async def _serve_again(self, back_s: float) -> None:
        await self.app.close()
        await asyncio.sleep(back_s)
        while True:
            try:
                await self._boot()
            except StoreError:
                self._spindle.lose_power()
                await self.app.close()
                await asyncio.sleep(BOOT_RETRY_S)
            else:
                return

    def _look_for_losses(self) -> None:
        """What the store has after a start: all that was acknowledged, and maybe more."""
        found = {item.key: item.revision for item in self.store.list("").items}
        missed = [e for e in self.disk.load(1 << 40).events if e.revision > self._revision]
        changed = {event.key for event in missed}
        for key, revision in self._acknowledged.items():
            if key not in changed and found.get(key) != revision:
                self.losses.append(f"{key} at {revision} was acknowledged and is lost")
        for key in found.keys() - self._acknowledged.keys() - changed:
            self.losses.append(f"{key} was deleted, which was acknowledged, and is back")
        if missed:
            self._tell(missed)

    def _remember(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.deleted:
                self._acknowledged.pop(event.key, None)
            else:
                self._acknowledged[event.key] = event.revision
        self._revision = events[-1].revision

    def _on_answer(self, asked: Asked, answer: Response) -> None:
        """What is acknowledged has to be on the disk."""
        if asked.method == "GET" or answer.status >= 300 or not isinstance(answer.body, bytes):
            return
        found = _VERSION.search(answer.body)
        if found is not None and int(found[1]) > self._revision:
            self.losses.append(f"{asked.method} {asked.path} answered before it was durable")

    async def _dispatch(self, request: Request) -> Reply:
        if self._server is None:
            raise TransportError("connection refused")
        return await self._server.dispatch(request)

    # -- processes --------------------------------------------------------------------------------

    def _wire(self, name: str) -> Wire:
        wire = Wire(name, self._dispatch, self.ids.rng, self.lag_s)
        wire.on_request = self._on_request
        wire.on_answer = self._on_answer
        wire.on_late = self.late.append
        wire.on_heard = self._on_heard
        return wire

    def _on_request(self, asked: Asked) -> None:
        for listener in self.asked:
            listener(asked)

    def _on_heard(self, asked: Asked, answer: Response) -> None:
        for listener in self.heard:
            listener(asked, answer)

    def client_for(self, identity: Identity, *, lag_s: float | None = None) -> Client:
        """A client with a wire of its own."""
        wire = self._wire(identity.user)
        wire.lag_s = self.lag_s if lag_s is None else lag_s
        return wire.client(identity)

    def _client_of_node(self, name: str) -> Client:
        wire = self.wires[name] = self._wire(name)
        wire.on_death = partial(self.crash_agent, name)
        return wire.client(node_identity(name))

    def start_control(self) -> None:
        """Start controllers and scheduler with a wire that knows nothing of the one before."""
        wire = self.wires[CONTROL_WIRE] = self._wire(CONTROL_WIRE)
        wire.on_death = self.crash_control
        super().start_control()

    def crash_control(self, *, back_s: float | None = None) -> None:
        """Kill controllers and scheduler; they are back after a while."""
        if self._work is None:
            return
        self.wires[CONTROL_WIRE].dead = True
        self.trace.append(f"{asyncio.get_running_loop().time():.3f} control: killed")
        self._return(self._control_again(self._pause(back_s)))

    async def _control_again(self, back_s: float) -> None:
        await self.stop_control()
        await asyncio.sleep(back_s)
        if self._work is None:
            self.start_control()

    def crash_agent(
        self, name: str, *, back_s: float | None = None, containers: bool = False
    ) -> None:
        """Kill an agent, with or without its containers; it is back after a while."""
        if not self.node(name).up:
            return
        self.wires[name].dead = True
        self.trace.append(f"{asyncio.get_running_loop().time():.3f} {name}: agent killed")
        self._return(self._agent_again(name, self._pause(back_s), containers=containers))

    async def _agent_again(self, name: str, back_s: float, *, containers: bool) -> None:
        await self.lose_agent(name, containers=containers)
        await asyncio.sleep(back_s)
        if name not in self.gone:
            self.start_agent(name)

    async def lose_agent(self, name: str, *, containers: bool = False) -> None:
        """End an agent, with or without what it runs."""
        self.wires[name].dead = True
        await self.node(name).lose(containers=containers)

    def start_agent(self, name: str) -> None:
        """Start an agent, unless it is up."""
        node = self.node(name)
        if not node.up:
            self.wires[name].dead = False
            node.start()

    def _pause(self, back_s: float | None) -> float:
        return self.ids.rng.choice((0.0, 0.1, 1.0, 5.0)) if back_s is None else back_s

    def _return(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._returns.add(task)

    async def _control(self) -> None:
        """Each controller has a client of its own, so that it is known who asks for what."""
        wire = self.wires[CONTROL_WIRE]
        asking = wire.client(CONTROL, "informers")
        informers = self.informers = (
            Informers(asking) if self.followed is None else NarrowInformers(asking, self.followed)
        )
        contexts = {
            name: self._context(informers, wire.client(CONTROL, name))
            for name in (*(n for n, _ in self._controllers), "scheduler")
        }
        managers = [Manager(contexts[n], [(n, make)]) for n, make in self._controllers]
        scheduler = Scheduler(contexts["scheduler"])
        async with asyncio.TaskGroup() as group:
            group.create_task(informers.run(), name="informers")
            for manager in managers:
                group.create_task(manager.run(informers=False))
            group.create_task(scheduler.run(), name="scheduler")

    def unfollowed(self) -> set[str]:
        """Resources with objects that controllers do not hear of: there must be none."""
        if self.followed is None:
            return set()
        there = {item.key.partition("/")[0] for item in self.store.list("").items}
        return there - self.followed - {"events"}

    def _script_of(self, pod: Obj) -> Script:
        return self.script_by(pod) or super()._script_of(pod)

    def _check(self) -> None:
        for task in [t for t in self._returns if t.done()]:
            self._returns.discard(task)
            task.result()
        if self._work is not None and not self.wires[CONTROL_WIRE].dead:
            super()._check()

    async def back(self) -> None:
        """Wait until whoever died is back."""
        while self._returns:
            await asyncio.wait(self._returns)
            self._check()

    async def _end(self) -> None:
        for task in self._returns:
            task.cancel()
        if self._returns:
            await asyncio.wait(self._returns)
        if self.served:
            self._power_off()
        await self.app.close()
