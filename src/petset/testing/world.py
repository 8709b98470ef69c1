"""A whole cluster in one process: memory store, API server, controllers, scheduler, fake nodes.

    async def story() -> None:
        async with World(nodes=3, seed=1) as world:
            await world.apply(Path("examples/01-web/web.yaml").read_text())
            await world.wait_for(lambda: world.ready("statefulsets.apps", "web"))
            await world.node("n1").lose()
            await world.settle()

    run_virtual(story())

Everything but the nodes' containers is real. On a `VirtualLoop` (`run_virtual`) hours take moments
and a seed gives the same run twice; on an ordinary loop the same world lives in real time.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import orjson
import yaml

from petset.api import meta, registry
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj
from petset.apiserver.app import App
from petset.base.clock import Clock  # noqa: TC001 (a type that others replace)
from petset.base.http import Identity
from petset.base.ids import Ids
from petset.base.loopclock import LoopClock
from petset.client.client import Client
from petset.client.events import Recorder
from petset.client.local import Local
from petset.client.reflector import Informers
from petset.controllers.registry import CONTROLLERS
from petset.reconcile.context import Config, Context
from petset.reconcile.manager import Factory, Manager
from petset.scheduler.scheduler import Scheduler
from petset.store.drivers.memory import MemoryStore
from petset.store.log import Log
from petset.store.types import Event, Listener
from petset.testing.fakepod import Happening, Runtime, Script
from petset.testing.nodes import FakeNode, NodeSpec
from petset.testing.transport import Lagging

ADMIN = Identity("kubernetes-admin", ("system:masters", "system:authenticated"))
CONTROL = Identity("system:petset-controllers", ("system:masters", "system:authenticated"))
_SHM = Path("/dev/shm")  # noqa: S108
MEMORY = _SHM if _SHM.is_dir() else None
"""A file system that need not be waited for, where there is one."""

QUARANTINE_S = 0.5
"""How long a deleted node may come back before its pods are removed: nobody waits for 40 s."""

QUIET_S = 2.0
"""No change for so long means that nothing happens any more."""

TOLD = 40
"""Lines of the trace that a failure tells."""

RESTLESS = ("leases.coordination.k8s.io/", "events/", "nodes/")
"""Keys that change although nothing happens: heartbeats, repeated events."""


def node_identity(name: str) -> Identity:
    """Who the agent of a node is."""
    return Identity(f"system:node:{name}", ("system:nodes", "system:authenticated"))


class World:
    """The cluster. Use it as an async context manager.

    Args:
        nodes: how many fake nodes there are: n1, n2, ...
        seed: of every random choice: names, ties of the scheduler, delays.
        lag_s: longest delay of each request and watch event of controllers and nodes.
        controllers: which ones run, as `controllers.registry.CONTROLLERS`.
        config: settings of the controllers; a directory for volumes is made if it names none.

    Attributes:
        client: the user's way in, without delay.
        runtime: what really runs on the nodes.
        trace: one line per change of the store and of the runtime.
        listeners: told of every write of the store, whichever store that is just now.
    """

    def __init__(
        self,
        *,
        nodes: int = 3,
        seed: int = 0,
        lag_s: float = 0.0,
        controllers: Sequence[tuple[str, Factory]] = CONTROLLERS,
        config: Config | None = None,
    ) -> None:
        self.ids = Ids(seed)
        self.clock: Clock = LoopClock()
        self.lag_s = lag_s
        self.trace: list[str] = []
        self.runtime = Runtime()
        self.runtime.listeners.append(self._on_happening)
        self.listeners: list[Listener] = [self._on_events]
        self._node_count = nodes
        self._controllers = controllers
        self._config = config or Config(orphan_quarantine_s=QUARANTINE_S)
        self._scripts: dict[str, Script] = {}
        self._changed = asyncio.Event()
        self._last_change_s = 0.0
        self._nodes: dict[str, FakeNode] = {}
        self._stack = contextlib.AsyncExitStack()
        self._work: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await self._build(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _build(self, stack: contextlib.AsyncExitStack) -> None:
        if not self._config.volumes_root:
            made = tempfile.TemporaryDirectory(prefix="petset-world-", dir=MEMORY)
            root = stack.enter_context(made)
            self._config = replace(self._config, volumes_root=root)
        await self._start_server(stack)
        self.client = self.client_for(ADMIN, lag_s=0.0)
        self.start_control()
        stack.push_async_callback(self.stop_control)
        stack.push_async_callback(self._lose_all)
        for _ in range(self._node_count):
            self.add_node()
        await self.wait_for(lambda: self._ready_nodes() == self._node_count)

    def _open_store(self) -> Log:
        return MemoryStore(self.clock)

    async def _start_server(self, stack: contextlib.AsyncExitStack) -> None:
        self.store = self._open_store()
        stack.push_async_callback(self.store.close)
        self.store.subscribe("", self._tell)
        self.app = App(self.store, self.clock, self.ids)
        stack.push_async_callback(self.app.close)
        await self.app.start()

    # -- parts ------------------------------------------------------------------------------------

    def client_for(self, identity: Identity, *, lag_s: float | None = None) -> Client:
        """A client that calls as `identity`, as late as the world's `lag_s` says."""
        local = Local(self.app.dispatch, identity)
        late = Lagging(local, self.ids.rng, self.lag_s if lag_s is None else lag_s)
        return Client(late, manager=identity.user)

    def start_control(self) -> None:
        """Start controllers and scheduler: their caches are empty, all they know is in the API."""
        assert self._work is None, "controllers and scheduler run already"
        self._work = asyncio.create_task(self._control(), name="control")

    async def stop_control(self) -> None:
        """Kill controllers and scheduler wherever they are. Raises what they died of."""
        work, self._work = self._work, None
        if work is None:
            return
        work.cancel()
        await asyncio.wait([work])
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def restart_control(self) -> None:
        """Crash controllers and scheduler, and start them anew."""
        await self.stop_control()
        self.start_control()

    async def _control(self) -> None:
        client = self.client_for(CONTROL)
        informers = Informers(client)
        context = self._context(informers, client)
        manager, scheduler = Manager(context, self._controllers), Scheduler(context)
        self.app.metrics.beside = context.metrics.samples
        async with asyncio.TaskGroup() as group:
            group.create_task(informers.run(), name="informers")
            group.create_task(manager.run(informers=False), name="manager")
            group.create_task(scheduler.run(), name="scheduler")

    def _context(self, informers: Informers, client: Client) -> Context:
        """What controllers and scheduler work with."""
        return Context(
            informers=informers,
            client=client,
            clock=self.clock,
            ids=self.ids,
            recorder=lambda component: Recorder(client, component, "", self.clock, self.ids),
            config=self._config,
        )

    def add_node(self, **more: Any) -> FakeNode:
        """One more node; `labels`, `capacity` and `beat_s` may be given."""
        number = len(self._nodes) + 1
        name = f"n{number}"
        spec = NodeSpec(name, number, **more)
        client = self._client_of_node(name)
        node = FakeNode(spec, client, self.clock, self.runtime, self._script_of)
        self._nodes[name] = node
        node.start()
        return node

    def _client_of_node(self, name: str) -> Client:
        return self.client_for(node_identity(name))

    def node(self, name: str) -> FakeNode:
        """The fake node `name`."""
        return self._nodes[name]

    @property
    def nodes(self) -> Sequence[FakeNode]:
        """All fake nodes, lost ones included."""
        return tuple(self._nodes.values())

    def script(self, pod: str, script: Script) -> None:
        """What pods of that name will do from their next start on; "*" means all others."""
        self._scripts[pod] = script

    def _script_of(self, pod: Obj) -> Script:
        return self._scripts.get(meta.name_of(pod)) or self._scripts.get("*") or Script()

    async def _lose_all(self) -> None:
        for node in self._nodes.values():
            await node.lose()

    # -- reading and writing ----------------------------------------------------------------------

    def get(self, resource: str, name: str, namespace: str = "default") -> MutableObj | None:
        """An object as the store has it now; None when it is not there."""
        namespace = namespace if _is_namespaced(resource) else ""
        item = self.store.get(f"{resource}/{namespace}/{name}")
        return None if item is None else _decode(item.value)

    def objects(self, resource: str, namespace: str | None = None) -> list[MutableObj]:
        """The objects of a resource, or of one namespace."""
        prefix = f"{resource}/" if namespace is None else f"{resource}/{namespace}/"
        return [_decode(item.value) for item in self.store.list(prefix).items]

    def names(self, resource: str, namespace: str | None = None) -> list[str]:
        """The names of those, in order."""
        return [meta.name_of(obj) for obj in self.objects(resource, namespace)]

    def ready(self, resource: str, name: str, namespace: str = "default") -> bool:
        """Whether a set has rolled out whole: every replica there, new and Ready, none too many."""
        found = self.get(resource, name, namespace)
        if found is None:
            return False
        spec, status = found["spec"], found.get("status") or {}
        wanted = spec.get("replicas", 1)
        counts = [status.get(n) or 0 for n in ("replicas", "readyReplicas", "updatedReplicas")]
        observed = status.get("observedGeneration") == found["metadata"].get("generation")
        return observed and counts == [wanted] * 3

    async def apply(self, what: str | Obj) -> list[MutableObj]:
        """Create objects, or merge what is given into those that are there.

        Args:
            what: YAML text of one or more documents, or one object.
        """
        objects = [o for o in yaml.safe_load_all(what) if o] if isinstance(what, str) else [what]
        return [await self._apply(obj) for obj in objects]

    async def _apply(self, obj: Obj) -> MutableObj:
        found = registry.by_api_version(obj["apiVersion"], obj["kind"])
        assert found is not None, f"no resource is a {obj['apiVersion']} {obj['kind']}"
        namespace = (meta.namespace_of(obj) or "default") if found.namespaced else ""
        try:
            return await self.client.create(found.id, obj, namespace)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
        return await self.client.patch(found.id, meta.name_of(obj), obj, namespace)

    async def scale(self, name: str, replicas: int, namespace: str = "default") -> None:
        """Set the replicas of a StatefulSet."""
        patch = {"spec": {"replicas": replicas}}
        await self.client.patch("statefulsets.apps", name, patch, namespace)

    # -- waiting ----------------------------------------------------------------------------------

    async def wait_for(self, predicate: Callable[[], bool], *, timeout_s: float = 120.0) -> None:
        """Wait until `predicate()` holds; it is asked after every change, not in between.

        Raises TimeoutError, with the end of the trace, after `timeout_s` of the loop's time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not predicate():
                    self._check()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            recent = "\n".join(self.trace[-TOLD:])
            raise TimeoutError(
                f"not so within {timeout_s} s; what happened last:\n{recent}"
            ) from None
        self._check()

    async def settle(self, *, quiet_s: float = QUIET_S, timeout_s: float = 600.0) -> None:
        """Wait until nothing has changed for `quiet_s`, heartbeats and events not counted.

        Longer pauses that are planned (a lost node's grace, a back-off) do not count as change.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            self._last_change_s = loop.time()
            while (left := self._last_change_s + quiet_s - loop.time()) > 1e-9:
                await asyncio.sleep(left)
                self._check()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
        self._check()

    def _check(self) -> None:
        """Raise what controllers, scheduler or an agent died of."""
        if self._work is not None and self._work.done():
            self._work.result()
            raise AssertionError("controllers and scheduler have ended")
        for node in self._nodes.values():
            node.check()

    def _ready_nodes(self) -> int:
        return sum(meta.is_condition_true(node, "Ready") for node in self.objects("nodes"))

    def _tell(self, events: Sequence[Event]) -> None:
        for listener in self.listeners:
            listener(events)

    def _on_events(self, events: Sequence[Event]) -> None:
        now = asyncio.get_running_loop().time()
        for event in events:
            if not event.key.startswith(RESTLESS):
                self._last_change_s = now
                verb = (
                    "deleted" if event.deleted else "created" if event.previous is None else "set"
                )
                self.trace.append(f"{now:.3f} {event.revision} {verb} {event.key}")
        self._changed.set()

    def _on_happening(self, happening: Happening) -> None:
        self._last_change_s = happening.at
        self.trace.append(str(happening))
        self._changed.set()


@contextlib.asynccontextmanager
async def world(**settings: Any) -> AsyncGenerator[World, None]:
    """A world for a fixture: `async with world(nodes=1) as w`."""
    async with World(**settings) as made:
        yield made


def _decode(value: bytes) -> MutableObj:
    decoded: MutableObj = orjson.loads(value)
    return decoded


def _is_namespaced(resource: str) -> bool:
    return registry.by_id(resource).namespaced
