"""The server's state path: lists, watch fan-out, memory and start with 10,000 pods stored."""

import asyncio
import http.client
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import orjson

from benchmarks.machine import row
from benchmarks.statebox import LOAD_CORE, Box, box, fill_pods, pinned
from benchmarks.watchload import Crowd
from petset.store.log import open_store
from petset.testing.churn import Churn, DrivenClock

PODS = "/api/v1/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
LISTS: list[tuple[str, str, str, str]] = [
    ("whole", PODS, "application/json", "<= 60"),
    ("labelSelector, all match", f"{PODS}?labelSelector=tier", "application/json", "<= 60"),
    ("labelSelector, a tenth", f"{PODS}?labelSelector=tier%3Dgold", "application/json", "<= 60"),
    ("fieldSelector spec.nodeName", f"{PODS}?fieldSelector=spec.nodeName%3Dnode-007", "", "<= 60"),
    ("pages of 500, all 20", f"{PODS}?limit=500", "application/json", "<= 60"),
    ("Table", PODS, TABLE, ""),
    ("Table, pages of 500, all 20", f"{PODS}?limit=500", TABLE, ""),
]
WATCHERS, RATE, SECONDS = 1000, 100, 10.0
WRITES_MAX = 10_000
MAP = "/api/v1/namespaces/default/configmaps"


def bench_state_list(rounds: int = 7) -> None:
    """LIST of 10,000 pods: the server's processor time for one, TLS included."""
    with box("list") as made:
        _refill(made)
        made.start()
        time.sleep(8)  # the controllers have read their first lists
        for what, path, accept, goal in LISTS:
            _list_rows(made, what, path, accept, goal, rounds)


def _refill(made: Box) -> None:
    made.stop()
    made.fill(fill_pods)


def _connect(made: Box) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(*made.address, context=made.context())


def _list_rows(made: Box, what: str, path: str, accept: str, goal: str, rounds: int) -> None:
    with pinned(LOAD_CORE):
        connection = _connect(made)
        cpu, wall = [], []
        size = _walk(connection, path, accept)
        for _ in range(rounds):
            before, began = made.cpu_s(), time.perf_counter()
            _walk(connection, path, accept)
            wall.append((time.perf_counter() - began) * 1000)
            cpu.append((made.cpu_s() - before) * 1000)
        connection.close()
    row(f"LIST 10,000 pods, {what}: server CPU", cpu, "ms", goal)
    row(f"  the same: client's wall time, {size / 1e6:.1f} MB", wall, "ms")


def _walk(connection: http.client.HTTPSConnection, path: str, accept: str) -> int:
    """Read a list, all its pages; how many bytes it was."""
    size, token = 0, ""
    while True:
        more = f"&continue={token}" if token else ""
        connection.request("GET", path + more, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {body[:300]!r}")
        size += len(body)
        if "limit=" not in path:
            return size
        token = orjson.loads(body)["metadata"].get("continue", "")
        if not token:
            return size


def bench_state_start(rounds: int = 7) -> None:
    """From exec to /readyz with 10,000 pods on disk; then the server's memory."""
    with box("start") as made:
        _refill(made)
        took = [_until_readyz(made) for _ in range(rounds)]
        row("server ready with 10,000 objects on disk", took, "s", "<= 0.6")
        time.sleep(8)
        row("server's memory (PSS) with 10,000 pods", [made.pss_mb()], "MB", "<= 130")
        with pinned(LOAD_CORE):
            connection = _connect(made)
            for _ in range(5):
                _walk(connection, PODS, "application/json")
                _walk(connection, PODS, TABLE)
            connection.close()
        row("  the same after lists and Tables", [made.pss_mb()], "MB", "<= 130")


def _until_readyz(made: Box) -> float:
    made.stop()
    began = time.perf_counter()
    made.start()
    connection = _connect(made)
    while True:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            connection.close()
            return time.perf_counter() - began


def bench_state_watch() -> None:
    """Fan-out: 100 events/s of 2 kB to 1,000 TLS watchers."""
    with box("watch") as made:
        made.stop()
        made.start()
        path = f"{MAP}?watch=1&resourceVersion={_write(made, 0)}&timeoutSeconds=3000"
        with pinned(LOAD_CORE):
            crowd = Crowd(made.address, made.context(), path, WATCHERS)
            stop, times = multiprocessing.Event(), Times()
            writer = multiprocessing.Process(target=_write_on, args=(made, stop, times))
            writer.start()
            crowd.follow(time.monotonic() + 3)
            crowd.reset()
            before, began = made.cpu_s(), time.monotonic()
            crowd.follow(began + SECONDS)
            used, took = made.cpu_s() - before, time.monotonic() - began
            stop.set()
            writer.join()
        _watch_rows(crowd, times, used / took * 100, took)
        row("  memory (PSS) with the watchers", [made.pss_mb()], "MB")
        crowd.close()


class Times:
    """When each write was sent and answered: its commit lies between the two."""

    def __init__(self) -> None:
        self.sent = multiprocessing.Array("d", WRITES_MAX, lock=False)
        self.answered = multiprocessing.Array("d", WRITES_MAX, lock=False)


def _watch_rows(crowd: Crowd, times: Times, cpu: float, took: float) -> None:
    sampled = [w for w in crowd.watchers if w.sampled]
    counts = [len(w.read_at) / took for w in sampled]
    raw = [w.raw_bytes for w in crowd.watchers if not w.sampled]

    what = f"watch fan-out, {WATCHERS} TLS x {RATE}/s"
    for since, begun in (("answered", times.answered), ("sent", times.sent)):
        delays = sorted((at - begun[n]) * 1000 for w in sampled for n, at in w.read_at if begun[n])
        for name, part in (("p50", 0.5), ("p99", 0.99), ("latest", 1.0)):
            goal = "<= 50" if name == "p99" and since == "answered" else ""
            late = delays[min(len(delays) - 1, int(len(delays) * part))]
            row(f"{what}: write {since} to read, {name}", [late], "ms", goal)
    row(f"{what}: server CPU", [cpu], "%", "<= 100")
    row("  events/s per sampled watcher", counts, "/s", f"{RATE}")
    row("  encrypted kB/s per other watcher", [b / 1000 / took for b in raw], "kB")


def _config_map(number: int) -> bytes:
    body = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": f"c{number % 20}"},
        "data": {"number": str(number), "text": "x" * 1600},
    }
    return orjson.dumps(body)


