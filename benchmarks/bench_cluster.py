"""Start-up, apply to Ready, idle cost, and what survives SIGKILL: on real containers (root)."""

import asyncio
import contextlib
import http.client
import os
import random
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import row
from petset.api import meta
from petset.api.errors import StatusError
from petset.cli import paths, process, state, targets, thin, up
from petset.client.client import Client
from petset.client.transport import TransportError

PETSET = [sys.executable, "-m", "petset"]
IMAGE = "nginx"


def cli(*words: str) -> str:
    """Run a petset command as a user would; its output."""
    done = subprocess.run([*PETSET, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"petset {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def cluster(nodes: int = 1) -> Iterator[str]:
    """A running cluster of its own, gone afterwards."""
    name = f"bench-{os.getpid()}"
    cli("up", "--name", name, "--nodes", str(nodes), "--kubeconfig", f"/tmp/{name}.kubeconfig")
    try:
        yield name
    finally:
        cli("down", "--name", name, "--delete-data")
        Path(f"/tmp/{name}.kubeconfig").unlink(missing_ok=True)


def manifests(name: str, policy: str = "OrderedReady", replicas: int = 3) -> list[dict[str, Any]]:
    """A headless Service and a StatefulSet of nginx with a volume per member."""
    labels = {"app": name}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {
                "clusterIP": "None",
                "selector": labels,
                "ports": [{"name": "web", "port": 80}],
            },
        },
        {
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
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "containers": [
                            {
                                "name": "nginx",
                                "image": IMAGE,
                                "ports": [{"containerPort": 80, "name": "web"}],
                                "readinessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 1},
                                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                            }
                        ],
                    },
                },
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "10Mi"}},
                        },
                    }
                ],
            },
        },
    ]


async def create(client: Client, objects: list[dict[str, Any]]) -> None:
    """Create the objects in namespace default."""
    for obj in objects:
        await client.create(targets.kind_of(obj).id, obj, "default")


async def until_ready(client: Client, app: str, count: int) -> None:
    """Wait until `count` pods of `app` are Ready."""
    ready: set[str] = set()
    listed = await client.list("pods", "default", labels=f"app={app}")
    events: list[Any] = [("ADDED", o) for o in listed.items]
    watch = client.watch(
        "pods", "default", labels=f"app={app}", resource_version=listed.resource_version
    )
    while True:
        for kind, pod in events:
            if kind != "DELETED" and meta.is_condition_true(pod, "Ready"):
                ready.add(meta.name_of(pod))
            else:
                ready.discard(meta.name_of(pod))
        if len(ready) >= count:
            return
        events = [await anext(watch)]


async def until_gone(client: Client, app: str) -> None:
    """Delete the set and Service `app` with their claims and wait until the pods are gone."""
    await client.delete("statefulsets.apps", app, "default", propagation="Background")
    await client.delete("services", app, "default")
    while (await client.list("pods", "default", labels=f"app={app}")).items:
        await asyncio.sleep(0.02)
    for claim in (await client.list("persistentvolumeclaims", "default")).items:
        await client.delete("persistentvolumeclaims", meta.name_of(claim), "default")


def bench_start(rounds: int = 10) -> None:
    """`petset up` from process start to /readyz; and on to three ordered replicas Ready."""
    fresh, again, whole = [], [], []
    for number in range(rounds):
        name = f"bench-{os.getpid()}-{number}"
        config = f"/tmp/{name}.kubeconfig"
        words = ["up", "--name", name, "--kubeconfig", config]
        fresh.append(_until_readyz(name, words))
        cli("down", "--name", name)
        began = time.perf_counter()
        again.append(_until_readyz(name, words, wait=False))
        asyncio.run(_three_ready(name))
        whole.append(time.perf_counter() - began)
        cli("up", "--name", name, "--kubeconfig", config)
        cli("down", "--name", name, "--delete-data")
        Path(config).unlink(missing_ok=True)
    row("petset up to /readyz ok, new cluster", fresh, "s", "<= 0.5")
    row("petset up to /readyz ok, stopped cluster", again, "s", "<= 0.5")
    row("petset up to 3 ordered nginx Ready, volumes, DNS", whole, "s", "<= 2.0")


def _until_readyz(name: str, words: list[str], *, wait: bool = True) -> float:
    began = time.perf_counter()
    child = subprocess.Popen([*PETSET, *words], stdout=subprocess.DEVNULL)
    where = paths.of(name)
    context = ssl._create_unverified_context()
    while True:
        try:
            cluster = state.load(where)
            assert cluster is not None
            connection = http.client.HTTPSConnection(
                cluster.listen, cluster.port, context=context, timeout=5
            )
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                break
        except (OSError, AssertionError, http.client.HTTPException):
            time.sleep(0.002)
    took = time.perf_counter() - began
    if wait:
        child.wait()
    else:
        _background.append(child)
    return took


_background: list[subprocess.Popen[bytes]] = []


async def _three_ready(name: str) -> None:
    client = thin.connect(name)
    try:
        with contextlib.suppress(StatusError):
            await create(client, manifests("web"))
        await until_ready(client, "web", 3)
    finally:
        await client.close()
    full = "web-2.web.default.svc.cluster.local"
    cli("exec", "web-0", "--name", name, "--", "getent", "hosts", full)


