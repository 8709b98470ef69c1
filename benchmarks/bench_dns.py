"""DNS from pods: queries per second, latency, and how soon an answer follows readiness (root)."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench_cluster import _cpu_s, cli, cluster
from benchmarks.machine import row
from petset.api import meta
from petset.cli import paths, process, state, thin
from petset.client.client import Client
from petset.node.network import namespace

SERVER = ("10.96.0.10", 53)
DOMAIN = "default.svc.cluster.local"
SETS, MEMBERS, FRONTS = 10, 100, 20
RATE = 30_000
A = 1


def bench_dns(seconds: int = 5, rounds: int = 5) -> None:
    """1,020 names asked for from a pod's network; the agent has one core, the load another."""
    if shutil.which("dnsperf") is None:
        print("dns: dnsperf is not installed; Debian: apt install dnsperf")
        return
    with cluster() as name, tempfile.NamedTemporaryFile("w", suffix=".txt") as names:
        where = state.find(name)
        netns = asyncio.run(_fill(name, where))
        names.writelines(f"{one}\n" for one in _questions())
        names.flush()
        with _pinned(where):
            _dnsperf(netns, names.name, 1)
            rates, slow, cost = [], [], []
            for _ in range(rounds):
                before = _agent_cpu_s(where)
                rates.append(_rate(_dnsperf(netns, names.name, seconds)))
                used = _agent_cpu_s(where) - before
                cost.append(used * 1_000_000 / (rates[-1] * seconds))
                told = _dnsperf(netns, names.name, seconds, "-Q", str(RATE), "-v")
                slow.append(_p99_ms(told))
            row("DNS from a pod, A, AAAA, SRV and PTR of 1,020 names", rates, "q/s", ">= 30000")
            row("DNS from a pod: the agent's processor time per query", cost, "us")
            row(f"DNS from a pod at {RATE} queries/s: p99", slow, "ms", "<= 2")


def bench_dns_change(rounds: int = 20) -> None:
    """From a pod's Ready condition (as a watch tells it) to the changed answer in a pod."""
    with cluster() as name:
        where = state.find(name)
        after = {True: list[float](), False: list[float]()}
        asyncio.run(_flip(name, where, rounds, after))
    row("pod Ready, seen by watch -> in the answers", after[True], "ms", "<= 100")
    row("pod not Ready, seen by watch -> out of the answers", after[False], "ms", "<= 100")


def _questions() -> Iterator[str]:
    for number in range(SETS):
        yield f"db{number}.{DOMAIN} A"
        yield f"_sql._tcp.db{number}.{DOMAIN} SRV"
        for member in range(MEMBERS):
            yield f"db{number}-{member}.db{number}.{DOMAIN} A"
            yield f"db{number}-{member}.db{number}.{DOMAIN} AAAA"
        yield f"5.{number}.200.10.in-addr.arpa PTR"
    for number in range(FRONTS):
        yield f"front{number}.{DOMAIN} A"
        yield f"front{number}.other.{DOMAIN} A"


def _service(name: str, **spec: Any) -> dict[str, Any]:
    body = {"ports": [{"name": "sql", "port": 5432}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def _slice(number: int) -> dict[str, Any]:
    """The members of a set without pods."""
    name = f"db{number}"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [f"10.200.{number}.{5 + member}"],
                "conditions": {"ready": True},
                "hostname": f"{name}-{member}",
            }
            for member in range(MEMBERS)
        ],
    }


def _pod(name: str, **container: Any) -> dict[str, Any]:
    shell = {"name": "c", "image": "busybox", "command": ["sleep", "1000000"], **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [shell]},
    }


async def _fill(name: str, where: paths.Paths) -> Path:
    """Services, their members, and a pod; the pod's network namespace."""
    client = thin.connect(name)
    for number in range(SETS):
        await client.create("services", _service(f"db{number}", clusterIP="None"), "default")
        await client.create("endpointslices.discovery.k8s.io", _slice(number), "default")
    for number in range(FRONTS):
        await client.create("services", _service(f"front{number}"), "default")
    made = await client.create("pods", _pod("asker"), "default")
    await _until(client, "asker", ready=True)
    await client.close()
    return _netns(where, made)


def _netns(where: paths.Paths, pod: meta.Obj) -> Path:
    (found,) = where.run.glob(f"n/*/p/{meta.uid_of(pod)}/net")
    return found


async def _until(client: Client, name: str, *, ready: bool) -> float:
    """Wait for the Ready condition of a pod; when its event came (perf_counter)."""
    listed = await client.list("pods", "default", labels=f"app={name}")
    if any(meta.is_condition_true(pod, "Ready") is ready for pod in listed.items):
        return time.perf_counter()
    watch = client.watch(
        "pods", "default", labels=f"app={name}", resource_version=listed.resource_version
    )
    async for _, pod in watch:
        if meta.is_condition_true(pod, "Ready") is ready:
            return time.perf_counter()
    raise SystemExit("the watch ended")


