"""A local copy of a resource, kept up to date by a reflector.

Invariant: objects in the cache are shared; nobody mutates them.
"""

from collections.abc import Callable, Iterable, Sequence

from petset.api.meta import Obj

Handler = Callable[[Obj | None, Obj | None], None]
"""Told (old, new) of each change: old None = added, new None = deleted."""

IndexFunction = Callable[[Obj], Iterable[str]]


class Cache:
    """Objects of one resource by `namespace/name`, with named indexes.

    Attributes:
        resource: id of the resource (`pods`).
        synced: whether the first list has been taken in.
    """

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.synced = False

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep index `name`: objects by each of the texts that `function` gives."""
        raise NotImplementedError

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` of what is there already (as added) and of every later change."""
        raise NotImplementedError

    def get(self, namespace: str, name: str) -> Obj | None:
        """One object; namespace "" for cluster-scoped resources."""
        raise NotImplementedError

    def list(self, namespace: str | None = None) -> Sequence[Obj]:
        """All objects, or those of one namespace, in key order."""
        raise NotImplementedError

    def by_index(self, name: str, value: str) -> Sequence[Obj]:
        """The objects that index `name` files under `value`, in key order."""
        raise NotImplementedError

    def replace(self, items: Iterable[Obj], resource_version: str) -> None:
        """Take in a whole list; handlers hear the differences."""
        raise NotImplementedError

    def apply(self, kind: str, obj: Obj) -> None:
        """Take in one watch event (ADDED, MODIFIED, DELETED)."""
        raise NotImplementedError

    async def wait_synced(self) -> None:
        """Wait until the first list has been taken in."""
        raise NotImplementedError
