"""What a driver is: the durable side of a store.

A driver knows rows, not writers: `store.log` decides revisions and order, a driver makes them last.

Invariant: driver methods block, and are called one at a time, though from any thread.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from petset.store.types import Event, Item, StoreError


class DriverError(StoreError):
    """The disk refused: full, failing, gone. What was asked may or may not have happened."""


class Loaded(NamedTuple):
    """What a driver holds when it is opened.

    Attributes:
        revision: the newest revision ever committed.
        compacted: history up to and including this revision cannot be read any more.
        stored_from: the oldest revision that still takes room (at most `compacted` + 1).
        items: every object, in key order.
        events: the history after `compacted`, in order, without a gap.
    """

    revision: int
    compacted: int
    stored_from: int
    items: Sequence[Item]
    events: Sequence[Event]


class Driver(Protocol):
    """Keeps objects and history."""

    def load(self, history_bytes: int) -> Loaded:
        """Read everything: all objects, and the newest `history_bytes` bytes of history."""
        ...

    def commit(self, events: Sequence[Event]) -> None:
        """Make `events` durable, all or none. Raises DriverError, after which call `restore`."""
        ...

    def compact(self, upto: int) -> bool:
        """Drop the history up to and including revision `upto`. Raises DriverError.

        Also gives some of the room that is free back to the file system. Returns whether there is
        more of it: then call again, with the same revision if no other is due.
        """
        ...

    def restore(self, revision: int, rows: Mapping[str, Item | None]) -> None:
        """After a failure: make durable that nothing after `revision` happened.

        `rows` holds, for every key that the failed commit may have touched, its state at
        `revision` (None: not there). Raises DriverError while the disk still refuses.
        """
        ...

    def close(self) -> None:
        """Close the files."""
        ...
