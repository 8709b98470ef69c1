"""The request path over TLS: get, durable create, unchanged apply (root; wrk and a C compiler).

The server is the one that `petset up` starts, without nodes, pinned to the first core; wrk is
pinned to the last. Each row comes once for asyncio and once for uvloop where that is installed.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.machine import row
from petset.cli import down, paths, process, state, up
from petset.cli.server import LOOP_VARIABLE

LOAD = Path(__file__).parent / "load"
SECONDS = int(os.environ.get("BENCH_API_SECONDS", "4"))
ROUNDS = int(os.environ.get("BENCH_API_ROUNDS", "5"))
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and how to put load on it."""

    cluster: state.Cluster
    where: paths.Paths
    pid: int
    shim: Path

    def cpu_s(self) -> float:
        """Processor seconds that the server has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def load(self, path: str, connections: int, **variables: str) -> "Figures":
        """Run wrk for `SECONDS`; `variables` go to load.lua."""
        environment = {
            **os.environ,
            "LD_PRELOAD": str(self.shim),
            "CLIENT_CERT": str(self.where.pki / "admin.crt"),
            "CLIENT_KEY": str(self.where.pki / "admin.key"),
            **variables,
        }
        words = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(LOAD / "load.lua")]
        before = self.cpu_s()
        done = subprocess.run(
            [*words, self.cluster.url + path],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        cpu_s = self.cpu_s() - before
        told = orjson.loads(done.stdout.splitlines()[-1])
        if told["bad"] or told["broken"] or not told["requests"]:
            raise SystemExit(f"requests failed: {told}\n{done.stdout}{done.stderr}")
        return Figures(
            rate=told["requests"] / told["us"] * 1e6,
            p50_ms=told["p50"] / 1000,
            p99_ms=told["p99"] / 1000,
            cpu_us=cpu_s / told["requests"] * 1e6,
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one run."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


@contextlib.contextmanager
def serving(loop: str) -> Iterator[Server]:
    """A server of its own on the first core, this process on the last; gone afterwards."""
    name = f"bench-api-{os.getpid()}"
    cores = sorted(os.sched_getaffinity(0))
    wanted = up.Wanted(name, nodes=0, kubeconfig=Path(f"/tmp/{name}.kubeconfig"))
    os.environ[LOOP_VARIABLE] = loop
    os.sched_setaffinity(0, cores[:1])
    try:
        with tempfile.TemporaryDirectory() as directory, state.lock(f"cluster {name}"):
            shim = _shim(Path(directory))
            where, cluster = up.start(wanted)
            os.sched_setaffinity(0, cores[-1:])
            running = process.read(where.pid_file("server"))
            assert running is not None
            yield Server(cluster, where, running.pid, shim)
    finally:
        os.sched_setaffinity(0, cores)
        del os.environ[LOOP_VARIABLE]
        down.run(name, None, delete_data=True)
        Path(f"/tmp/{name}.kubeconfig").unlink(missing_ok=True)


def _shim(directory: Path) -> Path:
    made = directory / "clientcert.so"
    words = ["cc", "-shared", "-fPIC", "-o", str(made), str(LOAD / "clientcert.c"), "-ldl"]
    subprocess.run(words, check=True)
    return made


def config_map(name: str, size: int) -> dict[str, Any]:
    """A ConfigMap of about `size` bytes as it is stored."""
    data = {f"key-{n:02d}": "v" * 80 for n in range((size - 420) // 100)}
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": data,
    }


def pod(name: str) -> dict[str, Any]:
    """A Pod of about 2 kB that no scheduler looks at."""
    containers = [
        {
            "name": f"c{n}",
            "image": "registry.example/team/program:1.2.3",
            "ports": [{"containerPort": 8080 + n, "name": f"web{n}"}],
            "env": [{"name": f"SETTING_{i}", "value": "some value"} for i in range(6)],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            "readinessProbe": {"httpGet": {"port": 8080 + n, "path": "/ready"}},
        }
        for n in range(2)
    ]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"schedulerName": "nobody", "containers": containers},
    }


def stateful_set(name: str) -> dict[str, Any]:
    """A StatefulSet with no replicas, as somebody applies it: about 3 kB stored."""
    labels = {"app": name}
    meta = {"labels": labels}
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, **meta},
        "spec": {
            "replicas": 0,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {"metadata": meta, "spec": pod("")["spec"]},
        },
    }


@contextlib.contextmanager
def body(obj: Mapping[str, Any]) -> Iterator[str]:
    """A file with `obj` in it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(orjson.dumps(obj))
        file.flush()
        yield file.name


