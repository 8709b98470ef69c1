"""Checkpoints beside the writer: the log stays small, and nothing depends on them."""

import sqlite3
from pathlib import Path

import pytest

from petset.store.drivers import checkpoint, sqlite
from petset.store.drivers.sqlite import SqliteDriver
from petset.store.types import Event

SIZE = 4000


def commit(driver: SqliteDriver, first: int, count: int) -> None:
    """Commit new objects with the revisions from `first` on."""
    driver.commit(
        [
            Event(n, False, f"maps//k{n:06d}", n, b"%06d" % n + b"x" * SIZE, None)
            for n in range(first, first + count)
        ]
    )


def keys(directory: Path) -> int:
    """How many objects are found when the directory is opened."""
    driver = SqliteDriver(directory)
    loaded = driver.load(1 << 20)
    driver.close()
    assert loaded.revision == len(loaded.items)
    return len(loaded.items)


def test_the_log_begins_anew_again_and_again(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path)
    rounds, each = 150, 50
    for number in range(rounds):
        commit(driver, number * each + 1, each)
    log = tmp_path / f"{sqlite.FILE}-wal"
    written = rounds * each * SIZE
    assert log.stat().st_size < checkpoint.LOG_BYTES_MAX + checkpoint.BEGIN_BYTES < written
    assert (tmp_path / sqlite.FILE).stat().st_size > written - 2 * checkpoint.LOG_BYTES_MAX
    driver.close()
    assert not log.exists()
    assert keys(tmp_path) == rounds * each


class Stubborn(sqlite3.Connection):
    """A connection that makes no checkpoints."""

    asked: list[str] = []  # noqa: RUF012 (shared by the connections of a test)

    def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:
        if "checkpoint(" in sql:
            self.asked.append(sql)
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *rest)  # type: ignore[arg-type]


def test_checkpoints_that_fail_lose_nothing_and_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "BEGIN_BYTES", 100_000)
    monkeypatch.setattr(Stubborn, "asked", [])

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=Stubborn
        )

    driver = SqliteDriver(tmp_path, connect=connect)
    for number in range(100):
        commit(driver, number * 10 + 1, 10)
    driver.close()
    assert len(Stubborn.asked) > 4
    assert keys(tmp_path) == 1000


def test_a_writer_that_cannot_have_a_second_connection_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "BEGIN_BYTES", 100_000)
    made: list[Path] = []

    def connect(path: Path) -> sqlite3.Connection:
        if made:
            raise sqlite3.OperationalError("unable to open database file")
        made.append(path)
        return sqlite.connect(path)

    driver = SqliteDriver(tmp_path, connect=connect)
    for number in range(30):
        commit(driver, number * 10 + 1, 10)
    driver.close()
    assert keys(tmp_path) == 300


def test_the_writer_waits_for_a_checkpoint_that_is_far_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "BEGIN_BYTES", 100_000)
    monkeypatch.setattr(checkpoint, "RENEW_BYTES", 150_000)
    monkeypatch.setattr(checkpoint, "LOG_BYTES_MAX", 200_000)
    driver = SqliteDriver(tmp_path)
    log = tmp_path / f"{sqlite.FILE}-wal"
    for number in range(200):
        commit(driver, number * 10 + 1, 10)
        assert log.stat().st_size < 2_000_000
    driver.close()
    assert keys(tmp_path) == 2000
