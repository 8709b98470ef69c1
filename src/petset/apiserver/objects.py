"""Objects as the store keeps them: JSON with kind, apiVersion and resourceVersion inside."""

from collections.abc import Callable

import orjson

from petset.api.meta import MutableObj, Obj
from petset.store.types import Item, Make

_META_ORDER = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
)


def decode(value: bytes) -> MutableObj:
    """A private copy of a stored object."""
    obj: MutableObj = orjson.loads(value)
    return obj


def decode_item(item: Item | None) -> MutableObj | None:
    """A private copy of the object of `item`, if there is one."""
    return None if item is None else decode(item.value)


def encode(obj: Obj) -> bytes:
    """An object as bytes, as it is."""
    return orjson.dumps(obj)


def arrange(obj: Obj) -> MutableObj:
    """The object with its keys in the order in which they are kept and shown."""
    return _arranged(obj, obj.get("metadata") or {})


def _arranged(obj: Obj, meta: Obj) -> MutableObj:
    """`obj` with the metadata `meta`, arranged."""
    result: MutableObj = {"kind": "", "apiVersion": "", "metadata": None, **obj}
    result["metadata"] = {**{k: meta[k] for k in _META_ORDER if k in meta}, **meta}
    if "status" in result:
        result["status"] = result.pop("status")
    return result


def at_revision(obj: Obj, revision: int) -> bytes:
    """`obj` as bytes with `revision` as its resourceVersion (0: without one)."""
    meta = dict(obj.get("metadata") or {})
    if revision:
        meta["resourceVersion"] = str(revision)
    else:
        meta.pop("resourceVersion", None)
    return orjson.dumps({**obj, "metadata": meta})


def maker(obj: Obj) -> Make:
    """The `make` function with which a store writes `obj`."""
    ordered = _arranged(obj, {**(obj.get("metadata") or {}), "resourceVersion": ""})
    meta = ordered["metadata"]

    def make(revision: int) -> bytes:
        meta["resourceVersion"] = str(revision)
        return orjson.dumps(ordered)

    return make


Change = Callable[[MutableObj], MutableObj]
"""From the present state to the wanted one, an object of its own; may raise StatusError.

What it is given is a private copy, unless `write.update` says otherwise.
"""
