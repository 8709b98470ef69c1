"""What a store is: types and the protocol that every driver's store fulfils.

Keys are `resource/namespace/name`, where resource is `plural` or `plural.group` (`pods`,
`statefulsets.apps`) and namespace is empty for cluster-scoped objects (`nodes//n1`).

Invariant: revisions are dense, start at 1 and never repeat: every write takes the next one.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

Make = Callable[[int], bytes]
"""Encodes the object for the revision it is given (the object's resourceVersion)."""


class Item(NamedTuple):
    """A stored object: its key, the revision that created it, its newest revision, its bytes."""

    key: str
    created: int
    revision: int
    value: bytes


class Event(NamedTuple):
    """One committed write.

    `value` holds the new bytes; for a deletion the last state, encoded with the deletion's own
    revision. `previous` is the state before, None when the key was created.
    """

    revision: int
    deleted: bool
    key: str
    created: int
    value: bytes
    previous: bytes | None


class Snapshot(NamedTuple):
    """A consistent list: items in key order, at `revision`."""

    revision: int
    items: Sequence[Item]


class StoreError(Exception):
    """Base of everything a store refuses."""


class ConflictError(StoreError):
    """The expected revision is not the newest one. `current` is the newest item, if any."""

    def __init__(self, key: str, current: Item | None) -> None:
        super().__init__(key)
        self.key = key
        self.current = current


class CompactedError(StoreError):
    """The revision asked for is older than the history kept."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"revision {revision} is compacted; the oldest is {oldest}")
        self.revision = revision
        self.oldest = oldest


class UnavailableError(StoreError):
    """The write could not be made durable (disk full, failing fsync). Nothing was changed."""


Done = Callable[[Item | UnavailableError], None]
"""Told on the event loop what became of a write: the item once it is durable, or why it is not."""

Listener = Callable[[Sequence[Event]], None]
"""Told of committed events of its prefix, in order, each once, on the event loop."""


class Store(Protocol):
    """Revisions of objects. All methods belong to one event loop."""

    @property
    def revision(self) -> int:
        """The newest committed revision; 0 when nothing was ever written."""
        ...

    @property
    def compacted(self) -> int:
        """History up to and including this revision is gone."""
        ...

    def get(self, key: str) -> Item | None:
        """The committed state of `key`."""
        ...

    def head(self, key: str) -> Item | None:
        """The newest state of `key`, pending writes included: what a writer compares with."""
        ...

    def list(self, prefix: str) -> Snapshot:
        """All committed items whose key starts with `prefix` (`pods/`, `pods/default/`)."""
        ...

    def count(self, prefix: str) -> int:
        """How many committed items there are below `prefix`."""
        ...

    async def put(self, key: str, make: Make, *, expect: int) -> Item:
        """Write `make(revision)` if the newest revision of `key` is `expect` (0: must not exist).

        Returns when the write is durable. Raises ConflictError at once, UnavailableError when the
        write could not be made durable.
        """
        ...

    def put_soon(self, key: str, make: Make, done: Done, *, expect: int) -> None:
        """`put` without waiting: `done` is told in a later turn of the loop.

        Raises ConflictError, and UnavailableError where nothing was begun.
        """
        ...

    async def delete(self, key: str, make: Make, *, expect: int) -> Item:
        """Remove `key` if its newest revision is `expect`; `make` encodes the last state."""
        ...

    async def durable(self, revision: int) -> None:
        """Wait until `revision` is committed: for callers that answer with what `head` shows.

        Raises UnavailableError when it was taken back instead.
        """
        ...

    async def settled(self) -> None:
        """Wait until all that `head` shows is committed: for callers that refuse because of it.

        Raises UnavailableError when some of it was taken back instead.
        """
        ...

    def history(self, prefix: str, after: int) -> Sequence[Event]:
        """Committed events below `prefix` with revisions over `after`, in order.

        Raises CompactedError when `after` is below the compaction point.
        """
        ...

    def subscribe(self, prefix: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every later event below `prefix`. Returns the unsubscriber."""
        ...

    async def close(self) -> None:
        """Finish pending writes and close the files."""
        ...
