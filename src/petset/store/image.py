"""The committed state in memory: items by key, and in key order per resource.

Invariant: a list is two binary searches and a slice; nothing is sorted when it is read.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain

from petset.store.types import Event, Item

PAST_ALL = "\U0010ffff"
"""Sorts after every key that can follow a prefix."""


def resource_of(key: str) -> str:
    """The resource part of a key or prefix."""
    return key.partition("/")[0]


class _Shelf:
    """The items of one resource: two lists side by side, in key order."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.items: list[Item] = []

    def put(self, item: Item) -> None:
        at = bisect_left(self.keys, item.key)
        if at < len(self.keys) and self.keys[at] == item.key:
            self.items[at] = item
        else:
            self.keys.insert(at, item.key)
            self.items.insert(at, item)

    def remove(self, key: str) -> None:
        at = bisect_left(self.keys, key)
        del self.keys[at]
        del self.items[at]

    def span(self, prefix: str) -> slice:
        low = bisect_left(self.keys, prefix)
        return slice(low, bisect_left(self.keys, prefix + PAST_ALL, low))


class Image:
    """Items by key.

    Args:
        items: what is there at first, in key order.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items: dict[str, Item] = {}
        self._shelves: dict[str, _Shelf] = {}
        for item in items:
            self._items[item.key] = item
            shelf = self._shelf(item.key)
            shelf.keys.append(item.key)
            shelf.items.append(item)

    def get(self, key: str) -> Item | None:
        """The item of `key`."""
        return self._items.get(key)

    def list(self, prefix: str) -> Sequence[Item]:
        """The items whose keys start with `prefix`, in key order."""
        parts = [shelf.items[shelf.span(prefix)] for shelf in self._below(prefix)]
        return parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))

    def count(self, prefix: str) -> int:
        """How many keys start with `prefix`."""
        spans = [shelf.span(prefix) for shelf in self._below(prefix)]
        return sum(span.stop - span.start for span in spans)

    def apply(self, event: Event) -> None:
        """Take in one committed write."""
        key = event.key
        if event.deleted:
            del self._items[key]
            self._shelf(key).remove(key)
            return
        item = Item(key, event.created, event.revision, event.value)
        self._items[key] = item
        self._shelf(key).put(item)

    def _shelf(self, key: str) -> _Shelf:
        resource = resource_of(key)
        shelf = self._shelves.get(resource)
        if shelf is None:
            shelf = self._shelves[resource] = _Shelf()
        return shelf

    def _below(self, prefix: str) -> Sequence[_Shelf]:
        """The shelves that may hold keys of `prefix`, in the order of their keys."""
        if "/" in prefix:
            shelf = self._shelves.get(resource_of(prefix))
            return [] if shelf is None else [shelf]
        names = [name for name in self._shelves if f"{name}/".startswith(prefix)]
        return [self._shelves[name] for name in sorted(names, key=lambda name: f"{name}/")]
