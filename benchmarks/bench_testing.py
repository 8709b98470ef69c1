"""The cluster for tests: how long it takes to start, to reset, to run a set, to pass an hour."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from benchmarks.machine import row
from petset.testing.cluster import RunningCluster, running_cluster
from petset.testing.scenario import stateful_set

ROUNDS = 20
NODES = 3
SET = "statefulsets.apps"

T = TypeVar("T")


class Stopwatch:
    """Wall and processor milliseconds of what was done, by name."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def measure(self, what: str, work: Callable[[], T]) -> T:
        """Do `work` and note how long it took, whatever thread it kept busy."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.wall.setdefault(what, []).append((time.perf_counter() - wall) * 1000)
        self.cpu.setdefault(what, []).append((time.process_time() - cpu) * 1000)
        return result

    def tell(self) -> None:
        """Print a row of each kind for everything measured."""
        for what, values in self.wall.items():
            row(f"{what}: wall", values, "ms")
            row(f"{what}: processor", self.cpu[what], "ms")


def bench_testing() -> None:
    """A test cluster of three nodes, over HTTPS."""
    watch = Stopwatch()
    for _ in range(ROUNDS):
        with ExitStack() as stack:
            opening = partial(stack.enter_context, running_cluster(nodes=NODES))
            _use(watch.measure("test cluster, start (3 nodes, TLS)", opening), watch)
            watch.measure("test cluster, stop", stack.close)
    watch.tell()


def _use(cluster: RunningCluster, watch: Stopwatch) -> None:
    watch.measure("apply to 3 ordered members Ready", lambda: _ready(cluster))
    watch.measure("an hour passes (3 nodes, 3 pods)", lambda: cluster.advance(3600))
    watch.measure("reset", cluster.reset)


def _ready(cluster: RunningCluster) -> None:
    for obj in stateful_set("web", replicas=3):
        cluster.apply(obj)
    cluster.wait_for(lambda: cluster.ready(SET, "web"))


BENCHES = {"testing": bench_testing}
