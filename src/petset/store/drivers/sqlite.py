"""The driver on SQLite: one file in WAL mode, objects and history in two tables.

`obj` holds what is there now. `log` holds one row per revision with the state *before* it; the
state after is the `was` of the key's next row, or the row of `obj`, so that each value is written
once per table. A deletion keeps its last state in its own row, because no later row has it.

Invariant: after a failed call nothing is committed before it is certain that the failed call left
nothing behind. Unless the disk was merely full (SQLite then writes nothing), the connection is not
trusted any more but opened anew.
"""

import contextlib
import fcntl
import functools
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

from petset.store.drivers.checkpoint import LOG_BYTES_MAX, Checkpoints
from petset.store.drivers.types import DriverError, Loaded
from petset.store.hub import EVENT_OVERHEAD
from petset.store.types import Event, Item, StoreError

FORMAT = 1
"""Version of the layout below; written into `meta`, and asked for when a directory is opened."""

FILE = "store.db"
LOCK = "lock"
SQLITE_MIN = (3, 37)
"""First version with STRICT tables."""

FREE_PAGES_MAX = 2048
"""Free pages (of 4 KiB) that may stay in the file: they are soon reused."""
GIVE_BACK_PAGES = 1024
"""Pages returned to the file system at a time."""

Synchronous = Literal["FULL", "NORMAL"]

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE obj (
    key TEXT PRIMARY KEY, crev INTEGER NOT NULL, rev INTEGER NOT NULL, val BLOB NOT NULL
) STRICT;
CREATE TABLE log (
    rev INTEGER PRIMARY KEY, key TEXT NOT NULL, crev INTEGER NOT NULL, was BLOB, last BLOB
) STRICT;
"""
UPSERT = (
    "INSERT INTO obj (key, crev, rev, val) VALUES {} ON CONFLICT (key)"
    " DO UPDATE SET crev = excluded.crev, rev = excluded.rev, val = excluded.val"
)
REMOVE = "DELETE FROM obj WHERE (key) IN (VALUES {})"
APPEND = "INSERT INTO log (rev, key, crev, was, last) VALUES {}"
ROWS_MAX = 64
"""Rows that one statement takes."""

SET_META = (
    "INSERT INTO meta (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)

Connect = Callable[[Path], sqlite3.Connection]
T = TypeVar("T")


def connect(path: Path) -> sqlite3.Connection:
    """A connection that begins no transactions by itself and may move between threads."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)


