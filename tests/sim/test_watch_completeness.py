"""No event of a watch is lost, reordered or doubled.

PETSET_WATCH_EVENTS sets how many deliveries are checked (default 50,000; the long run is
1,000,000 and takes some minutes).
"""

import os
from pathlib import Path

import pytest

from petset.apiserver.app import App
from petset.apiserver.config import Config
from petset.base.clock import SystemClock
from petset.base.ids import Ids
from petset.store.drivers.sqlite import SqliteDriver
from petset.store.log import Log
from petset.store.worker import Thread
from petset.testing.watchcheck import Check

DELIVERIES = int(os.environ.get("PETSET_WATCH_EVENTS", "50000"))
WATCHERS = 60
HISTORY_BYTES = 200_000
"""So little history that compaction runs all the time and the slowest readers come too late."""


@pytest.mark.timeout(60 + DELIVERIES / 1000)
async def test_watches_hear_everything_once_and_in_order(tmp_path: Path) -> None:
    clock, ids = SystemClock(), Ids(DELIVERIES)
    driver = SqliteDriver(tmp_path, synchronous="NORMAL")
    store = Log(driver, Thread("store"), clock, history_bytes_max=HISTORY_BYTES)
    app = App(store, clock, ids, config=Config(bookmark_s=0.02))
    await app.start()
    check = Check(app.dispatch, store, ids.rng)
    try:
        await check.run(DELIVERIES, watchers=WATCHERS)
    finally:
        await app.close()
        await store.close()
    assert check.faults == []
    assert check.deliveries >= DELIVERIES
    assert store.compacted > 0
    assert sum(w.watches for w in check.watchers) > len(check.watchers), "nobody came back"
