"""Records of container runs on disk."""

import os
from pathlib import Path

from petset.node import kernel
from petset.node.runtime import record
from tests.unit.node.pods import run


def test_records_come_back_in_order_of_attempts(tmp_path: Path) -> None:
    for attempt in (10, 2, 0):
        kept = record.Record(run(attempt=attempt), "/b", "/s", pid=attempt)
        record.save(tmp_path, kept)
    assert [r.run.attempt for r in record.load(tmp_path)] == [0, 2, 10]
    assert list(record.load(tmp_path / "none")) == []


def test_a_broken_record_is_skipped(tmp_path: Path) -> None:
    record.save(tmp_path, record.Record(run(), "/b", "/s"))
    (tmp_path / "containers/c.1.json").write_text('{"run": ')
    assert len(list(record.load(tmp_path))) == 1


def test_life_is_told_by_pid_and_start_time(tmp_path: Path) -> None:
    me = os.getpid()
    ticks = kernel.start_ticks(me)
    record.save(tmp_path, record.Record(run(), "/b", "/s", pid=me, ticks=ticks + 1))
    assert not record.pod_is_alive(tmp_path)
    record.save(tmp_path, record.Record(run(), "/b", "/s", pid=me, ticks=ticks))
    assert record.pod_is_alive(tmp_path)
    record.save(tmp_path, record.Record(run(cleaned=True), "/b", "/s", pid=me, ticks=ticks))
    assert not record.pod_is_alive(tmp_path)
    starting = record.Record(run(), "/b", "/s", starter_pid=me, starter_ticks=ticks)
    record.save(tmp_path, starting)
    assert record.pod_is_alive(tmp_path)
