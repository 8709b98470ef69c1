"""A cluster's server by itself, on a store that is filled beforehand: no agents, real TLS."""

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from petset.api.meta import format_time
from petset.apiserver import objects
from petset.base.clock import SystemClock
from petset.base.tlsconfig import client_context
from petset.cli import down, process, up
from petset.store.log import open_store
from petset.store.types import Store

PODS = 10_000
NODES = 100
READY_WITHIN_S = 30.0
SERVER_CORE, LOAD_CORE = 0, 1
_FILL_AT_ONCE = 1000

Fill = Callable[[Store], Awaitable[None]]


class Box:
    """One cluster without agents; its server is started and stopped at will."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.where, self.cluster = up.start(
            up.Wanted(name=name, nodes=0, kubeconfig=_kubeconfig(name))
        )
        self.server = process.read(self.where.pid_file("server"))

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self.server is not None
        return self.server.pid

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens for users."""
        return self.cluster.listen, self.cluster.port

    def context(self) -> ssl.SSLContext:
        """A client's context with the administrator's certificate."""
        pki = self.where.pki
        return client_context(pki / "ca.crt", pki / "admin.crt", pki / "admin.key")

    def stop(self) -> None:
        """Stop the server."""
        if self.server is not None:
            process.stop([self.server])
            self.server = None

    def fill(self, fill: Fill) -> None:
        """Write into the store of the stopped server."""

        async def filling() -> None:
            store = await open_store(self.where.store, clock=SystemClock())
            try:
                await fill(store)
            finally:
                await store.close()

        asyncio.run(filling())

    def start(self) -> float:
        """Start the server on its core; seconds from exec until it says that it is ready."""
        began = time.perf_counter()
        with pinned(SERVER_CORE):
            started = up.start_server(self.where, self.cluster)
        assert started is not None
        up.expect_ready(started, "the server")
        took = time.perf_counter() - began
        self.server = started.process
        return took

    def cpu_s(self) -> float:
        """Processor time that the server's threads have used."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def pss_mb(self) -> float:
        """Memory of the server: its proportional set size."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        return 0.0


def _kubeconfig(name: str) -> Path:
    return Path(f"/tmp/{name}.kubeconfig")


@contextlib.contextmanager
def box(what: str) -> Iterator[Box]:
    """A cluster of its own, gone afterwards."""
    name = f"bench-{what}-{os.getpid()}"
    made = Box(name)
    try:
        yield made
    finally:
        made.stop()
        _kubeconfig(name).unlink(missing_ok=True)
        down.run(name, None, delete_data=True)


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started meanwhile runs on one core, where the machine has more than one."""
    before = os.sched_getaffinity(0)
    if core in before:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def put(store: Store, resource: str, obj: dict[str, Any]) -> None:
    """Write one object as the server would have."""
    meta = obj["metadata"]
    key = f"{resource}/{meta.get('namespace', '')}/{meta['name']}"
    await store.put(key, objects.maker(obj), expect=0)


async def put_all(store: Store, resource: str, objs: list[dict[str, Any]]) -> None:
    """Write many objects."""
    for at in range(0, len(objs), _FILL_AT_ONCE):
        await asyncio.gather(*(put(store, resource, o) for o in objs[at : at + _FILL_AT_ONCE]))


async def fill_pods(store: Store) -> None:
    """10,000 running pods of 2 kB, and the nodes that they are on, alive for an hour."""
    now = time.time()
    await put_all(store, "nodes", [node(n, now) for n in range(NODES)])
    await put_all(store, "leases.coordination.k8s.io", [lease(n, now) for n in range(NODES)])
    await put_all(store, "pods", [pod(n, now) for n in range(PODS)])


def uid(kind: int, number: int) -> str:
    """A uid, always the same for the same object."""
    return f"{kind:08x}-7e57-4bed-8a11-{number:012x}"


def node(number: int, now: float) -> dict[str, Any]:
    """A ready node."""
    when = format_time(now)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": when,
        "lastTransitionTime": when,
    }
    room = {"cpu": "64", "memory": "256Gi", "pods": "110"}
    name = f"node-{number:03d}"
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "uid": uid(1, number),
            "creationTimestamp": when,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {},
        "status": {"capacity": room, "allocatable": room, "conditions": [ready]},
    }


def lease(number: int, now: float) -> dict[str, Any]:
    """The sign of life of a node, written an hour from now."""
    name = f"node-{number:03d}"
    return {
        "kind": "Lease",
        "apiVersion": "coordination.k8s.io/v1",
        "metadata": {
            "name": name,
            "namespace": "kube-node-lease",
            "uid": uid(2, number),
            "creationTimestamp": format_time(now),
        },
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": format_time(now + 3600).replace("Z", ".000000Z"),
        },
    }


def pod(number: int, now: float) -> dict[str, Any]:
    """A running pod of about 2 kB, with what the server and an agent fill in."""
    when, name = format_time(now), f"app-{number // 10:04d}-{number % 10}"
    app = f"app-{number // 10:04d}"
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": when}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    ip = f"10.128.{number // 250}.{number % 250 + 1}"
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid(3, number),
            "resourceVersion": "",
            "creationTimestamp": when,
            "labels": {"app": app, "tier": "gold" if number % 10 == 0 else "plain"},
            "managedFields": [
                {
                    "manager": "kubectl-create",
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": when,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:tier": {}}},
                        "f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}},
                    },
                }
            ],
        },
        "spec": _pod_spec(number),
        "status": {
            "phase": "Running",
            "conditions": conditions,
            "hostIP": "172.29.0.11",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "startTime": when,
            "qosClass": "Burstable",
            "containerStatuses": [
                {
                    "name": "app",
                    "image": "registry.example.org/app:1.2",
                    "imageID": "sha256:" + f"{number % 7:064x}",
                    "containerID": f"crun://{number:064x}",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": when}},
                    "lastState": {},
                }
            ],
        },
    }


def _pod_spec(number: int) -> dict[str, Any]:
    return {
        "containers": [
            {
                "name": "app",
                "image": "registry.example.org/app:1.2",
                "ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "nodeName": f"node-{number % NODES:03d}",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
        "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority",
    }