def bench_apply(rounds: int = 10) -> None:
    """On a running cluster: from the first create call to three replicas Ready."""

    async def once(client: Client, policy: str) -> float:
        began = time.perf_counter()
        await create(client, manifests("web", policy))
        await until_ready(client, "web", 3)
        took = time.perf_counter() - began
        await until_gone(client, "web")
        return took

    async def measure(name: str, policy: str) -> list[float]:
        client = thin.connect(name)
        try:
            return [await once(client, policy) for _ in range(rounds)]
        finally:
            await client.close()

    with cluster() as name:
        row(
            "apply to 3 nginx Ready, ordered",
            asyncio.run(measure(name, "OrderedReady")),
            "s",
            "<= 1.0",
        )
        row(
            "apply to 3 nginx Ready, Parallel",
            asyncio.run(measure(name, "Parallel")),
            "s",
            "<= 0.5",
        )


def bench_idle(seconds: float = 20.0) -> None:
    """Memory (PSS) and processor time of server and agent: one node, empty and with three pods."""
    with cluster() as name:
        where = state.find(name)
        time.sleep(3)
        _idle_rows("idle, 1 node, no pods", where, seconds)

        async def fill() -> None:
            client = thin.connect(name)
            await create(client, manifests("web"))
            await until_ready(client, "web", 3)
            await client.close()

        asyncio.run(fill())
        time.sleep(3)
        _idle_rows("idle, 1 node, 3 nginx", where, seconds)


def _idle_rows(what: str, where: paths.Paths, seconds: float) -> None:
    processes = [p for f in where.run.glob("*.pid") if (p := process.read(f))]
    before = sum(_cpu_s(p.pid) for p in processes)
    time.sleep(seconds)
    used = sum(_cpu_s(p.pid) for p in processes) - before
    row(f"{what}: CPU of server + agent", [used / seconds * 100], "%", "<= 1")
    row(f"{what}: PSS of server + agent", [sum(_pss_mb(p.pid) for p in processes)], "MB", "<= 100")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def bench_kill_server(kills: int = 200, writers: int = 8) -> None:
    """Acknowledged writes lost while the server is killed with SIGKILL under load."""
    with cluster() as name:
        where = state.find(name)
        lost, acknowledged = asyncio.run(_kill_server(name, where, kills, writers))
    print(
        f"{'acknowledged writes lost over ' + str(kills) + ' SIGKILLs of the server':<58} "
        f"{lost:8d}     (of {acknowledged} acknowledged)   goal 0",
        flush=True,
    )


async def _kill_server(name: str, where: paths.Paths, kills: int, writers: int) -> tuple[int, int]:
    acknowledged: dict[str, str] = {}
    stop = asyncio.Event()

    async def write(number: int) -> None:
        client = thin.connect(name)
        count = 0
        while not stop.is_set():
            count += 1
            key = f"w{number}-{count}"
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": key},
                "data": {"n": key},
            }
            try:
                made = await client.create("configmaps", body, "default")
                acknowledged[key] = meta.uid_of(made)
            except (TransportError, StatusError):
                await asyncio.sleep(0.01)
        await client.close()

    tasks = [asyncio.ensure_future(write(n)) for n in range(writers)]
    cluster_now = state.load(where)
    assert cluster_now is not None
    chance = random.Random(7)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.02, 0.3))
        server = process.read(where.pid_file("server"))
        if server is not None:
            process.send([server], signal.SIGKILL)
            await asyncio.to_thread(process.wait_gone, [server], 5.0)
        started = await asyncio.to_thread(up.start_server, where, cluster_now)
        if started is not None:
            await asyncio.to_thread(up.expect_ready, started, "the server")
    stop.set()
    await asyncio.gather(*tasks)
    client = thin.connect(name)
    listed = await client.list("configmaps", "default")
    await client.close()
    there = {meta.name_of(o): meta.uid_of(o) for o in listed.items}
    return sum(there.get(k) != uid for k, uid in acknowledged.items()), len(acknowledged)


def bench_kill_agent(kills: int = 50) -> None:
    """Pods lost or restarted while their agent is killed with SIGKILL."""
    with cluster() as name:
        where = state.find(name)
        harmed = asyncio.run(_kill_agent(name, where, kills))
    print(
        f"{'pods lost or restarted over ' + str(kills) + ' SIGKILLs of the agent':<58} "
        f"{harmed:8d}     (3 pods)   goal 0",
        flush=True,
    )


async def _kill_agent(name: str, where: paths.Paths, kills: int) -> int:
    client = thin.connect(name)
    await create(client, manifests("web"))
    await until_ready(client, "web", 3)
    before = await _identities(client)
    cluster_now = state.load(where)
    assert cluster_now is not None
    chance = random.Random(7)
    node = next(iter(cluster_now.nodes))
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        agent = process.read(where.pid_file(f"agent-{node}"))
        if agent is not None:
            process.send([agent], signal.SIGKILL)
            await asyncio.to_thread(process.wait_gone, [agent], 5.0)
        started = await asyncio.to_thread(up.start_agent, where, cluster_now, node)
        if started is not None and chance.random() < 0.8:
            await asyncio.to_thread(up.expect_ready, started, "the agent")
    await asyncio.sleep(3)
    after = await _identities(client)
    await client.close()
    return sum(after.get(k) != v for k, v in before.items())


async def _identities(client: Client) -> dict[str, tuple[str, str, str, int]]:
    found = {}
    for pod in (await client.list("pods", "default", labels="app=web")).items:
        status = pod["status"]["containerStatuses"][0]
        found[meta.name_of(pod)] = (
            meta.uid_of(pod),
            pod["status"].get("podIP", ""),
            status.get("containerID", ""),
            status["restartCount"],
        )
    return found


BENCHES = {
    "start": bench_start,
    "apply": bench_apply,
    "idle": bench_idle,
    "kill-server": bench_kill_server,
    "kill-agent": bench_kill_agent,
}
