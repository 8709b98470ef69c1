"""What machine a figure was measured on, and how figures are printed."""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def traits() -> str:
    """One line: processors, memory, kernel, Python, time of one 4 KiB fdatasync."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown processor",
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    return (
        f"{os.cpu_count()} x {cpu}, {memory} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, fdatasync {fsync_ms():.2f} ms"
    )


def fsync_ms(rounds: int = 50) -> float:
    """Median milliseconds of a 4 KiB write with fdatasync in the state directory's file system."""
    times = []
    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        for _ in range(rounds):
            began = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 4096, 0)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def row(what: str, values: Sequence[float], unit: str, goal: str = "") -> None:
    """Print median, minimum and maximum of a figure."""
    middle, low, high = statistics.median(values), min(values), max(values)
    tail = f"   goal {goal}" if goal else ""
    spread = f"(min {low:.3f}, max {high:.3f}, n {len(values)})"
    print(f"{what:<58} {middle:8.3f} {unit:<3} {spread}{tail}", flush=True)
