"""Figures of the store on this machine: durable writes, start with many objects, watch delay.

python benchmarks/bench_store.py [--seconds 3] [--directory DIR] [--synchronous FULL]
"""

import argparse
import asyncio
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from petset.base.clock import SystemClock
from petset.store.log import open_store
from petset.store.types import Event, Store

VALUE = 3000


def quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def milliseconds(values: Sequence[float]) -> str:
    return f"p50 {quantile(values, 0.5) * 1e3:.2f} ms, p99 {quantile(values, 0.99) * 1e3:.2f} ms"


def fsync_times(directory: Path) -> list[float]:
    times = []
    path = directory / "probe"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(200):
        os.pwrite(descriptor, os.urandom(4096), 0)
        start = time.perf_counter()
        os.fdatasync(descriptor)
        times.append(time.perf_counter() - start)
    os.close(descriptor)
    path.unlink()
    return times


def encoder(stamp: bool = False) -> Callable[[int], bytes]:
    def make(revision: int) -> bytes:
        head = b"%d %f " % (revision, time.perf_counter() if stamp else 0)
        return head.ljust(VALUE, b"x")

    return make


async def write(store: Store, key: str, until: float, delays: list[float]) -> None:
    make = encoder(stamp=True)
    while (start := time.perf_counter()) < until:
        current = store.head(key)
        await store.put(key, make, expect=current.revision if current else 0)
        delays.append(time.perf_counter() - start)


async def writes(store: Store, writers: int, seconds: float) -> None:
    delays: list[float] = []
    heard: list[float] = []

    def listener(events: Sequence[Event]) -> None:
        now = time.perf_counter()
        heard.extend(now - float(event.value.split(b" ", 2)[1]) for event in events)

    unsubscribe = store.subscribe("pods/", listener)
    start = time.perf_counter()
    until = start + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(writers):
            group.create_task(write(store, f"pods/default/w{number}", until, delays))
    rate = len(delays) / (time.perf_counter() - start)
    unsubscribe()
    print(f"{writers:4d} writers: {rate:7.0f} writes/s, {milliseconds(delays)};", end=" ")
    print(f"watch {milliseconds(heard)}")


async def fill(store: Store, count: int) -> None:
    for start in range(0, count, 1000):
        puts = [
            store.put(f"configmaps/default/c{number}", encoder(), expect=0)
            for number in range(start, min(count, start + 1000))
        ]
        await asyncio.gather(*puts)


async def opening(directory: Path) -> float:
    start = time.perf_counter()
    store = await open_store(directory, clock=SystemClock())
    took = time.perf_counter() - start
    await store.close()
    return took


async def bench(directory: Path, options: argparse.Namespace) -> None:
    fsyncs = fsync_times(directory)
    print(f"{os.cpu_count()} cpus, {platform.machine()}, Linux {platform.release()},", end=" ")
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version},", end=" ")
    print(f"fdatasync of 4 KiB {milliseconds(fsyncs)}")
    print(f"synchronous={options.synchronous}, values of {VALUE} bytes, compare-and-swap")
    clock = SystemClock()
    data = directory / "data"
    store = await open_store(data, clock=clock, synchronous=options.synchronous)
    for writers in (1, 16, 256):
        await writes(store, writers, options.seconds)
    await fill(store, options.objects)
    await store.close()
    took = [await opening(data) for _ in range(5)]
    print(f"open with {options.objects} objects: {statistics.median(took) * 1e3:.0f} ms")
    sizes = {path.name: path.stat().st_size // 1024 for path in sorted(data.iterdir())}
    print(f"files afterwards, KiB: {sizes}")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each write run")
    parser.add_argument("--objects", type=int, default=10_000, help="objects for the start-up run")
    parser.add_argument("--directory", type=Path, help="where to make the files (default: a temp)")
    parser.add_argument("--synchronous", choices=["FULL", "NORMAL"], default="FULL")
    options = parser.parse_args(words)
    directory = Path(tempfile.mkdtemp(prefix="petset-bench-", dir=options.directory))
    sys.setswitchinterval(0.0005)
    try:
        asyncio.run(bench(directory, options))
    finally:
        shutil.rmtree(directory)


def bench_store() -> None:
    """The store with the defaults."""
    main([])


BENCHES = {"store": bench_store}

if __name__ == "__main__":
    main()
