import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from petset.base.loopclock import LoopClock
from petset.store.drivers import sqlite
from petset.store.drivers.sqlite import SqliteDriver
from petset.store.drivers.types import Driver
from petset.store.log import Log, open_store
from petset.store.types import Event, Item, StoreError, UnavailableError
from petset.store.worker import Thread, Worker
from tests.unit.store.suite import A, B, C, StoreSuite, put, text


class TestSqlite(StoreSuite):
    def driver(self, data: Path) -> Driver:
        return SqliteDriver(data)

    def worker(self) -> Worker:
        return Thread("test-store")


class TestSqliteSoon(TestSqlite):
    soon = 2


async def test_a_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "new" / "data", clock=LoopClock())
    await store.close()
    assert (tmp_path / "new" / "data").stat().st_mode & 0o777 == 0o700


async def test_a_second_server_on_a_directory_is_refused_and_told_who_holds_it(
    tmp_path: Path,
) -> None:
    store = await open_store(tmp_path, clock=LoopClock())
    with pytest.raises(StoreError, match=rf"in use by another server \(process {os.getpid()}\)"):
        await open_store(tmp_path, clock=LoopClock())
    await put(store, A)
    await store.close()
    again = await open_store(tmp_path, clock=LoopClock())
    assert again.revision == 1
    await again.close()


async def test_another_format_is_refused_naming_both(tmp_path: Path) -> None:
    await (await open_store(tmp_path, clock=LoopClock())).close()
    with sqlite3.connect(tmp_path / sqlite.FILE) as db:
        db.execute("UPDATE meta SET value = 7 WHERE name = 'format'")
    db.close()
    with pytest.raises(StoreError, match=r"has store format 7; this petset reads format 1"):
        await open_store(tmp_path, clock=LoopClock())


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / sqlite.FILE).write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match=r"cannot open .* not a database"):
        await open_store(tmp_path, clock=LoopClock())
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE x (y)")
    db.close()
    (tmp_path / "other.db").replace(tmp_path / sqlite.FILE)
    with pytest.raises(StoreError, match="not a petset store"):
        await open_store(tmp_path, clock=LoopClock())


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot use .*Not a directory"):
        await open_store(tmp_path / "file" / "data", clock=LoopClock())


async def test_a_history_with_a_hole_is_refused(tmp_path: Path) -> None:
    store = await open_store(tmp_path, clock=LoopClock())
    for key in (A, B, C):
        await put(store, key)
    await store.close()
    with sqlite3.connect(tmp_path / sqlite.FILE) as db:
        db.execute("DELETE FROM log WHERE rev = 2")
    db.close()
    with pytest.raises(StoreError, match="damaged"):
        await open_store(tmp_path, clock=LoopClock())


async def test_normal_syncing_is_offered(tmp_path: Path) -> None:
    store = await open_store(tmp_path, clock=LoopClock(), synchronous="NORMAL")
    await put(store, A)
    await store.close()
    again = await open_store(tmp_path, clock=LoopClock())
    assert again.revision == 1
    await again.close()


class Breaking(sqlite3.Connection):
    """A connection whose COMMIT fails when told to, before or after it was done."""

    broken = ""

    def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
        if sql == "COMMIT" and type(self).broken:
            if type(self).broken == "after":
                super().execute(sql)
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *args)  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_failed_sync_is_taken_back_before_anything_else_is_written(
    tmp_path: Path, moment: str
) -> None:
    class Connection(Breaking):
        pass

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=Connection
        )

    store = Log(SqliteDriver(tmp_path, connect=connect), Thread("test-store"), LoopClock())
    await put(store, A, "old")
    await put(store, C)
    Connection.broken = moment
    with pytest.raises(UnavailableError, match="disk I/O error"):
        await put(store, A, "lost")
    with pytest.raises(UnavailableError, match="disk I/O error"):
        await put(store, B, "lost")
    Connection.broken = ""
    assert await put(store, B, "new") == Item(B, 3, 3, b"new@3")
    await store.close()
    again = await open_store(tmp_path, clock=LoopClock())
    assert [(i.key, i.value) for i in again.list("pods/").items] == [
        (A, b"old@1"),
        (B, b"new@3"),
        (C, b"v@2"),
    ]
    assert [e.revision for e in again.history("pods/", 0)] == [1, 2, 3]
    await again.close()


async def test_a_disk_that_lost_what_it_had_acknowledged_stops_the_store(tmp_path: Path) -> None:
    store = await open_store(tmp_path, clock=LoopClock())
    await put(store, A)
    await store.close()
    driver = SqliteDriver(tmp_path)
    with pytest.raises(StoreError, match="has lost revisions 2 to 5"):
        driver.restore(5, {})
    driver.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small file system")
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(where)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("cannot mount here")
    yield where
    subprocess.run(["umount", "--lazy", str(where)], check=True)


async def test_a_full_disk_refuses_writes_until_there_is_room_again(small_disk: Path) -> None:
    store = await open_store(small_disk / "data", clock=LoopClock())
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 700_000)
    big = "x" * 50_000
    writing = (put(store, f"pods/default/{number}", big) for number in range(100))
    results = await asyncio.gather(*writing, return_exceptions=True)
    assert {type(result) for result in results} == {UnavailableError}
    acknowledged = 0
    with contextlib.suppress(UnavailableError):
        while acknowledged < 100:
            await put(store, f"pods/default/{acknowledged}", big)
            acknowledged += 1
    for _ in range(3):
        with pytest.raises(UnavailableError, match="full"):
            await put(store, "pods/default/more", big)
    assert store.revision == acknowledged
    assert store.count("pods/") == acknowledged > 0
    ballast.unlink()
    assert (await put(store, "pods/default/more")).revision == acknowledged + 1
    await store.close()
    again = await open_store(small_disk / "data", clock=LoopClock())
    assert again.count("pods/") == acknowledged + 1
    assert again.revision == acknowledged + 1
    await again.close()


async def test_files_stay_small_under_overwriting(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path, synchronous="NORMAL")
    store = Log(driver, Thread("test-store"), LoopClock(), history_bytes_max=100_000)
    for number in range(3000):
        await store.put(A, text("x" * 3000), expect=number)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    await store.close()
    assert sum(sizes.values()) < 16_000_000, sizes


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 127, 130])
def test_a_commit_of_any_size_is_read_back_whole(tmp_path: Path, count: int) -> None:
    made = [Event(n, False, f"maps//k{n:03d}", n, b"v%d" % n, None) for n in range(1, count + 1)]
    gone = [
        Event(count + n, True, e.key, e.created, b"last", e.value)
        for n, e in enumerate(made[: count // 2], 1)
    ]
    driver = SqliteDriver(tmp_path)
    driver.commit(made)
    if gone:
        driver.commit(gone)
    driver.close()
    again = SqliteDriver(tmp_path)
    loaded = again.load(1 << 20)
    again.close()
    assert loaded.events == [*made, *gone]
    assert loaded.items == [Item(e.key, e.created, e.revision, e.value) for e in made[count // 2 :]]