def _write(made: Box, number: int) -> str:
    """Write one ConfigMap; its resourceVersion."""
    connection = _connect(made)
    version = _put(connection, number)
    connection.close()
    return version


def _put(connection: http.client.HTTPSConnection, number: int) -> str:
    headers = {"Content-Type": "application/json"}
    connection.request("PUT", f"{MAP}/c{number % 20}", _config_map(number), headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status == 404:
        connection.request("POST", MAP, _config_map(number), headers)
        answer = connection.getresponse()
        body = answer.read()
    if answer.status not in (200, 201):
        raise SystemExit(body.decode())
    version: str = orjson.loads(body)["metadata"]["resourceVersion"]
    return version


def _write_on(made: Box, stop: Event, times: Times) -> None:
    """Write at the rate until told to stop."""
    connection = _connect(made)
    number, due = 0, time.monotonic()
    while not stop.is_set():
        number += 1
        times.sent[number] = time.monotonic()
        _put(connection, number)
        times.answered[number] = time.monotonic()
        due = max(due + 1 / RATE, time.monotonic() - 0.1)
        time.sleep(max(0.0, due - time.monotonic()))


def bench_state_day() -> None:
    """24 virtual hours of leases, statuses and Events on a real file: what it takes at worst."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        asyncio.run(_day(Path(directory)))


async def _day(directory: Path) -> None:
    clock = DrivenClock()
    store = await open_store(directory, clock=clock)
    churn = Churn(store, clock, directory, nodes=10, pods=100)
    hours = [resident_mb()]
    began, used = time.perf_counter(), time.process_time()
    for _ in range(24):
        sizes = await churn.run(60)
        hours.append(resident_mb())
    took, used = time.perf_counter() - began, time.process_time() - used
    await store.close()
    mb = 1024 * 1024
    row(f"24 h of churn, {sizes.writes} writes: processor time", [used], "s")
    row("  the same: wall time", [took], "s")
    row("  files less twice the live data, at worst", [sizes.over / mb], "MB", "<= 64")
    row("  files at worst", [sizes.files / mb], "MB")
    row("  live data at the end", [sizes.live / mb], "MB")
    row("  history in memory at worst", [sizes.history / mb], "MB", "<= 40")
    row("  resident memory, from hour 2 to 24", hours[2:], "MB")


def resident_mb() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1024 / 1024


BENCHES: dict[str, Callable[[], None]] = {
    "state-list": bench_state_list,
    "state-start": bench_state_start,
    "state-watch": bench_state_watch,
    "state-day": bench_state_day,
}
