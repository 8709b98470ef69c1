"""Fake nodes: real Nodes and Leases in the API, pods that only pretend to run.

A fake node behaves as the agent does towards the API: it registers itself, renews its lease, runs
the pods bound to it, reports their status, and deletes a pod's object only when nothing of the pod
runs any more.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj
from petset.base.clock import Clock
from petset.client.cache import Cache
from petset.client.client import Client
from petset.client.lease import Lease
from petset.client.reflector import Informers
from petset.client.transport import TransportError
from petset.testing.fakepod import Life, Runtime, Script

LEASE_EVERY_S = 10.0
REGISTER_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """What a fake node is.

    Attributes:
        number: its place in addresses: 172.29.0.(10 + number), pods in 10.128.(number).0/24.
        beat_s: pause between renewals of its lease.
    """

    name: str
    number: int
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(
        default_factory=lambda: {"cpu": "4", "memory": "8Gi", "pods": "110"}
    )
    beat_s: float = LEASE_EVERY_S


class FakeNode:
    """One node.

    Args:
        script_of: what a pod will do.

    Attributes:
        beside: what else the agent's process does from each of its starts to its end.
    """

    def __init__(
        self,
        spec: NodeSpec,
        client: Client,
        clock: Clock,
        runtime: Runtime,
        script_of: Callable[[Obj], Script],
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.number = spec.number
        self.client = client
        self.clock = clock
        self.runtime = runtime
        self.script_of = script_of
        self.pods = Cache("pods")
        self.beside: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._restarts: dict[str, int] = {}
        self._held: dict[str, Obj] = {}
        self._failing: set[str] = set()
        self._moved: set[str] = set()
        self.changed: dict[str, asyncio.Event] = {}
        self._addresses = 1
        self._work: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether the agent is at work."""
        return self._work is not None

    def start(self) -> None:
        """Start the agent: it takes over the containers that still run."""
        assert self._work is None, f"{self.name} is up already"
        self._work = asyncio.create_task(_Agent(self).run(), name=f"agent {self.name}")

    async def lose(self, *, containers: bool = True) -> None:
        """Lose the node: the agent is gone at once, and its containers unless told otherwise."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.wait([work])
            if not work.cancelled() and (error := work.exception()) is not None:
                raise error
        if containers:
            self._moved |= self._held.keys()
            for pod in list(self._held.values()):
                self.end("stopped", pod)

    def begin(self, pod: Obj) -> None:
        """The containers of `pod` begin to run."""
        uid = meta.uid_of(pod)
        self._restarts[uid] = self._restarts.get(uid, -1) + 1
        self._held[uid] = pod
        self._moved.discard(uid)
        self.runtime.note("started", self.name, pod)

    def end(self, what: str, pod: Obj) -> None:
        """The containers of `pod` have ended, if they ran."""
        if self._held.pop(meta.uid_of(pod), None) is not None:
            self.runtime.note(what, self.name, pod)

    def current(self, pod: Obj) -> Obj | None:
        """The pod as the cache has it; None when it is gone."""
        found = self.pods.get(meta.namespace_of(pod), meta.name_of(pod))
        return found if found is not None and meta.uid_of(found) == meta.uid_of(pod) else None

    def runs(self, uid: str) -> bool:
        """Whether containers of the pod run."""
        return uid in self._held

    def fail(self, uid: str) -> None:
        """End the containers of a pod for good, as a node does that runs out of memory or disk."""
        self._failing.add(uid)
        if uid in self.changed:
            self.changed[uid].set()

    def is_failing(self, uid: str) -> bool:
        """Whether the node has given the pod up."""
        return uid in self._failing

    def held(self) -> list[Obj]:
        """The pods whose containers run."""
        return list(self._held.values())

    def restarts(self, uid: str) -> int:
        """How often the pod's containers were started again."""
        return max(0, self._restarts.get(uid, 0))

    def keeps_address(self, uid: str) -> bool:
        """Whether the pod has the address that it had: not if the node was lost with it."""
        return uid not in self._moved

    def new_address(self) -> str:
        """An address for a pod."""
        self._addresses += 1
        return f"10.128.{self.number}.{self._addresses % 250 + 2}"

    def check(self) -> None:
        """Raise what the agent died of, if it did."""
        if self._work is not None and self._work.done():
            self._work.result()
            raise AssertionError(f"the agent of {self.name} has ended")


class _Agent:
    """The agent's life from one start to its end."""

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.informers = Informers(node.client)
        node.pods = self.informers.cache("pods", fields=f"spec.nodeName={node.name}")
        self.changed = node.changed = dict[str, asyncio.Event]()
        self.registered = asyncio.Event()
        self.ending = False

    async def run(self) -> None:
        """Register, then run pods until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat())
            group.create_task(self.informers.run())
            if self.node.beside is not None:
                group.create_task(self.node.beside())
            await self.node.pods.wait_synced()
            await self.registered.wait()

            def hear(old: Obj | None, new: Obj | None) -> None:
                for pod in (old, new):
                    if pod is not None:
                        self._look(meta.uid_of(pod), pod, group)

            self.node.pods.add_handler(hear)
            for pod in self.node.held():
                self._look(meta.uid_of(pod), pod, group)
            try:
                await asyncio.Future[None]()
            finally:
                self.ending = True

    def _look(self, uid: str, pod: Obj, group: asyncio.TaskGroup) -> None:
        event = self.changed.get(uid)
        if event is not None:
            event.set()
        elif not self.ending and (self.node.current(pod) is not None or self.node.runs(uid)):
            self.changed[uid] = asyncio.Event()
            group.create_task(self._follow(pod))

    async def _follow(self, pod: Obj) -> None:
        uid = meta.uid_of(pod)
        try:
            await Life(self.node, pod, self.changed[uid]).run()
        finally:
            self.changed.pop(uid, None)

    async def _beat(self) -> None:
        node = self.node
        lease = Lease(node.client, node.clock, node.name, "kube-node-lease", node.name)
        while True:
            with contextlib.suppress(StatusError, TransportError):
                await self._register()
                self.registered.set()
                await lease.renew()
            known = self.registered.is_set()
            await asyncio.sleep(node.spec.beat_s if known else REGISTER_AGAIN_S)

    async def _register(self) -> None:
        node = self.node
        try:
            present = await node.client.get("nodes", node.name)
        except StatusError as error:
            if error.code != 404:
                raise
            present = await node.client.create("nodes", self._fresh())
        if not meta.is_condition_true(present, "Ready"):
            await node.client.patch("nodes", node.name, self._status(), subresource="status")

    def _fresh(self) -> MutableObj:
        labels = {"kubernetes.io/hostname": self.node.name, "kubernetes.io/os": "linux"}
        return {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"name": self.node.name, "labels": {**labels, **self.node.spec.labels}},
            "spec": {"podCIDR": f"10.128.{self.node.number}.0/24"},
        }

    def _status(self) -> MutableObj:
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the fake agent is at work",
            "lastHeartbeatTime": meta.format_time(self.node.clock.now()),
            "lastTransitionTime": meta.format_time(self.node.clock.now()),
        }
        address = {"type": "InternalIP", "address": f"172.29.0.{10 + self.node.number}"}
        return {
            "status": {
                "capacity": dict(self.node.spec.capacity),
                "allocatable": dict(self.node.spec.capacity),
                "conditions": [ready],
                "addresses": [address],
            }
        }
