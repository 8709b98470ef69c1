"""A whole cluster for tests of other software: real API over HTTPS, real controllers, fake nodes.

    async with Cluster(nodes=3) as cluster:
        await cluster.apply(manifest)
        await cluster.wait_for(lambda: cluster.ready("statefulsets.apps", "web"))
        subprocess.run(["kubectl", "--kubeconfig", cluster.kubeconfig, "get", "pods"])

`running_cluster` is the same for tests that block. Either runs in a thread of its own and listens
on a free port of 127.0.0.1, so that any client in any language can be pointed to it.

Time: the cluster lives in real time. `advance` moves its loop's time and its wall clock together:
leases, deadlines, back-offs, `minReadySeconds`, times to live and `timeoutSeconds` of watches pass,
each thing in its order. The clients' time is not moved, nor are certificates and TCP: what a client
does in answer to events of the leap comes after it. Timestamps of objects are ahead from then on.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

from petset.api.meta import MutableObj, Obj
from petset.client.client import Client
from petset.client.local import Local
from petset.testing.access import ADMIN_USER, MASTERS
from petset.testing.apifaults import ApiFaults
from petset.testing.background import Engine, Options, Settings
from petset.testing.bridge import Bridged
from petset.testing.fakepod import Script
from petset.testing.world import ADMIN, TOLD, World

T = TypeVar("T")

POLL_S = 0.05
"""`wait_for` asks at least so often: its question may be about things outside of the cluster."""

WAIT_S = 30.0
"""How long `wait_for` waits unless told otherwise, in the test's own time."""


class Handle:
    """What can be seen and set from any thread, in both forms.

    Attributes:
        kubeconfig: the administrator's kubeconfig file.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.kubeconfig: Path = engine.access.write_kubeconfig()

    @property
    def faults(self) -> ApiFaults:
        """What goes wrong at the API for clients, see `testing.apifaults`."""
        return self._engine.faults

    @property
    def url(self) -> str:
        """`https://127.0.0.1:port`."""
        return self._engine.access.url

    @property
    def authority(self) -> bytes:
        """The certificate (PEM) that the server's is signed with; b"" without TLS."""
        return self._engine.access.authority

    def kubeconfig_for(self, user: str = ADMIN_USER, groups: Sequence[str] = MASTERS) -> Path:
        """A kubeconfig file of another user, for instance to hit only that one with faults."""
        return self._engine.access.write_kubeconfig(user, groups)

    def kubeconfig_dict(
        self, user: str = ADMIN_USER, groups: Sequence[str] = MASTERS
    ) -> dict[str, Any]:
        """The same as a dict."""
        return self._engine.access.kubeconfig(user, groups)

    def get(self, resource: str, name: str, namespace: str = "default") -> MutableObj | None:
        """An object as the store has it now; None when it is not there."""
        return self._look(lambda world: world.get(resource, name, namespace))

    def objects(self, resource: str, namespace: str | None = None) -> list[MutableObj]:
        """The objects of a resource, or of one namespace."""
        return self._look(lambda world: world.objects(resource, namespace))

    def names(self, resource: str, namespace: str | None = None) -> list[str]:
        """The names of those, in order."""
        return self._look(lambda world: world.names(resource, namespace))

    def ready(self, resource: str, name: str, namespace: str = "default") -> bool:
        """Whether a set has rolled out whole: every replica there, new and Ready, none too many."""
        return self._look(lambda world: world.ready(resource, name, namespace))

    def connections(self) -> int:
        """How many connections of clients are open: 0 after a client that closes its own."""
        return self._look(lambda world: len(self._engine.front.connections))

    def now(self) -> float:
        """The cluster's wall-clock time, in seconds since the epoch."""
        return self._look(lambda world: world.clock.now())

    def script(self, pod: str, script: Script) -> None:
        """What pods of that name will do from their next start on; "*" means all others."""
        self._look(lambda world: world.script(pod, script))

    def trace(self) -> list[str]:
        """One line per change of the store and of what runs on the nodes, since the last reset."""
        return self._look(lambda world: list(world.trace))

    def _look(self, see: Callable[[World], T]) -> T:
        return self._engine.call(lambda: see(self._engine.world))

    def _late(self, timeout_s: float) -> TimeoutError:
        recent = "\n".join(self.trace()[-TOLD:])
        return TimeoutError(f"not so within {timeout_s} s; what happened last:\n{recent}")


