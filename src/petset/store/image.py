"""The committed state in memory: items by key, and the keys in order per resource.

Invariant: a list is two binary searches and a slice; nothing is sorted when it is read.
Invariant: a new state of what is there already costs no search.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from itertools import chain

from petset.store.types import Item

PAST_ALL = "\U0010ffff"
"""Sorts after every key that can follow a prefix."""


def resource_of(key: str) -> str:
    """The resource part of a key or prefix."""
    return key.partition("/")[0]


class Image:
    """Items by key.

    Args:
        items: what is there at first, in key order.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items: dict[str, Item] = {}
        self._shelves: dict[str, list[str]] = {}
        for item in items:
            self._items[item.key] = item
            self._shelves.setdefault(resource_of(item.key), []).append(item.key)

    def get(self, key: str) -> Item | None:
        """The item of `key`."""
        return self._items.get(key)

    def list(self, prefix: str) -> Sequence[Item]:
        """The items whose keys start with `prefix`, in key order."""
        found = [shelf[_span(shelf, prefix)] for shelf in self._below(prefix)]
        keys = found[0] if len(found) == 1 else chain.from_iterable(found)
        return [*map(self._items.__getitem__, keys)]

    def count(self, prefix: str) -> int:
        """How many keys start with `prefix`."""
        spans = [_span(shelf, prefix) for shelf in self._below(prefix)]
        return sum(span.stop - span.start for span in spans)

    def put(self, resource: str, item: Item) -> None:
        """Take in a committed state of an object of `resource`."""
        key = item.key
        if key not in self._items:
            shelf = self._shelves.get(resource)
            if shelf is None:
                self._shelves[resource] = [key]
            elif shelf and key < shelf[-1]:
                insort(shelf, key)
            else:
                shelf.append(key)
        self._items[key] = item

    def remove(self, resource: str, key: str) -> None:
        """Take in that an object is gone."""
        del self._items[key]
        shelf = self._shelves[resource]
        del shelf[bisect_left(shelf, key)]

    def _below(self, prefix: str) -> Sequence[Sequence[str]]:
        """The shelves that may hold keys of `prefix`, in the order of their keys."""
        if "/" in prefix:
            shelf = self._shelves.get(resource_of(prefix))
            return [] if shelf is None else [shelf]
        names = [name for name in self._shelves if f"{name}/".startswith(prefix)]
        return [self._shelves[name] for name in sorted(names, key=lambda name: f"{name}/")]


def _span(shelf: Sequence[str], prefix: str) -> slice:
    """Where the keys with `prefix` are on a shelf."""
    low = bisect_left(shelf, prefix)
    return slice(low, bisect_left(shelf, prefix + PAST_ALL, low))
