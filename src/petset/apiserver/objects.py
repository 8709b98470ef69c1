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
    meta = obj.get("metadata") or {}
    ordered = {k: meta[k] for k in _META_ORDER if k in meta}
    ordered.update((k, v) for k, v in meta.items() if k not in ordered)
    result: MutableObj = {
        "kind": obj.get("kind", ""),
        "apiVersion": obj.get("apiVersion", ""),
        "metadata": ordered,
    }
    result.update((k, v) for k, v in obj.items() if k != "status")
    result["metadata"] = ordered
    if "status" in obj:
        result["status"] = obj["status"]
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
    ordered = arrange({**obj, "metadata": {**(obj.get("metadata") or {}), "resourceVersion": ""}})

    def make(revision: int) -> bytes:
        ordered["metadata"]["resourceVersion"] = str(revision)
        return orjson.dumps(ordered)

    return make


Change = Callable[[MutableObj], MutableObj]
"""From a private copy of the present state to the wanted one; may raise StatusError."""
