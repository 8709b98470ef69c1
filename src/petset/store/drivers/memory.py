"""A driver in memory: for tests, simulation, and clusters that may be lost."""

from collections.abc import Mapping, Sequence

from petset.base.clock import Clock
from petset.store.drivers.types import Loaded
from petset.store.hub import size_of
from petset.store.log import Log
from petset.store.types import Event, Item
from petset.store.worker import Inline


class MemoryDriver:
    """The durable side, in memory. It outlives the store opened on it, as a disk would."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._events: list[Event] = []
        self._revision = 0

    def load(self, history_bytes: int) -> Loaded:
        """Read everything: all objects, and the newest `history_bytes` bytes of history."""
        start, size = len(self._events), 0
        while start and size + size_of(self._events[start - 1]) <= history_bytes:
            start -= 1
            size += size_of(self._events[start])
        events = self._events[start:]
        return Loaded(
            self._revision,
            events[0].revision - 1 if events else self._revision,
            self._events[0].revision if self._events else self._revision + 1,
            [self._items[key] for key in sorted(self._items)],
            events,
        )

    def commit(self, events: Sequence[Event]) -> None:
        """Keep `events`."""
        for event in events:
            if event.deleted:
                del self._items[event.key]
            else:
                item = Item(event.key, event.created, event.revision, event.value)
                self._items[event.key] = item
        self._events += events
        self._revision = events[-1].revision

    def compact(self, upto: int) -> bool:
        """Drop the history up to and including revision `upto`."""
        self._events = [event for event in self._events if event.revision > upto]
        return False

    def restore(self, revision: int, rows: Mapping[str, Item | None]) -> None:
        """Forget whatever happened after `revision`."""
        self._events = [event for event in self._events if event.revision <= revision]
        self._revision = revision
        for key, item in rows.items():
            self._items.pop(key, None)
            if item is not None:
                self._items[key] = item

    def close(self) -> None:
        """Nothing to close."""

    def copy(self) -> "MemoryDriver":
        """Another driver with the same contents."""
        other = MemoryDriver()
        other._items, other._events = dict(self._items), list(self._events)
        other._revision = self._revision
        return other


class MemoryStore(Log):
    """A store whose objects go with the process. To be made on the loop it belongs to.

    Args:
        revision: the newest revision of a store that this one, still empty, follows: it counts on
            from there, and all that went before is compacted.
    """

    def __init__(self, clock: Clock, *, revision: int = 0) -> None:
        driver = MemoryDriver()
        driver.restore(revision, {})
        super().__init__(driver, Inline(), clock)
