"""Reading the newest state, pending writes included: what admission decides on.

Invariant: what is read here is shared and never changed.
"""

from collections.abc import Iterator
from functools import lru_cache

from petset.api.meta import Obj
from petset.apiserver import objects
from petset.store.types import Store

KEPT_MAX = 64
KEPT_BYTES_MAX = 2048
"""How many objects are kept decoded, and how large they may be: each create looks up its namespace,
each pod the same few other objects."""


class View:
    """The newest objects of a store, decoded."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, resource_id: str, namespace: str, name: str) -> Obj | None:
        """One object, or None."""
        item = self._store.head(f"{resource_id}/{namespace}/{name}")
        return None if item is None else _decoded(item.value)

    def list(self, resource_id: str, namespace: str = "") -> Iterator[Obj]:
        """All committed objects of a resource, of one namespace if given."""
        prefix = f"{resource_id}/{namespace}/" if namespace else f"{resource_id}/"
        for item in self._store.list(prefix).items:
            yield _decoded(item.value)


def _decoded(value: bytes) -> Obj:
    return _kept(value) if len(value) <= KEPT_BYTES_MAX else objects.decode(value)


@lru_cache(maxsize=KEPT_MAX)
def _kept(value: bytes) -> Obj:
    return objects.decode(value)
