"""Metrics as text, read back by the parser of Prometheus' own Python library."""

from prometheus_client.parser import text_string_to_metric_families

from petset.apiserver import exposition
from petset.apiserver.exposition import Family, counter, gauge
from petset.apiserver.hub import Hub
from petset.apiserver.metrics import Metrics
from petset.base.clock import SystemClock
from petset.store.drivers.memory import MemoryStore


def read_back(*families: Family) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Value by name and sorted labels."""
    text = exposition.render(families).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_labels_and_help_are_escaped() -> None:
    value = 'a"b\\n\nc\\'
    family = gauge("some_gauge", "Line one\nand \\two.")
    family.add(1.5, path=value, other="")
    assert read_back(family) == {("some_gauge", (("other", ""), ("path", value))): 1.5}


def test_values_without_labels() -> None:
    large = 123_456_789_012.0
    found = read_back(counter("x_total", "X.", 3), gauge("y", "Y.", large), gauge("z", "Z."))
    assert found == {("x_total", ()): 3.0, ("y", ()): large}


async def test_durations_are_a_histogram_whose_buckets_add_up() -> None:
    store = MemoryStore(SystemClock())
    metrics = Metrics(store, Hub(store))
    for duration_s in (0.0005, 0.003, 99.0):
        metrics.count("get", "", "pods", 200, duration_s)
    families = {f.name: f for f in text_string_to_metric_families(metrics.render().decode())}
    histogram = families["apiserver_request_duration_seconds"]
    assert histogram.type == "histogram"
    counts = [s.value for s in histogram.samples if s.name.endswith("_bucket")]
    bounds = [float(s.labels["le"]) for s in histogram.samples if "le" in s.labels]
    assert counts == sorted(counts)
    assert bounds == sorted(bounds)
    assert (counts[0], counts[-2], counts[-1]) == (1, 2, 3)
    last = {s.name.rpartition("_")[2]: s.value for s in histogram.samples[-2:]}
    assert last == {"count": 3, "sum": 99.0035}


def test_process_tells_of_itself() -> None:
    families = [*exposition.of_process(), exposition.of_python()]
    found = {name: value for (name, _), value in read_back(*families).items()}
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert found["process_virtual_memory_bytes"] > found["process_resident_memory_bytes"]
    assert found["process_cpu_seconds_total"] > 0
    assert 3 <= found["process_open_fds"] < found["process_max_fds"]
    assert 1_600_000_000 < found["process_start_time_seconds"] <= SystemClock().now()
    assert found["python_info"] == 1
