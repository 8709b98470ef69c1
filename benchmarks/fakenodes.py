"""Fake nodes by the thousand: one loop that keeps their leases and says of every pod that it runs.

They do to the API what agents do: register, renew a lease every 10 s each, answer a pod that is
bound to them with one status (Running and Ready), and let a pod go that is being deleted.

    python -m benchmarks.fakenodes CLUSTER COUNT    # a process of its own, over TLS
"""

import asyncio
import contextlib
import sys
from contextlib import aclosing

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj
from petset.base.clock import Clock, SystemClock
from petset.cli import thin
from petset.client.client import Client
from petset.client.lease import Lease

LEASE_EVERY_S = 10.0
WRITERS = 32
BEATERS = 20
CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "110"}


class FakeNodes:
    """The nodes `fake-0`, `fake-1`, ...

    Attributes:
        registered: set when every node is there and Ready.
    """

    def __init__(self, client: Client, clock: Clock, count: int) -> None:
        self.registered = asyncio.Event()
        self._client = client
        self._clock = clock
        self._names = [f"fake-{number}" for number in range(count)]
        self._work: asyncio.Queue[Obj] = asyncio.Queue()
        self._under_way: dict[str, Obj] = {}
        self._answered: dict[str, int] = {}
        self._addresses = 0

    async def run(self) -> None:
        """Be the nodes until cancelled."""
        leases = await self._register()
        self.registered.set()
        async with asyncio.TaskGroup() as group:
            for number in range(BEATERS):
                group.create_task(self._beat(leases[number::BEATERS]))
            group.create_task(self._follow())
            for _ in range(WRITERS):
                group.create_task(self._write())

    async def _register(self) -> list[Lease]:
        leases = [
            Lease(self._client, self._clock, name, "kube-node-lease", name) for name in self._names
        ]
        for at in range(0, len(leases), WRITERS):
            async with asyncio.TaskGroup() as group:
                for lease in leases[at : at + WRITERS]:
                    group.create_task(self._register_one(lease))
        return leases

    async def _register_one(self, lease: Lease) -> None:
        await self._client.create("nodes", self._node(lease.name))
        await lease.renew()

    async def _beat(self, leases: list[Lease]) -> None:
        """Renew every lease in its turn, evenly over the period."""
        loop = asyncio.get_running_loop()
        began, turn = loop.time(), 0
        while True:
            for lease in leases:
                turn += 1
                due = began + turn * LEASE_EVERY_S / len(leases)
                await asyncio.sleep(max(0.0, due - loop.time()))
                with contextlib.suppress(StatusError):
                    await lease.renew()

    async def _follow(self) -> None:
        while True:
            listed = await self._client.list("pods", fields="spec.nodeName!=")
            for pod in listed.items:
                self._see(pod)
            watch = self._client.watch(
                "pods", resource_version=listed.resource_version, fields="spec.nodeName!="
            )
            with contextlib.suppress(StatusError):
                async with aclosing(watch):
                    async for event in watch:
                        if event.type == "DELETED":
                            self._answered.pop(meta.uid_of(event.obj), None)
                        elif event.type != "BOOKMARK":
                            self._see(event.obj)

    def _see(self, pod: Obj) -> None:
        """Answer a pod that is being deleted or not Ready, unless the last answer is on its way."""
        uid, version = meta.uid_of(pod), int(meta.version_of(pod))
        settled = meta.is_condition_true(pod, "Ready") and not meta.is_deleting(pod)
        if uid in self._under_way:
            self._under_way[uid] = pod
        elif not settled and version > self._answered.get(uid, 0):
            self._under_way[uid] = pod
            self._work.put_nowait(pod)

    async def _write(self) -> None:
        while True:
            pod = await self._work.get()
            name, namespace, uid = meta.name_of(pod), meta.namespace_of(pod), meta.uid_of(pod)
            answer: MutableObj = {}
            with contextlib.suppress(StatusError):
                if meta.is_deleting(pod):
                    await self._client.delete("pods", name, namespace, uid=uid, grace_s=0)
                else:
                    patch = {"metadata": {"uid": uid}, "status": self._running(pod)}
                    names = (name, patch, namespace)
                    answer = await self._client.patch("pods", *names, subresource="status")
            if answer:
                self._answered[uid] = int(meta.version_of(answer))
            newest = self._under_way.pop(uid)
            if not meta.is_deleting(pod):
                self._see(newest)

    def _running(self, pod: Obj) -> MutableObj:
        self._addresses += 1
        number = self._addresses
        now = meta.format_time(self._clock.now())
        address = f"10.{128 + number // 62500 % 100}.{number // 250 % 250}.{number % 250 + 2}"
        kinds = (
            "PodReadyToStartContainers",
            "Initialized",
            "Ready",
            "ContainersReady",
            "PodScheduled",
        )
        return {
            "phase": "Running",
            "hostIP": "172.29.0.10",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds
            ],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "state": {"running": {"startedAt": now}},
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                }
                for container in pod["spec"]["containers"]
            ],
        }

    def _node(self, name: str) -> MutableObj:
        now = meta.format_time(self._clock.now())
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "a fake node",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        return {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
            },
            "status": {"capacity": CAPACITY, "allocatable": CAPACITY, "conditions": [ready]},
        }


async def _main(cluster: str, count: int) -> None:
    client = thin.connect(cluster)
    try:
        nodes = FakeNodes(client, SystemClock(), count)
        async with asyncio.TaskGroup() as group:
            group.create_task(nodes.run())
            await nodes.registered.wait()
            print("ready", flush=True)
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