class SqliteDriver:
    """A directory with one database, held by one process.

    Args:
        directory: made with mode 0700 if it is missing.
        synchronous: FULL syncs at every commit, NORMAL at checkpoints only.
        connect: opens the database file; tests hand in their own.

    Raises StoreError when the directory is in use, of another format, or unreadable.
    """

    def __init__(
        self, directory: Path, *, synchronous: Synchronous = "FULL", connect: Connect = connect
    ) -> None:
        if sqlite3.sqlite_version_info < SQLITE_MIN:
            raise StoreError(f"SQLite 3.37 or newer is needed, this is {sqlite3.sqlite_version}")
        self._path = directory / FILE
        self._synchronous = synchronous
        self._connect = connect
        self._db: sqlite3.Connection | None = None
        self._doubtful = False
        self._checkpoints = Checkpoints(self._open_beside)
        self._lock = _lock(directory)
        try:
            self._db = self._open()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StoreError(f"cannot open {self._path}: {error}") from error
        except StoreError:
            self.close()
            raise

    def load(self, history_bytes: int) -> Loaded:
        """Read everything: all objects, and the newest `history_bytes` bytes of history."""
        try:
            return self._load(history_bytes)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {self._path}: {error}") from error

    def commit(self, events: Sequence[Event]) -> None:
        """Make `events` durable, all or none. Raises DriverError, after which call `restore`."""
        last = {event.key: event for event in events}
        puts = [(e.key, e.created, e.revision, e.value) for e in last.values() if not e.deleted]
        gone = [(e.key,) for e in last.values() if e.deleted]
        log = [
            (e.revision, e.key, e.created, e.previous, e.value if e.deleted else None)
            for e in events
        ]
        with self._transaction() as db:
            _write(db, UPSERT, puts)
            _write(db, REMOVE, gone)
            _write(db, APPEND, log)
            db.execute(SET_META, ("revision", events[-1].revision))
        self._checkpoints.wrote(db, sum(len(e.value) + len(e.previous or b"") for e in events))

    def compact(self, upto: int) -> bool:
        """Drop the history up to and including revision `upto`. Raises DriverError.

        Also makes the file smaller, a little at a time, when much of it is free; says whether
        there is more to do. Not synced: should it be lost, it is only done again.
        """
        self._pragma("synchronous = NORMAL")
        try:
            with self._transaction() as db:
                db.execute("DELETE FROM log WHERE rev <= ?", (upto,))
            return self._give_back()
        finally:
            self._pragma(f"synchronous = {self._synchronous}")

    def _give_back(self) -> bool:
        before = self._pragma("freelist_count")
        if before <= FREE_PAGES_MAX:
            return False
        self._script(f"PRAGMA incremental_vacuum({GIVE_BACK_PAGES})")
        self._pragma("wal_checkpoint(PASSIVE)")  # which is when the file gets smaller
        return FREE_PAGES_MAX < self._pragma("freelist_count") < before

    def restore(self, revision: int, rows: Mapping[str, Item | None]) -> None:
        """Make durable that nothing after `revision` happened. Raises DriverError."""
        if self._doubtful:
            self._reopen()
        with self._transaction() as db:
            (found,) = db.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
            if found < revision:
                raise DriverError(f"{self._path} has lost revisions {found + 1} to {revision}")
            if found == revision:
                return
            db.execute("DELETE FROM log WHERE rev > ?", (revision,))
            _write(db, REMOVE, [(key,) for key in rows])
            _write(db, UPSERT, [_row(item) for item in rows.values() if item is not None])
            db.execute(SET_META, ("revision", revision))

    def _reopen(self) -> None:
        """Go on with a new connection and an empty write-ahead log.

        After a failed sync nobody knows which pages of the log are on the disk, so nothing more
        may be appended to it.
        """
        try:
            self._disconnect()
            self._db = self._open()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (sqlite3.Error, OSError, StoreError) as error:
            raise DriverError(f"cannot reopen {self._path}: {error}") from error
        self._doubtful = False

    def close(self) -> None:
        """Close the files."""
        self._disconnect()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _load(self, history_bytes: int) -> Loaded:
        assert self._db is not None
        (revision,) = self._db.execute("SELECT value FROM meta WHERE name='revision'").fetchone()
        query = "SELECT key, crev, rev, val FROM obj ORDER BY key"
        items = [Item(*row) for row in self._db.execute(query)]
        after: dict[str, bytes | None] = {item.key: item.value for item in items}
        events: list[Event] = []
        size = 0
        query = "SELECT rev, key, crev, was, last FROM log ORDER BY rev DESC"
        for rev, key, created, was, last in self._db.execute(query):
            value = after.get(key) if last is None else last
            if value is None or rev != revision - len(events):
                raise StoreError(f"{self._path} is damaged: revision {rev} does not fit")
            size += len(value) + EVENT_OVERHEAD
            if size > history_bytes:
                break
            events.append(Event(rev, last is not None, key, created, value, was))
            after[key] = was
        events.reverse()
        (oldest,) = self._db.execute("SELECT min(rev) FROM log").fetchone()
        stored_from = revision + 1 if oldest is None else oldest
        return Loaded(revision, revision - len(events), stored_from, items, events)

    def _open(self) -> sqlite3.Connection:
        db = self._connect(self._path)
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect on new files only
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA wal_autocheckpoint = 0")  # see `checkpoint`
            db.execute(f"PRAGMA synchronous = {self._synchronous}")
            db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_MAX}")
            self._check_format(db)
        except BaseException:
            db.close()
            raise
        return db

    def _open_beside(self) -> sqlite3.Connection:
        """Another connection, for checkpoints."""
        db = self._connect(self._path)
        db.execute("PRAGMA wal_autocheckpoint = 0")
        return db

    def _check_format(self, db: sqlite3.Connection) -> None:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if not tables:
            _create(db)
        elif "meta" not in tables:
            raise StoreError(f"{self._path} is not a petset store")
        row = db.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        if row is None or row[0] != FORMAT:
            found = row[0] if row else "none"
            raise StoreError(
                f"{self._path.parent} has store format {found}; this petset reads format {FORMAT}"
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._db is None:
            raise DriverError(f"{self._path} is not open")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._doubtful |= getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL
            self._roll_back()
            raise DriverError(f"{self._path}: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        assert self._db is not None
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:
                self._doubtful = True

    def _pragma(self, text: str) -> int:
        """Run a pragma; the number that it answers, 0 where it answers none."""
        if self._db is None:
            raise DriverError(f"{self._path} is not open")
        try:
            row = self._db.execute(f"PRAGMA {text}").fetchone()
        except sqlite3.Error as error:
            self._doubtful = True
            raise DriverError(f"{self._path}: {error}") from error
        return int(row[0]) if row else 0

    def _script(self, text: str) -> None:
        """Run a statement to its end: `execute` stops after one step of what answers no rows."""
        assert self._db is not None
        try:
            self._db.executescript(text)
        except sqlite3.Error as error:
            self._doubtful = True
            raise DriverError(f"{self._path}: {error}") from error

    def _disconnect(self) -> None:
        self._checkpoints.stop()
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()


def _write(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Run `statement` for all rows, many at a time.

    Each call gives the interpreter lock away and gets it back only when a busy event loop has had
    its turn (the switch interval): a call per row would make commits many times longer.
    """
    start, size = 0, ROWS_MAX
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        part = rows[start : start + size]
        db.execute(_sized(statement, size, len(part[0])), tuple(chain.from_iterable(part)))
        start += size


@functools.cache
def _sized(statement: str, rows: int, columns: int) -> str:
    """The statement for a number of rows: powers of two only, so that few are prepared."""
    row = f"({', '.join('?' * columns)})"
    return statement.format(", ".join([row] * rows))


def _row(item: Item) -> tuple[str, int, int, bytes]:
    return (item.key, item.created, item.revision, item.value)


def _create(db: sqlite3.Connection) -> None:
    statements = [text for text in SCHEMA.split(";") if text.strip()]
    db.execute("BEGIN IMMEDIATE")
    for statement in statements:
        db.execute(statement)
    db.executemany(SET_META, [("format", FORMAT), ("revision", 0)])
    db.execute("COMMIT")


def _lock(directory: Path) -> int:
    """Hold `directory` for this process; the kernel lets go of it when the process ends."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot use {directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StoreError(f"{directory} is in use by another server (process {holder})") from error
    with contextlib.suppress(OSError):  # the pid is for people only; a full disk may lack the room
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock
