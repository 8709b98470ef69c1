"""Disks that fail: wraps a store's driver and breaks it where a test says so.

The faults are those of real disks: a commit refused before anything was written (full), a commit
whose sync failed although the rows are there (lying), a file that cannot be opened for a while.
"""

import enum
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from petset.store.drivers.types import Driver, DriverError, Loaded
from petset.store.types import Event, Item


class Fault(enum.Enum):
    """How one call ends."""

    NONE = "works"
    REFUSED = "nothing is written, the call fails"
    LYING = "everything is written, the call fails all the same"


class FaultyDriver:
    """A driver that goes wrong on demand.

    Attributes:
        commits, restores, compactions: faults of the next calls, in order; beyond them all works.
        calls: names of the calls made, for assertions.
    """

    def __init__(self, driver: Driver, commits: Iterable[Fault] = ()) -> None:
        self._driver = driver
        self.commits: deque[Fault] = deque(commits)
        self.restores: deque[Fault] = deque()
        self.compactions: deque[Fault] = deque()
        self.calls: list[str] = []
        self._dirty = False

    def load(self, history_bytes: int) -> Loaded:
        """Read everything."""
        return self._driver.load(history_bytes)

    def commit(self, events: Sequence[Event]) -> None:
        """Make `events` durable, unless a fault is due."""
        self.calls.append("commit")
        assert not self._dirty, "a commit on top of a failed one that was not restored"
        fault = _next(self.commits)
        self._dirty = fault is not Fault.NONE
        if fault is not Fault.REFUSED:
            self._driver.commit(events)
        _fail(fault)

    def compact(self, upto: int) -> bool:
        """Let go of history, unless a fault is due."""
        self.calls.append("compact")
        fault = _next(self.compactions)
        more = fault is not Fault.REFUSED and self._driver.compact(upto)
        _fail(fault)
        return more

    def restore(self, revision: int, rows: Mapping[str, Item | None]) -> None:
        """Take back what a failed call left, unless a fault is due."""
        self.calls.append("restore")
        fault = _next(self.restores)
        if fault is not Fault.REFUSED:
            self._driver.restore(revision, rows)
        _fail(fault)
        self._dirty = False

    def close(self) -> None:
        """Let go of the files."""
        self._driver.close()


def _next(faults: deque[Fault]) -> Fault:
    return faults.popleft() if faults else Fault.NONE


def _fail(fault: Fault) -> None:
    if fault is not Fault.NONE:
        raise DriverError(f"injected: {fault.value}")