def _agent_cpu_s(where: paths.Paths) -> float:
    agents = [process.read(file) for file in where.run.glob("agent-*.pid")]
    return sum(_cpu_s(agent.pid) for agent in agents if agent is not None)


@contextlib.contextmanager
def _pinned(where: paths.Paths) -> Iterator[None]:
    """The agent on the first core, everything started in here on the last."""
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    for file in where.run.glob("agent-*.pid"):
        agent = process.read(file)
        assert agent is not None
        for thread in Path(f"/proc/{agent.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores[0]})
    os.sched_setaffinity(0, {cores[-1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _dnsperf(netns: Path, names: str, seconds: int, *words: str) -> str:
    command = ["nsenter", f"--net={netns}", "dnsperf", "-s", SERVER[0], "-d", names]
    command += ["-l", str(seconds), "-c", "20", "-q", "100", *words]
    with tempfile.TemporaryFile("w+") as out:  # nobody reads while it is measured
        subprocess.run(command, stdout=out, check=True)
        out.seek(0)
        told = out.read()
    lost = re.search(r"Queries lost: +(\d+)", told)
    if lost is None or int(lost[1]):
        raise SystemExit(f"dns: queries were lost:\n{told[-2000:]}")
    return told


def _rate(told: str) -> float:
    found = re.search(r"Queries per second: +([\d.]+)", told)
    assert found is not None, told
    return float(found[1])


def _p99_ms(told: str) -> float:
    took = [float(x) for x in re.findall(r"^> .* ([\d.]+)$", told, re.MULTILINE)]
    return statistics.quantiles(took, n=100)[98] * 1000


async def _flip(name: str, where: paths.Paths, rounds: int, after: dict[bool, list[float]]) -> None:
    """A pod whose readiness is a file: asked for in a loop from its own network."""
    client = thin.connect(name)
    probe = {"exec": {"command": ["test", "-f", "/up"]}, "periodSeconds": 1, "failureThreshold": 1}
    spec = {"clusterIP": "None", "selector": {"app": "flip"}}
    await client.create("services", _service("flip", **spec), "default")
    made = await client.create("pods", _pod("flip", readinessProbe=probe), "default")
    await _until_running(client)
    asker = Asker(_netns(where, made))
    try:
        for number in range(rounds * 2):
            ready = number % 2 == 0
            script = "touch /up" if ready else "rm /up"
            seen = asyncio.create_task(_until(client, "flip", ready=ready))
            asker.await_change(ready)
            words = ("exec", "flip", "--name", name, "--", "sh", "-c", script)
            await asyncio.to_thread(cli, *words)
            told = await seen
            answered = await asyncio.to_thread(asker.changed)
            after[ready].append(max(0.0, answered - told) * 1000)
    finally:
        asker.close()
        await client.close()


async def _until_running(client: Client) -> None:
    while True:
        pod = await client.get("pods", "flip", "default")
        if (pod.get("status") or {}).get("phase") == "Running":
            return
        await asyncio.sleep(0.02)


class Asker:
    """Asks for the flipping name from a pod's network, one query after the other."""

    def __init__(self, netns: Path) -> None:
        self._sock = namespace.make_socket(netns, socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(True)
        self._sock.settimeout(2)
        self._sock.connect(SERVER)
        labels = b"".join(bytes((len(x),)) + x.encode() for x in f"flip.{DOMAIN}".split("."))
        self._question = labels + b"\0" + struct.pack("!HH", A, 1)
        self._ids = 0
        self._thread: threading.Thread | None = None
        self._changed_at = 0.0

    def await_change(self, found: bool) -> None:
        """Begin to ask until the name is there, or is not."""
        self._thread = threading.Thread(target=self._loop, args=(found,))
        self._thread.start()

    def changed(self) -> float:
        """When the answer changed (perf_counter); waits for it."""
        assert self._thread is not None
        self._thread.join()
        return self._changed_at

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()

    def _loop(self, found: bool) -> None:
        while self._ask() is not found:
            time.sleep(0.0005)
        self._changed_at = time.perf_counter()

    def _ask(self) -> bool:
        self._ids = (self._ids + 1) & 0xFFFF
        head = struct.pack("!HHHHHH", self._ids, 0x0100, 1, 0, 0, 0)
        self._sock.send(head + self._question)
        reply = self._sock.recv(4096)
        return reply[3] & 15 == 0 and reply[6:8] != b"\0\0"


BENCHES = {"dns": bench_dns, "dns-change": bench_dns_change}
