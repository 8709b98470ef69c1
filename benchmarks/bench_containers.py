"""Many real pods at once, the pace of ordered sets, a killed container: on real containers (root).

The processor account counts everything that a pod costs while it starts: server, agent, the
programs they run (by a control group of cpuacct, where there is one), and the containers' own.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench_cluster import cluster, create, manifests, until_ready
from benchmarks.machine import row
from petset.api import meta
from petset.api.meta import Obj
from petset.cli import paths, process, state, thin
from petset.client.client import Client
from petset.node.runtime import cgroup, record

PODS = 100
ORDERED = 5
IDLE = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
"""A shell that ends at once when it is told to."""
CPUACCT = Path("/sys/fs/cgroup/cpuacct")
PER_POD_MS = 100


# -- sets ---------------------------------------------------------------------------------------


def sleepers(name: str, policy: str, replicas: int) -> dict[str, Any]:
    """A StatefulSet of busybox that does nothing and stops at once."""
    labels = {"app": name}
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", IDLE]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "podManagementPolicy": policy,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 10, "containers": [container]},
            },
        },
    }


async def scale(client: Client, name: str, replicas: int) -> None:
    """Ask for so many members."""
    await client.patch("statefulsets.apps", name, {"spec": {"replicas": replicas}}, "default")


async def until_none(client: Client, app: str) -> None:
    """Wait until there is no pod of `app`."""
    listed = await client.list("pods", "default", labels=f"app={app}")
    left = {meta.uid_of(pod) for pod in listed.items}
    watch = client.watch(
        "pods", "default", labels=f"app={app}", resource_version=listed.resource_version
    )
    while left:
        kind, pod = await anext(watch)
        (left.discard if kind == "DELETED" else left.add)(meta.uid_of(pod))


async def until_rolled(client: Client, name: str) -> None:
    """Wait until every member of a set is of its newest template and Ready."""
    watch = client.watch("statefulsets.apps", "default")
    async for _, found in watch:
        if meta.name_of(found) == name and _is_rolled(found):
            return


def _is_rolled(found: Obj) -> bool:
    status, wanted = found.get("status") or {}, found["spec"]["replicas"]
    return (
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("updatedReplicas") == wanted
        and status.get("readyReplicas") == wanted
        and status.get("currentRevision") == status.get("updateRevision")
    )


# -- the processor's account --------------------------------------------------------------------


class Account:
    """Processor time (ms) that a cluster's parts have used since `begin`."""

    def __init__(self, name: str) -> None:
        where = state.find(name)
        self._processes = {f.stem: p.pid for f in where.run.glob("*.pid") if (p := process.read(f))}
        self._groups = [CPUACCT / f"bench-{os.getpid()}", CPUACCT / "petset" / name]
        self._before: dict[str, float] = {}

    def begin(self) -> None:
        """Count from now on."""
        self._before = self._now()

    def used(self) -> dict[str, float]:
        """Milliseconds by part; `all` has everything, where control groups can tell it."""
        return {part: ms - self._before.get(part, 0.0) for part, ms in self._now().items()}

    def _now(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, pid in self._processes.items():
            part = name.partition("-")[0]
            own, children = _times_ms(pid)
            found[part] = found.get(part, 0.0) + own
            found[f"{part}'s programs"] = found.get(f"{part}'s programs", 0.0) + children
        found["the bench"] = _times_ms(os.getpid())[0]
        if self._groups[0].is_dir():
            total = sum(_usage_ms(group) for group in self._groups if group.is_dir())
            found["all"] = total - found["the bench"]
        return found


def _times_ms(pid: int) -> tuple[float, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick_ms = 1000 / os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) * tick_ms, (
        int(fields[13]) + int(fields[14])
    ) * tick_ms


def _usage_ms(group: Path) -> float:
    return int((group / "cpuacct.usage").read_text()) / 1e6


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """This process and all that it starts in a control group that counts processor time."""
    group = CPUACCT / f"bench-{os.getpid()}"
    if not CPUACCT.is_dir():
        yield
        return
    group.mkdir()
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (CPUACCT / "cgroup.procs").write_text(str(os.getpid()))
        for pid in (group / "cgroup.procs").read_text().split():
            (CPUACCT / "cgroup.procs").write_text(pid)
        group.rmdir()


def _account_rows(used: dict[str, float], pods: int) -> None:
    for part, ms in used.items():
        goal = f"<= {PER_POD_MS}" if part == "all" else ""
        row(f"  processor time per pod: {part}", [ms / pods], "ms", goal)


# -- benches ------------------------------------------------------------------------------------


def bench_many(rounds: int = 3) -> None:
    """100 Parallel pods of busybox on one node, up and down, with the processor's account."""
    started, ended = [], []
    with counted(), cluster() as name:
        account = Account(name)

        async def once() -> None:
            client = thin.connect(name)
            await create(client, [sleepers("warm", "Parallel", 1)])
            await until_ready(client, "warm", 1)
            since = (await client.list("pods", "default")).resource_version
            account.begin()
            began = time.perf_counter()
            await create(client, [sleepers("many", "Parallel", PODS)])
            writes = await _ready_counting(client, "many", since, PODS)
            started.append(time.perf_counter() - began)
            print(f"100 pods Ready after {started[-1]:.2f} s", flush=True)
            _account_rows(account.used(), PODS)
            row("  writes of a pod, creation to Ready", writes, "", "<= 6")
            account.begin()
            began = time.perf_counter()
            await scale(client, "many", 0)
            await until_none(client, "many")
            ended.append(time.perf_counter() - began)
            print(f"100 pods gone after {ended[-1]:.2f} s", flush=True)
            _account_rows(account.used(), PODS)
            for app in ("many", "warm"):
                await client.delete("statefulsets.apps", app, "default", propagation="Background")
                await until_none(client, app)
            await client.close()

        for _ in range(rounds):
            asyncio.run(once())
            await_empty(name)
    row(f"{PODS} busybox pods, Parallel, one node: apply to all Ready", started, "s", "<= 5")
    row(f"{PODS} busybox pods scaled to 0: all gone", ended, "s")


async def _ready_counting(client: Client, app: str, since: str, count: int) -> list[float]:
    """Wait until `count` pods of `app` are Ready; how often each was written until it was."""
    writes: dict[str, int] = {}
    ready: set[str] = set()
    watch = client.watch("pods", "default", labels=f"app={app}", resource_version=since)
    async with contextlib.aclosing(watch):
        async for kind, pod in watch:
            name = meta.name_of(pod)
            if kind == "BOOKMARK" or name in ready:
                continue
            writes[name] = writes.get(name, 0) + 1
            if meta.is_condition_true(pod, "Ready"):
                ready.add(name)
                if len(ready) == count:
                    break
    return [float(n) for n in writes.values()]


def await_empty(name: str, limit_s: float = 10.0) -> None:
    """Wait until the pods have left nothing on the node; says what is left after `limit_s`."""
    where = state.find(name)
    began = time.perf_counter()
    while True:
        left = {what: found for what, found in leftovers(where).items() if found}
        took = time.perf_counter() - began
        if not left or took > limit_s:
            break
        time.sleep(0.02)
    print(f"{'  left behind':<58} {left or 'nothing'}, {took:.2f} s later", flush=True)


def leftovers(where: paths.Paths) -> dict[str, int]:
    """What a node without pods still has of pods."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    pinned = [f"{where.node_run(node)}/{kind}/" for node in _nodes(where) for kind in "pc"]
    groups = [
        group
        for top in cgroup.hierarchies()
        for group in (top / "petset" / where.run.name).glob("*/*")
        if group.is_dir()
    ]
    records = [record for n in _nodes(where) for record in (where.node_state(n) / "pods").glob("*")]
    return {
        "mounts": sum(any(pin in line for pin in pinned) for line in mounts),
        "records": len(records),
        "control groups": len(groups),
    }


def _nodes(where: paths.Paths) -> list[str]:
    cluster_now = state.load(where)
    return list(cluster_now.nodes) if cluster_now else []


def bench_ordered(rounds: int = 3) -> None:
    """Per ordinal: ordered start, rollout and scale-down of pods that stop at once."""
    starts, rolls, ends = [], [], []

    async def once(name: str) -> None:
        client = thin.connect(name)
        began = time.perf_counter()
        await create(client, [sleepers("row", "OrderedReady", ORDERED)])
        await until_ready(client, "row", ORDERED)
        starts.append((time.perf_counter() - began) / ORDERED)
        await until_rolled(client, "row")
        note = {"spec": {"template": {"metadata": {"annotations": {"round": "2"}}}}}
        began = time.perf_counter()
        await client.patch("statefulsets.apps", "row", note, "default")
        await until_rolled(client, "row")
        rolls.append((time.perf_counter() - began) / ORDERED)
        began = time.perf_counter()
        await scale(client, "row", 0)
        await until_none(client, "row")
        ends.append((time.perf_counter() - began) / ORDERED)
        await client.delete("statefulsets.apps", "row", "default", propagation="Background")
        await client.close()

    with cluster() as name:
        for _ in range(rounds):
            asyncio.run(once(name))
    row("ordered start, per ordinal", starts, "s", "<= 0.2")
    row("ordered rollout, per ordinal", rolls, "s", "<= 0.2")
    row("ordered scale-down, per ordinal", ends, "s", "<= 0.2")


def bench_killed(rounds: int = 5) -> None:
    """SIGKILL of nginx until its pod is Ready again, without and with a readiness probe."""
    with cluster() as name:
        for probed in (False, True):
            times = [asyncio.run(_killed_once(name, probed=probed)) for _ in range(rounds)]
            words = "readiness probe each second" if probed else "no probe"
            row(f"SIGKILL of nginx to Ready again, {words}", times, "s", "<= 0.3")


async def _killed_once(name: str, *, probed: bool) -> float:
    client = thin.connect(name)
    objects = manifests("web", replicas=1)
    container = objects[1]["spec"]["template"]["spec"]["containers"][0]
    if not probed:
        del container["readinessProbe"]
    await create(client, objects)
    await until_ready(client, "web", 1)
    where = state.find(name)
    kept = next(
        kept
        for node in _nodes(where)
        for pod in (where.node_state(node) / "pods").iterdir()
        for kept in record.load(pod)
        if kept.run.state == "running"
    )
    listed = await client.list("pods", "default", labels="app=web")
    watch = client.watch(
        "pods", "default", labels="app=web", resource_version=listed.resource_version
    )
    began = time.perf_counter()
    os.kill(kept.pid, signal.SIGKILL)
    async for _, pod in watch:
        statuses = pod["status"].get("containerStatuses") or ()
        if any(s["restartCount"] == 1 and s["ready"] for s in statuses):
            break
    took = time.perf_counter() - began
    await client.delete("statefulsets.apps", "web", "default", propagation="Background")
    await client.delete("services", "web", "default")
    await until_none(client, "web")
    await client.close()
    return took


BENCHES = {"many": bench_many, "ordered": bench_ordered, "killed": bench_killed}
