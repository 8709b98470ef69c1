"""Many pods on fake nodes: how many per second get Running, and what they cost at rest."""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import bench_cluster
from benchmarks.fakenodes import FakeNodes
from benchmarks.machine import row
from petset.api import meta
from petset.cli import process, state, targets, thin, up
from petset.client.client import Client
from petset.testing.world import World

NODES = 1000
SETS = 100
EACH = 100
BIG = 1000
IDLE_S = 20.0


def app(kind: str, name: str, replicas: int) -> list[dict[str, Any]]:
    """A set of `replicas` pods with its Service; StatefulSets are Parallel."""
    labels = {"app": name}
    spec: dict[str, Any] = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "main",
                        "image": "fake:1",
                        "ports": [{"name": "web", "containerPort": 80}],
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                        "env": [{"name": "MODE", "value": "bench"}],
                    }
                ],
            },
        },
    }
    if kind == "StatefulSet":
        spec |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    service = {
        "clusterIP": "None",
        "selector": labels,
        "ports": [{"name": "web", "port": 80}],
    }
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
        {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec},
    ]


async def until_ready(client: Client, count: int) -> None:
    """Wait until `count` pods are Ready, and every set says so of itself."""
    ready: set[str] = set()
    listed = await client.list("pods")
    watch = client.watch("pods", resource_version=listed.resource_version)
    ready.update(meta.uid_of(p) for p in listed.items if meta.is_condition_true(p, "Ready"))
    async with aclosing(watch):
        async for kind, pod in watch:
            if kind != "BOOKMARK" and meta.is_condition_true(pod, "Ready"):
                ready.add(meta.uid_of(pod))
                if len(ready) >= count:
                    return


async def until_told(client: Client) -> None:
    """Wait until the status of every set counts all its replicas as ready."""
    for resource_id in ("statefulsets.apps", "deployments.apps"):
        while True:
            sets = (await client.list(resource_id)).items
            if all(s["status"].get("readyReplicas") == s["spec"]["replicas"] for s in sets):
                break
            await asyncio.sleep(0.02)


async def fill(client: Client, sets: int, each: int) -> tuple[float, float]:
    """Create `sets` of `each` pods, half StatefulSets, half Deployments.

    Answers seconds until all pods are Ready, and until every set's status says so.
    """
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(until_ready(client, sets * each))
        for number in range(sets):
            kind = "Deployment" if number % 2 else "StatefulSet"
            for obj in app(kind, f"app-{number}", each):
                await client.create(targets.kind_of(obj).id, obj, "default")
        await ready
        took = time.perf_counter() - began
    await until_told(client)
    return took, time.perf_counter() - began


@contextlib.asynccontextmanager
async def in_process(nodes: int) -> AsyncIterator[Client]:
    """A control plane and its fake nodes, all on this loop, with the store in memory."""
    async with World(nodes=0) as world:
        work = asyncio.create_task(_be_nodes(world, nodes))
        try:
            await world.wait_for(lambda: len(world.names("nodes")) == nodes or work.done())
            yield world.client
        finally:
            work.cancel()
            await asyncio.wait([work])


async def _be_nodes(world: World, nodes: int) -> None:
    await FakeNodes(world.client, world.clock, nodes).run()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server process, and the process that is its nodes."""

    server: int
    nodes: int
    client: Client


@contextlib.asynccontextmanager
async def two_processes(nodes: int) -> AsyncIterator[Cluster]:
    """A real server with its store on disk; fake nodes in a process of their own, over TLS."""
    name = f"scale-{os.getpid()}"
    config = Path(f"/tmp/{name}.kubeconfig")
    with state.lock(f"cluster {name}"):
        where, cluster = up.start(up.Wanted(name, nodes=0, kubeconfig=config))
    words = [sys.executable, "-m", "benchmarks.fakenodes", name, str(nodes)]
    fakes = subprocess.Popen(words, stdout=subprocess.PIPE)
    client = thin.connect_to(where, cluster)
    try:
        assert fakes.stdout is not None
        if await asyncio.to_thread(fakes.stdout.readline) != b"ready\n":
            raise SystemExit("the fake nodes did not start")
        server = process.read(where.pid_file("server"))
        assert server is not None
        yield Cluster(server.pid, fakes.pid, client)
    finally:
        await client.close()
        fakes.kill()  # `up` has us ignore SIGTERM by now, and with us our children
        fakes.wait()
        words = [sys.executable, "-m", "petset", "down", "--name", name, "--delete-data"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        config.unlink(missing_ok=True)


def _collect_seldom() -> None:
    """Garbage collection as in the server process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _told(where: str, count: int, took: tuple[float, float]) -> None:
    pods, whole = took
    row(f"{count} pods, {NODES} fake nodes, {where}: Running", [count / pods], "/s", ">= 300")
    row(f"{count} pods, {NODES} fake nodes, {where}: sets say so", [count / whole], "/s")


def bench_many() -> None:
    """10,000 pods over 1,000 fake nodes; in one process, then in two over TLS."""

    async def inside() -> None:
        async with in_process(NODES) as client:
            _told("one process", SETS * EACH, await fill(client, SETS, EACH))

    _collect_seldom()
    asyncio.run(inside())
    asyncio.run(_apart(SETS, EACH))


async def _apart(sets: int, each: int) -> None:
    async with two_processes(NODES) as cluster:
        cpu = [bench_cluster._cpu_s(pid) for pid in (cluster.server, cluster.nodes)]
        took = await fill(cluster.client, sets, each)
        _told("TLS", sets * each, took)
        for who, pid, before in zip(
            ("server", "nodes"), (cluster.server, cluster.nodes), cpu, strict=True
        ):
            spent = bench_cluster._cpu_s(pid) - before
            row(f"  CPU of the {who} per pod", [spent / sets / each * 1000], "ms")
        await asyncio.sleep(10.0)
        before = bench_cluster._cpu_s(cluster.server)
        await asyncio.sleep(IDLE_S)
        idle = (bench_cluster._cpu_s(cluster.server) - before) / IDLE_S * 100
        row(f"  idle server, {sets * each} pods, {NODES} leases: CPU", [idle], "%")
        row(
            f"  idle server, {sets * each} pods: PSS", [bench_cluster._pss_mb(cluster.server)], "MB"
        )


def bench_big() -> None:
    """One Parallel StatefulSet of 1,000, with its headless Service."""

    async def once(client: Client) -> float:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            ready = group.create_task(until_ready(client, BIG))
            for obj in app("StatefulSet", "big", BIG):
                await client.create(targets.kind_of(obj).id, obj, "default")
            await ready
        await until_told(client)
        return time.perf_counter() - began

    async def inside() -> float:
        async with in_process(NODES // 10) as client:
            return await once(client)

    async def apart() -> float:
        async with two_processes(NODES // 10) as cluster:
            return await once(cluster.client)

    _collect_seldom()
    rounds = 3
    one = [asyncio.run(inside()) for _ in range(rounds)]
    row(f"Parallel StatefulSet of {BIG}, one process: all Ready", one, "s", "<= 5")
    two = [asyncio.run(apart()) for _ in range(rounds)]
    row(f"Parallel StatefulSet of {BIG}, TLS: all Ready", two, "s", "<= 5")


BENCHES = {"scale": bench_many, "bigset": bench_big}
