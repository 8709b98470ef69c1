"""Checkpoints: what the write-ahead log holds goes into the database, mostly beside the writer.

A checkpoint writes thousands of pages and syncs them, and nobody should wait for that. So a thread
with a connection of its own does it while commits go on. What these have added by then is little:
now and then the writer moves that itself, after which SQLite begins the log anew.

Invariant: the log stays below `LOG_BYTES_MAX`, about, however fast the writer and slow the disk is.
Invariant: a checkpoint that fails loses nothing, for the log still has it all; another one follows.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable

BEGIN_BYTES = 2 * 1024 * 1024
"""A checkpoint begins when about so much was written since the last one began."""
RENEW_BYTES = 8 * 1024 * 1024
"""The log is begun anew when it has about so much in it."""
LOG_BYTES_MAX = 12 * 1024 * 1024
"""The writer waits for a checkpoint that is so far behind."""
COMMIT_BYTES = 6 * 4096
"""What a commit writes beside the values in it, about."""

_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """The checkpoints of one database. All methods are the writer's.

    Args:
        connect: makes another connection to the database. It must not make checkpoints itself,
            and neither must the writer's.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._beside: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._fresh = 0
        self._logged = 0

    def wrote(self, db: sqlite3.Connection, size: int) -> None:
        """The writer has committed `size` bytes of values over its connection `db`."""
        self._fresh += size + COMMIT_BYTES
        self._logged += size + COMMIT_BYTES
        late = self._logged >= LOG_BYTES_MAX
        if self._thread is not None:
            if self._thread.is_alive() and not late:
                return
            self._thread.join()
            self._thread = None
            if self._logged >= RENEW_BYTES:
                self._fresh = self._logged = 0
                _move(db)
        elif self._fresh >= BEGIN_BYTES:
            self._begin()

    def stop(self) -> None:
        """Wait for a checkpoint under way and close the connection."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._beside is not None:
            with contextlib.suppress(sqlite3.Error):
                self._beside.close()
            self._beside = None
        self._fresh = self._logged = 0

    def _begin(self) -> None:
        self._fresh = 0
        try:
            if self._beside is None:
                self._beside = self._connect()
        except sqlite3.Error:  # another time
            return
        self._thread = threading.Thread(
            target=_move, args=(self._beside,), name="checkpoint", daemon=True
        )
        self._thread.start()


def _move(db: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        db.execute(_CHECKPOINT).fetchall()
