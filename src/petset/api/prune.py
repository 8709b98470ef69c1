"""Pruning: an object's private copy that holds what its type has, and nothing else.

Unknown fields and nulls go, as they would in a typed decoder; so do zeros and empty lists and maps
where they mean the same as none (`hostNetwork: false`, `env: []`), for upstream forgets them.
Quantities and times come out in their canonical form. A null that stands in a list or map becomes
the empty value of its type.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from petset.api import protobuf_table, quantity, schema, times
from petset.api.meta import MutableObj

Pruner = Callable[[Any], Any]

KEPT_LENGTH_MAX = 256
"""Longer texts are not remembered."""


def prune(type_name: str, obj: Mapping[str, Any], *, empty: bool = False) -> MutableObj:
    """A copy of `obj` that fits `type_name`. Values of a wrong type are copied as they are.

    `empty`: zeros and empty lists and maps stay: who names them in an apply owns them.
    """
    pruned: MutableObj = _object_pruner(type_name, empty)(obj)
    return pruned


def copy(value: Any) -> Any:
    """A private copy of any JSON value."""
    if isinstance(value, Mapping):
        return {k: copy(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [copy(v) for v in value]
    return value


@functools.cache
def _object_pruner(name: str, empty: bool) -> Pruner:
    of_type = schema.type_of(name)
    unset = frozenset[str]() if empty else protobuf_table.unset(name)
    pruners: dict[str, Pruner | None] = {}

    def prune_object(value: Any) -> Any:
        if not pruners:
            pruners.update((k, _pruner(f.value, empty)) for k, f in of_type.fields.items())
        if not isinstance(value, Mapping):
            return copy(value)
        made = {}
        for key, item in value.items():
            if item is None or key not in pruners:
                continue
            pruner = pruners[key]
            kept = item if pruner is None else pruner(item)
            if kept or key not in unset:
                made[key] = kept
        return made

    return copy if of_type.any else prune_object


@functools.cache
def _pruner(value: schema.Value, empty: bool) -> Pruner | None:
    """The pruner of a value; None where the value stays as it is."""
    match value.kind:
        case "object":
            return _object_pruner(value.type, empty)
        case "list" | "map":
            assert value.item is not None
            return _container(value.item, empty)
        case "quantity":
            return _quantity
        case "time":
            return _time
        case "microtime":
            return _micro_time
        case "raw" | "any":
            return copy
        case _:
            return None


def _container(item: schema.Value, empty: bool) -> Pruner:
    inner = _pruner(item, empty) or _same
    zero = _EMPTY.get(item.kind)

    def prune_element(element: Any) -> Any:
        return copy(zero) if element is None else inner(element)

    def prune_container(value: Any) -> Any:
        if isinstance(value, Mapping):
            if inner is _same and _PLAIN.issuperset(map(type, value.values())):
                return dict(value)
            return {k: prune_element(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [prune_element(v) for v in value]
        return value

    return prune_container


_PLAIN = frozenset({str, int, float, bool})
"""Types whose values need no copy."""

_EMPTY: dict[str, Any] = {
    "object": {},
    "list": [],
    "map": {},
    "string": "",
    "bytes": "",
    "boolean": False,
    "int32": 0,
    "int64": 0,
    "double": 0,
    "intorstring": 0,
    "quantity": "0",
}


def _same(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else copy(value)


def _quantity(value: Any) -> Any:
    if isinstance(value, str) and len(value) > KEPT_LENGTH_MAX:
        return _quantity_text.__wrapped__(value)
    return _quantity_text(value) if isinstance(value, str | int | float) else copy(value)


@functools.lru_cache(maxsize=4096, typed=True)
def _quantity_text(value: str | float) -> Any:
    try:
        return quantity.canonical(value)
    except ValueError:
        return value


def _time(value: Any) -> Any:
    return times.canonical(value) if isinstance(value, str) else copy(value)


def _micro_time(value: Any) -> Any:
    return times.canonical_micro(value) if isinstance(value, str) else copy(value)