def show(what: str, figures: list[Figures], goals: tuple[str, str]) -> None:
    """The rows of one kind of request."""
    rate, p99 = goals
    row(f"{what}: requests", [f.rate for f in figures], "/s", rate)
    row(f"{what}: p99", [f.p99_ms for f in figures], "ms", p99)
    row(f"{what}: server processor", [f.cpu_us for f in figures], "us")


def bench_get(server: Server, title: str) -> None:
    """GET of one object of 2 kB."""
    with body(config_map("one", 2000)) as file:
        _make(server, MAPS, file)
    figures = [server.load(f"{MAPS}/one", 32) for _ in range(ROUNDS)]
    show(f"GET 2 kB, 32 connections, {title}", figures, (">= 40000", "<= 5"))


def _make(server: Server, path: str, file: str, method: str = "POST", media: str = "") -> None:
    words = ["curl", "-sS", "--fail-with-body", "-o", "/dev/null", "-X", method]
    words += ["--cacert", str(server.where.pki / "ca.crt")]
    words += ["--cert", str(server.where.pki / "admin.crt")]
    words += ["--key", str(server.where.pki / "admin.key")]
    words += ["-H", f"Content-Type: {media or 'application/json'}", "--data-binary", f"@{file}"]
    subprocess.run([*words, server.cluster.url + path], check=True)


def bench_post(server: Server, title: str) -> None:
    """Durable creates, each under a name of its own."""
    for what, path, obj, goals in (
        ("ConfigMap", MAPS, config_map("LOAD_NAME", 2000), (">= 8000", "<= 20")),
        ("Pod", PODS, pod("LOAD_NAME"), ("", "")),
    ):
        with body(obj) as file:
            figures = [
                server.load(
                    path, 64, LOAD_METHOD="POST", LOAD_BODY=file, LOAD_PREFIX=f"load-{number}"
                )
                for number in range(ROUNDS)
            ]
        show(f"POST {what} 2 kB, durable, 64 connections, {title}", figures, goals)


def bench_unchanged(server: Server, title: str) -> None:
    """Server-side apply of what is there already."""
    media = "application/apply-patch+yaml"
    for what, path, obj in (
        ("ConfigMap", f"{MAPS}/applied", config_map("applied", 2600)),
        ("StatefulSet", "/apis/apps/v1/namespaces/default/statefulsets/web", stateful_set("web")),
    ):
        path += "?fieldManager=bench"
        with body(obj) as file:
            _make(server, path, file, "PATCH", media)
            figures = [
                server.load(path, 16, LOAD_METHOD="PATCH", LOAD_BODY=file, LOAD_TYPE=media)
                for _ in range(ROUNDS)
            ]
        show(f"apply {what} 3 kB unchanged, {title}", figures, (">= 2000", ""))


def bench_api() -> None:
    """Requests over TLS, on every event loop that is installed."""
    for program in ("wrk", "cc", "curl"):
        if shutil.which(program) is None:
            print(f"api: needs {program} (Debian: apt install wrk gcc libc6-dev curl)")
            return
    loops = ["asyncio"]
    if importlib.util.find_spec("uvloop"):
        loops.append("uvloop")
    for loop in loops:
        for bench in (bench_get, bench_post, bench_unchanged):
            with serving(loop) as server:
                bench(server, loop)


BENCHES = {"api": bench_api}
