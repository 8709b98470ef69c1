"""The server's metrics, and their rendering at /metrics."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from petset.apiserver import exposition
from petset.apiserver.exposition import Family, counter, gauge
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
    """The server's metrics.

    Attributes:
        reading, mutating: requests that are being answered.
        bugs: answers that failed by a bug.
        count: counts one answer: verb, group, resource, HTTP code, seconds that it took.
        beside: what others in the process (controllers) have to tell, asked each time.
    """

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store, self._hub = store, hub
        self.bugs = 0
        self.reading, self.mutating = InFlight(), InFlight()
        self._requests = _Requests({"readOnly": self.reading, "mutating": self.mutating})
        self.count = self._requests.count
        self.beside: Callable[[], Iterable[Sample]] = tuple

    def render(self) -> bytes:
        """All metrics as Prometheus text."""
        return exposition.render(self._families())

    def _families(self) -> Iterable[Family]:
        yield counter("petset_apiserver_bugs_total", "Answers that failed by a bug.", self.bugs)
        yield from self._requests.families()
        yield from _of_store(self._store, self._hub)
        yield from _of_others(self.beside())
        yield from exposition.of_process()
        yield exposition.of_python()


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

    def families(self) -> Iterable[Family]:
        requests = counter("apiserver_request_total", "Requests by verb, resource and HTTP code.")
        for (verb, group, resource, code), count in self._counts.items():
            requests.add(count, verb=verb, group=group, resource=resource, code=str(code))
        yield requests
        durations = Family(
            "apiserver_request_duration_seconds",
            "histogram",
            "Time to the answer (of watches and logs: to its start).",
        )
        for verb, times in self._times.items():
            times.fill(durations, verb)
        yield durations
        inflight = gauge("apiserver_current_inflight_requests", "Requests being answered.")
        for kind, running in self._running.items():
            inflight.add(running.now, request_kind=kind)
        yield inflight


class _Times:
    """How long the answers to one verb took."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum_s = 0.0

    def fill(self, family: Family, verb: str) -> None:
        """Add what this holds to a histogram."""
        counts = list(accumulate(self.counts))
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
            family.add(count, "_bucket", verb=verb, le=bound)
        family.add(counts[-1], "_count", verb=verb)
        family.add(self.sum_s, "_sum", verb=verb)


def _of_others(samples: Iterable[Sample]) -> Iterable[Family]:
    """What others in the process have to tell, by name."""
    families: dict[str, Family] = {}
    for name, labels, value in samples:
        family = families.get(name)
        if family is None:
            make = counter if name.endswith("_total") else gauge
            family = families[name] = make(name, _TEXTS.get(name, name.replace("_", " ")))
        family.samples.append(("", labels, value))
    return families.values()


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


def _of_store(store: Store, hub: Hub) -> Iterable[Family]:
    yield gauge("petset_store_revision", "Newest revision.", store.revision)
    yield gauge("petset_store_compacted", "Oldest history kept.", store.compacted)
    yield gauge("petset_store_objects", "Objects stored.", store.count(""))
    yield gauge("apiserver_longrunning_watches", "Open watches.", hub.watchers)
