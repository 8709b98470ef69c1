"""Metrics as Prometheus text (format 0.0.4), and what the process tells of itself.

Written here, since this is all that the server needs of a metrics library
(docs/adr/metrics-text-by-hand.md).
"""

import os
import platform
import resource
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Family:
    """A metric with its samples.

    Attributes:
        name: as it is scraped: a counter's ends in `_total`.
        kind: counter, gauge or histogram.
        samples: suffix of the name, labels, value.
    """

    name: str
    kind: str
    text: str
    samples: list[tuple[str, Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float, suffix: str = "", /, **labels: str) -> None:
        """Add a sample."""
        self.samples.append((suffix, labels, value))


def counter(name: str, text: str, *values: float) -> Family:
    """A counter, with a value that has no labels if one is given."""
    return Family(name, "counter", text, [("", {}, value) for value in values])


def gauge(name: str, text: str, *values: float) -> Family:
    """A gauge, with a value that has no labels if one is given."""
    return Family(name, "gauge", text, [("", {}, value) for value in values])


def render(families: Iterable[Family]) -> bytes:
    """The text of all families."""
    return "".join(line for family in families for line in _lines(family)).encode()


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.text.translate(_HELP_ESCAPES)}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for suffix, labels, value in family.samples:
        yield f"{family.name}{suffix}{_labels(labels)} {float(value)!r}\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in sorted(labels.items()))
    return f"{{{','.join(pairs)}}}"


def of_process() -> Iterator[Family]:
    """Memory, processor time, files and start of this process; nothing where /proc is missing."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        booted = next(s for s in Path("/proc/stat").read_text().splitlines() if s[:6] == "btime ")
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    except (OSError, StopIteration):
        return
    spent, began = int(fields[11]) + int(fields[12]), int(fields[19])
    yield gauge("process_virtual_memory_bytes", "Virtual memory.", int(fields[20]))
    resident = int(fields[21]) * resource.getpagesize()
    yield gauge("process_resident_memory_bytes", "Resident memory.", resident)
    start_s = int(booted.split()[1]) + began / _TICKS
    yield gauge("process_start_time_seconds", "Start, in seconds since the epoch.", start_s)
    yield counter("process_cpu_seconds_total", "User and system time.", spent / _TICKS)
    yield gauge("process_open_fds", "Open file descriptors.", files)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield gauge("process_max_fds", "Most file descriptors that may be open.", most)


def of_python() -> Family:
    """Which Python this is."""
    info = gauge("python_info", "Python's version.")
    major, minor, patch = platform.python_version_tuple()
    info.add(
        1,
        implementation=platform.python_implementation(),
        version=platform.python_version(),
        major=major,
        minor=minor,
        patchlevel=patch,
    )
    return info
