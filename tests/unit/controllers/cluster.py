"""A control plane in one process for tests of controllers: real server, store in memory, caches.

A kubelet and a scheduler of a few lines stand in for the other rooms; tests may do without them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj
from petset.apiserver.app import App
from petset.base.clock import Clock, SystemClock
from petset.base.http import Identity
from petset.base.ids import Ids
from petset.client.cache import Cache
from petset.client.client import Client
from petset.client.local import Local
from petset.client.reflector import Informers
from petset.reconcile import podtemplate
from petset.reconcile.context import Config, Context
from petset.reconcile.manager import Factory, Manager
from petset.store.drivers import memory

LIMIT_S = 20.0
IDENTITY = Identity("system:petset-controllers", ("system:masters", "system:authenticated"))
T = TypeVar("T")


class Said:
    """A recorder that keeps what was said."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    async def record(self, involved: Obj, kind: str, reason: str, message: str) -> None:
        del involved
        self.events.append((kind, reason, message))

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.events]


@dataclass(frozen=True)
class Cluster:
    """What a test holds in its hands."""

    client: Client
    informers: Informers
    manager: Manager
    said: Said

    def cache(self, resource: str) -> Cache:
        return self.informers.cache(resource)

    async def until(self, found: Callable[[], T], *resources: str) -> T:
        """Wait until `found` is true of the caches; it is asked after each of their changes."""
        changed = asyncio.Event()
        for resource in resources:
            self.cache(resource).add_handler(lambda old, new: changed.set())
        async with asyncio.timeout(LIMIT_S):
            while not (value := found()):
                await changed.wait()
                changed.clear()
        return value

    async def gone(self, resource: str, name: str, namespace: str = "default") -> None:
        cache = self.cache(resource)
        await self.until(lambda: cache.get(namespace, name) is None, resource)

    async def exists(self, resource: str, name: str, namespace: str = "default") -> None:
        try:
            await self.client.get(resource, name, namespace)
        except StatusError as error:
            raise AssertionError(f"{resource} {name} is not there") from error


@asynccontextmanager
async def cluster(
    factories: Sequence[tuple[str, Factory]],
    *,
    config: Config | None = None,
    clock: Clock | None = None,
    kubelet: bool = False,
) -> AsyncIterator[Cluster]:
    """Run a server with these controllers."""
    clock, ids, said = clock or SystemClock(), Ids(1), Said()
    store = memory.MemoryStore(clock)
    app = App(store, clock, ids)
    await app.start()
    client = Client(Local(app.dispatch, IDENTITY), manager="test")
    informers = Informers(client)
    ctx = Context(informers, client, clock, ids, lambda component: said, config or Config())
    manager = Manager(ctx, factories)
    here = Cluster(client, informers, manager, said)
    group = asyncio.TaskGroup()
    try:
        async with group:
            tasks = [group.create_task(manager.run())]
            await manager.started.wait()
            if kubelet:
                await add_node(client)
                tasks.append(group.create_task(run_kubelet(here)))
            yield here
            for task in tasks:
                task.cancel()
    finally:
        await app.close()
        await store.close()


async def add_node(client: Client, name: str = "n1") -> None:
    """A node that is ready."""
    node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}}
    await client.create("nodes", node)
    since = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": since}
    await client.patch("nodes", name, {"status": {"conditions": [ready]}}, subresource="status")


async def run_kubelet(here: Cluster) -> None:
    """Bind each pod, make it ready, and let it go when it is to go."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    pods = here.cache("pods")
    await pods.wait_synced()

    def on_pod(old: Obj | None, new: Obj | None) -> None:
        if new is not None:
            queue.put_nowait(meta.key_of(new))

    pods.add_handler(on_pod)
    while True:
        namespace, _, name = (await queue.get()).partition("/")
        pod = pods.get(namespace, name)
        if pod is None:
            continue
        try:
            await _serve(here.client, pod, namespace, name)
        except StatusError as error:
            if error.code not in (404, 409):
                raise


async def _serve(client: Client, pod: Obj, namespace: str, name: str) -> None:
    if meta.is_deleting(pod):
        await client.delete("pods", name, namespace, uid=meta.uid_of(pod), grace_s=0)
    elif not pod["spec"].get("nodeName"):
        target = {"apiVersion": "v1", "kind": "Node", "name": "n1"}
        body = {
            "kind": "Binding",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace},
            "target": target,
        }
        await client.create("pods", body, namespace, name=name, subresource="binding")
    elif not podtemplate.is_ready(pod) and not podtemplate.is_finished(pod):
        await client.patch("pods", name, ready_status(), namespace, subresource="status")


def ready_status(address: str = "10.128.0.5") -> MutableObj:
    """A status patch that makes a pod ready."""
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status: dict[str, Any] = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [condition],
    }
    return {"status": status}