class Cluster(Handle):
    """The cluster for async tests, on whatever loop they run. Use it as an async context manager.

    Args:
        options: see `testing.background.Settings`.

    Attributes:
        client: the API as an administrator, in process, for the loop of the test.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self._settings = Settings(**options)
        self._owned: Engine | None = None

    @classmethod
    def on(cls, engine: Engine) -> Self:
        """The awaitable form of a cluster that runs already and is somebody else's to end."""
        made = cls()
        made._attach(engine)
        return made

    def _attach(self, engine: Engine) -> None:
        Handle.__init__(self, engine)
        local = Local(engine.answer, ADMIN)
        self.client = Client(Bridged(local, engine.future), manager=ADMIN.user)

    async def __aenter__(self) -> Self:
        engine = Engine(self._settings)
        engine.start()
        await asyncio.wrap_future(engine.started)
        self._owned = engine
        self._attach(engine)
        return self

    async def __aexit__(self, *_: object) -> None:
        engine, self._owned = self._owned, None
        if engine is not None:
            engine.stop()
            await asyncio.wrap_future(engine.ended)
            engine.join()

    async def run(self, work: Callable[[World], Awaitable[T]]) -> T:
        """Run an async function of the `World` on the cluster's own loop."""
        return await asyncio.wrap_future(self._engine.future(_on(self._engine, work)))

    async def apply(self, what: str | Obj) -> list[MutableObj]:
        """Create objects, or merge what is given into those that are there (YAML or one object)."""
        return await self.run(lambda world: world.apply(what))

    async def wait_for(self, predicate: Callable[[], T], *, timeout_s: float = WAIT_S) -> T:
        """Wait until `predicate()` is true, and give what it gave.

        It is asked on the test's own loop, after every change and every `POLL_S`. Raises
        TimeoutError, with the end of the trace, and what controllers or nodes died of.
        """
        changed, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        deadline = loop.time() + timeout_s
        with self._engine.listening(wake):
            while not (found := predicate()):
                await self.run(lambda world: world.sleep(0))
                if loop.time() > deadline:
                    raise self._late(timeout_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await changed.wait()
                changed.clear()
        return found

    async def reset(self) -> None:
        """Put everything back to how it was at the start, faults and scripts too.

        Watches end as if their time were up; one that resumes at an old revision gets 410, as
        revisions go on. The clock stays where it was moved to.
        """
        await asyncio.wrap_future(self._engine.future(self._engine.reset()))

    async def advance(self, seconds: float) -> None:
        """Have `seconds` of the cluster's time pass at once, with all that happens in them."""
        await asyncio.wrap_future(self._engine.future(self._engine.advance(seconds)))

    async def lose_node(self, name: str, *, containers: bool = True) -> None:
        """Lose a node: its agent is gone at once, and its containers unless told otherwise."""
        await self.run(lambda world: world.node(name).lose(containers=containers))

    async def start_node(self, name: str) -> None:
        """Start the agent of a lost node again."""
        self._look(lambda world: world.node(name).start())

    async def restart_control(self) -> None:
        """Crash controllers and scheduler, and start them anew."""
        await self.run(lambda world: world.restart_control())


class RunningCluster(Handle):
    """The cluster for tests that block. Made by `running_cluster`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.aio = Cluster.on(engine)
        """The awaitable form of this very cluster."""

    def run(self, work: Callable[[World], Awaitable[T]]) -> T:
        """Run an async function of the `World` on the cluster's own loop."""
        return self._engine.future(_on(self._engine, work)).result()

    def apply(self, what: str | Obj) -> list[MutableObj]:
        """Create objects, or merge what is given into those that are there (YAML or one object)."""
        return self.run(lambda world: world.apply(what))

    def wait_for(self, predicate: Callable[[], T], *, timeout_s: float = WAIT_S) -> T:
        """Wait until `predicate()` is true, and give what it gave.

        It is asked in the calling thread, after every change and every `POLL_S`: it may use any
        client of the cluster. Raises TimeoutError, with the end of the trace, and what controllers
        or nodes died of.
        """
        changed = threading.Event()
        deadline = time.monotonic() + timeout_s
        with self._engine.listening(changed.set):
            while not (found := predicate()):
                self.run(lambda world: world.sleep(0))
                if time.monotonic() > deadline:
                    raise self._late(timeout_s)
                changed.wait(POLL_S)
                changed.clear()
        return found

    def reset(self) -> None:
        """Put everything back to how it was at the start; see `Cluster.reset`."""
        self._engine.future(self._engine.reset()).result()

    def advance(self, seconds: float) -> None:
        """Have `seconds` of the cluster's time pass at once, with all that happens in them."""
        self._engine.future(self._engine.advance(seconds)).result()

    def lose_node(self, name: str, *, containers: bool = True) -> None:
        """Lose a node: its agent is gone at once, and its containers unless told otherwise."""
        self.run(lambda world: world.node(name).lose(containers=containers))

    def start_node(self, name: str) -> None:
        """Start the agent of a lost node again."""
        self._look(lambda world: world.node(name).start())

    def restart_control(self) -> None:
        """Crash controllers and scheduler, and start them anew."""
        self.run(lambda world: world.restart_control())


async def _on(engine: Engine, work: Callable[[World], Awaitable[T]]) -> T:
    return await work(engine.world)


@contextlib.contextmanager
def running_cluster(**options: Unpack[Options]) -> Iterator[RunningCluster]:
    """A cluster for as long as the block runs; options as in `testing.background.Settings`."""
    engine = Engine(Settings(**options))
    engine.start()
    engine.started.result()
    try:
        yield RunningCluster(engine)
    finally:
        engine.stop()
        engine.ended.result()
        engine.join()
