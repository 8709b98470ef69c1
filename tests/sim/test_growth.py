"""What a store takes in memory and on disk stays bounded, whatever is written for however long.

PETSET_CHURN_MINUTES sets how much virtual time is simulated (default 2000; a day is 1440). The
benchmark `state-day` does a day of a larger cluster.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from petset.base.clock import SystemClock
from petset.store.drivers.checkpoint import LOG_BYTES_MAX
from petset.store.log import HISTORY_BYTES_MAX, open_store
from petset.store.types import Event, Store
from petset.testing.churn import SPARE_BYTES, Churn, DrivenClock

MINUTES = float(os.environ.get("PETSET_CHURN_MINUTES", "2000"))


@pytest.mark.timeout(120 + MINUTES / 10)
async def test_days_of_leases_statuses_and_events_leave_files_and_memory_small(
    tmp_path: Path,
) -> None:
    clock = DrivenClock()
    store = await open_store(tmp_path, clock=clock, synchronous="NORMAL")
    churn = Churn(store, clock, tmp_path, nodes=4, pods=12)
    try:
        early = await churn.run(MINUTES / 4)
        files = early.files
        sizes = await churn.run(MINUTES * 3 / 4)
        events = store.count("events/")
    finally:
        churn.close()
        await store.close()
    assert sizes.over <= SPARE_BYTES
    # How much of its bound the log takes depends on how far behind the disk is at the moment.
    assert sizes.files <= files + SPARE_BYTES / 8 + LOG_BYTES_MAX, "the files go on growing"
    assert sizes.history <= HISTORY_BYTES_MAX * 2.5
    assert 0 < events <= 3 * 360 + 3 * 3, "Events outlive their hour"


async def fill(store: Store, numbers: range, size: int) -> None:
    def make(revision: int) -> bytes:
        return b"%d " % revision + b"x" * size

    await asyncio.gather(*(store.put(f"configmaps/a/{n}", make, expect=0) for n in numbers))


async def empty(store: Store, numbers: range) -> None:
    items = [store.get(f"configmaps/a/{n}") for n in numbers]
    last = [(item.key, item.revision, item.value) for item in items if item is not None]
    await asyncio.gather(
        *(store.delete(key, lambda _, v=value: v, expect=at) for key, at, value in last)  # type: ignore[misc]
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("size", "count"), [(100_000, 1000), (2100, 20_000), (900_000, 100)])
async def test_files_get_small_again_when_much_was_deleted(
    tmp_path: Path, size: int, count: int
) -> None:
    live = over = 0

    def look(events: Sequence[Event]) -> None:
        nonlocal live, over
        for event in events:
            live += (0 if event.deleted else len(event.value)) - len(event.previous or b"")
        over = max(over, sum(path.stat().st_size for path in tmp_path.iterdir()) - 2 * live)

    store = await open_store(tmp_path, clock=SystemClock(), synchronous="NORMAL")
    store.subscribe("", look)
    for start in range(0, count, 1000):
        await fill(store, range(start, min(count, start + 1000)), size)
    for start in range(0, count, 1000):
        await empty(store, range(start, min(count, start + 1000)))
    await store.close()
    assert live == 0
    # The file gets smaller at a checkpoint, and waits for the one under way if the disk is behind.
    assert over <= SPARE_BYTES + LOG_BYTES_MAX
    again = await open_store(tmp_path, clock=SystemClock())
    assert again.count("") == 0
    await again.close()
