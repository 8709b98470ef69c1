"""Reading the newest state, pending writes included: what admission decides on."""

from collections.abc import Iterator

from petset.api.meta import MutableObj, Obj
from petset.apiserver import objects
from petset.store.types import Store


class View:
    """The newest objects of a store, decoded."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, resource_id: str, namespace: str, name: str) -> Obj | None:
        """One object, or None."""
        return objects.decode_item(self._store.head(f"{resource_id}/{namespace}/{name}"))

    def list(self, resource_id: str, namespace: str = "") -> Iterator[MutableObj]:
        """All committed objects of a resource, of one namespace if given."""
        prefix = f"{resource_id}/{namespace}/" if namespace else f"{resource_id}/"
        for item in self._store.list(prefix).items:
            yield objects.decode(item.value)
