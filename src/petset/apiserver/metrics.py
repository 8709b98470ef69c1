"""What the server counts, and how /metrics tells it."""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from petset.apiserver.hub import Hub
from petset.store.types import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The server's metrics, in a registry of their own."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "apiserver_request",
            "Requests by verb, resource and HTTP code.",
            ("verb", "group", "resource", "code"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "apiserver_request_duration_seconds",
            "Time to the answer (of watches and logs: to its start).",
            ("verb",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._inflight = Gauge(
            "apiserver_current_inflight_requests",
            "Requests being answered.",
            ("request_kind",),
            registry=self.registry,
        )
        self.bugs = Counter(
            "petset_apiserver_bugs", "Answers that failed by a bug.", registry=self.registry
        )
        self.reading = self._inflight.labels("readOnly")
        self.mutating = self._inflight.labels("mutating")
        self._counts: dict[tuple[str, str, str, int], Counter] = {}
        self._times: dict[str, Histogram] = {}
        self.registry.register(_StoreCollector(store, hub))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def count(self, verb: str, group: str, resource: str, code: int, duration_s: float) -> None:
        """Count one answer."""
        key = (verb, group, resource, code)
        counter = self._counts.get(key)
        if counter is None:
            counter = self._counts[key] = self._requests.labels(verb, group, resource, str(code))
        counter.inc()
        histogram = self._times.get(verb)
        if histogram is None:
            histogram = self._times[verb] = self._durations.labels(verb)
        histogram.observe(duration_s)

    def render(self) -> bytes:
        """All metrics as Prometheus text."""
        return generate_latest(self.registry)


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
