"""The server's metrics, and their rendering at /metrics."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from petset.apiserver.hub import Hub
from petset.store.types import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[str, Mapping[str, str], float]
"""Name, labels, value; a name that ends in `_total` is a counter's, others are gauges'."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class InFlight:
    """How many requests are being answered now."""

    now: int = 0


class Metrics:
    """The server's metrics, in a registry of their own.

    Attributes:
        reading, mutating: requests that are being answered.
        count: counts one answer: verb, group, resource, HTTP code, seconds that it took.
        beside: what others in the process (controllers) have to tell, asked each time.
    """

    def __init__(self, store: Store, hub: Hub) -> None:
        self.registry = CollectorRegistry()
        self.bugs = Counter(
            "petset_apiserver_bugs", "Answers that failed by a bug.", registry=self.registry
        )
        self.reading, self.mutating = InFlight(), InFlight()
        self._requests = _Requests({"readOnly": self.reading, "mutating": self.mutating})
        self.count = self._requests.count
        self.registry.register(self._requests)
        self.registry.register(_StoreCollector(store, hub))
        self.beside: Callable[[], Iterable[Sample]] = tuple
        self.registry.register(_Beside(self))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def render(self) -> bytes:
        """All metrics as Prometheus text."""
        return generate_latest(self.registry)


class _Requests:
    """Answers by kind: plain numbers while they are counted, metrics when those are asked for."""

    def __init__(self, running: Mapping[str, InFlight]) -> None:
        self._running = running
        self._counts: dict[tuple[str, str, str, int], int] = {}
        self._times: dict[str, _Times] = {}

    def count(self, verb: str, group: str, resource: str, code: int, duration_s: float) -> None:
        key = (verb, group, resource, code)
        self._counts[key] = self._counts.get(key, 0) + 1
        times = self._times.get(verb)
        if times is None:
            times = self._times[verb] = _Times()
        times.counts[bisect_left(BUCKETS, duration_s)] += 1
        times.sum_s += duration_s

    def collect(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "apiserver_request",
            "Requests by verb, resource and HTTP code.",
            labels=("verb", "group", "resource", "code"),
        )
        for (*words, code), count in list(self._counts.items()):
            requests.add_metric([*map(str, words), str(code)], count)
        yield requests
        durations = HistogramMetricFamily(
            "apiserver_request_duration_seconds",
            "Time to the answer (of watches and logs: to its start).",
            labels=("verb",),
        )
        for verb, times in list(self._times.items()):
            durations.add_metric([verb], times.buckets(), times.sum_s)
        yield durations
        inflight = GaugeMetricFamily(
            "apiserver_current_inflight_requests",
            "Requests being answered.",
            labels=("request_kind",),
        )
        for kind, running in self._running.items():
            inflight.add_metric([kind], running.now)
        yield inflight


class _Times:
    """How long the answers to one verb took."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum_s = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        bounds = [*map(str, BUCKETS), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class _Beside:
    """What others in the process have to tell, by name."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for name, labels, value in self._metrics.beside():
            family = families.get(name)
            if family is None:
                family = families[name] = _family(name, tuple(labels))
            family.add_metric(list(labels.values()), value)
        yield from families.values()


def _family(name: str, labels: tuple[str, ...]) -> CounterMetricFamily | GaugeMetricFamily:
    text = _TEXTS.get(name, name.replace("_", " "))
    if name.endswith("_total"):
        return CounterMetricFamily(name.removesuffix("_total"), text, labels=labels)
    return GaugeMetricFamily(name, text, labels=labels)


_TEXTS = {
    "petset_controller_turns_total": "Looks of controllers at an object, by what they led to.",
    "petset_controller_writes_total": "Writes of controllers.",
    "workqueue_adds_total": "Keys queued.",
    "workqueue_depth": "Keys that wait for a worker.",
    "workqueue_retries_total": "Keys queued again after a failure.",
    "statefulset_controller_statefulset_max_unavailable": (
        "Maximum number of unavailable pods allowed during StatefulSet rolling updates."
    ),
    "statefulset_controller_statefulset_unavailable_replicas": (
        "Current number of unavailable pods in StatefulSet."
    ),
}


class _StoreCollector:
    """Gauges that are read when asked for."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub

    def collect(self) -> Iterable[Metric]:
        store = self._store
        yield GaugeMetricFamily("petset_store_revision", "Newest revision.", store.revision)
        yield GaugeMetricFamily("petset_store_compacted", "Oldest history kept.", store.compacted)
        yield GaugeMetricFamily("petset_store_objects", "Objects stored.", store.count(""))
        yield GaugeMetricFamily(
            "apiserver_longrunning_watches", "Open watches.", self._hub.watchers
        )
