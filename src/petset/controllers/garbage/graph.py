"""Who is there, and who depends on whom: a picture of all objects by uid. Pure.

Invariant: holds keys and uids only; the objects themselves stay in their caches.
"""

from collections import OrderedDict
from collections.abc import Iterable

from petset.api import meta
from petset.api.meta import Obj

ABSENT_MAX = 8192
"""Absent uids remembered at most."""


def key_for(resource: str, obj: Obj) -> str:
    """The queue's key of an object."""
    return f"{resource}|{meta.namespace_of(obj)}|{meta.name_of(obj)}"


def split_key(key: str) -> tuple[str, str, str]:
    """(resource, namespace, name) of a key."""
    resource, namespace, name = key.split("|")
    return resource, namespace, name


class Graph:
    """Objects by uid, dependents by the uid of their owner, and owners known to be absent."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._dependents: dict[str, set[str]] = {}
        self._absent: OrderedDict[str, None] = OrderedDict()

    def change(self, resource: str, old: Obj | None, new: Obj | None) -> None:
        """Take in a change of a cache."""
        if old is not None:
            key = key_for(resource, old)
            self._keys.pop(meta.uid_of(old), None)
            for uid in owner_uids(old):
                self._unlink(uid, key)
        if new is not None:
            key = key_for(resource, new)
            self._keys[meta.uid_of(new)] = key
            for uid in owner_uids(new):
                self._dependents.setdefault(uid, set()).add(key)

    def key_of(self, uid: str) -> str | None:
        """The key of the object with this uid, if the caches have it."""
        return self._keys.get(uid)

    def dependents_of(self, uid: str) -> list[str]:
        """Keys of the objects that name `uid` as an owner."""
        return sorted(self._dependents.get(uid, ()))

    def is_absent(self, uid: str) -> bool:
        """Whether a live look has shown that the uid is gone: uids never come back."""
        return uid in self._absent

    def note_absent(self, uid: str) -> None:
        """Remember that the uid is gone."""
        self._absent[uid] = None
        if len(self._absent) > ABSENT_MAX:
            self._absent.popitem(last=False)

    def _unlink(self, uid: str, key: str) -> None:
        keys = self._dependents.get(uid)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._dependents[uid]


def owner_uids(obj: Obj) -> Iterable[str]:
    """The uids of an object's owners."""
    return (str(o.get("uid")) for o in meta.owners_of(obj))
