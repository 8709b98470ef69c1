"""Whether an object is as it should be already: one quick pass for what most clients send.

Invariant: in what is clean `decode.check` finds nothing, and `prune.prune` would change nothing.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from petset.api import decode, protobuf_table, quantity, schema, times

Test = Callable[[Any], bool]

KEPT_LENGTH_MAX = 64
"""Longer quantities are not remembered."""

_PLAIN = {"string": str, "boolean": bool}
"""Kinds of values that are clean if they are of one Python type."""


def is_clean(type_name: str, obj: Mapping[str, Any]) -> bool:
    """Whether `obj` fits `type_name`, in canonical form and without what is as good as absent."""
    return _object_test(type_name)(obj)


@functools.cache
def _object_test(name: str) -> Test:
    """The test of a named type. Its fields are looked up at first use: types can be circular."""
    of_type, unset = schema.type_of(name), protobuf_table.unset(name)
    tests: dict[str, Test] = {}
    plain: dict[str, type] = {}

    def test_object(value: Any) -> bool:
        if not tests:
            plain.update((k, _PLAIN[f.kind]) for k, f in of_type.fields.items() if f.kind in _PLAIN)
            tests.update((k, _test(f.value)) for k, f in of_type.fields.items())
        if type(value) is not dict:
            return False
        for key, item in value.items():
            if not item and (item is None or key in unset):
                return False
            if type(item) is not plain.get(key):
                test = tests.get(key)
                if test is None or not test(item):
                    return False
        return True

    return _anything if of_type.any else test_object


@functools.cache
def _test(value: schema.Value) -> Test:
    match value.kind:
        case "object":
            return _object_test(value.type)
        case "list":
            assert value.item is not None
            return _list_test(value.item)
        case "map":
            assert value.item is not None
            return _map_test(value.item)
        case kind:
            return _SCALARS[kind]


def _list_test(item: schema.Value) -> Test:
    test, plain = _test(item), frozenset({_PLAIN.get(item.kind)})

    def test_list(value: Any) -> bool:
        if type(value) is not list:
            return False
        return plain.issuperset(map(type, value)) or all(map(test, value))

    return test_list


def _map_test(item: schema.Value) -> Test:
    test, plain = _test(item), frozenset({_PLAIN.get(item.kind)})

    def test_map(value: Any) -> bool:
        if type(value) is not dict:
            return False
        return plain.issuperset(map(type, value.values())) or all(map(test, value.values()))

    return test_map


def _is_quantity(value: Any) -> bool:
    return type(value) is str and len(value) <= KEPT_LENGTH_MAX and _is_canonical(value)


@functools.lru_cache(maxsize=4096)
def _is_canonical(text: str) -> bool:
    try:
        return quantity.canonical(text) == text
    except ValueError:
        return False


def _is_time(value: Any) -> bool:
    return type(value) is str and times.is_time(value) and times.canonical(value) == value


def _is_micro_time(value: Any) -> bool:
    return type(value) is str and times.is_time(value) and times.canonical_micro(value) == value


def _fits(kind: str) -> Test:
    """The test of a kind of scalar that has one form only."""

    def test(value: Any) -> bool:
        return value is not None and decode.fits(kind, value)

    return test


def _anything(value: Any) -> bool:
    del value
    return True


def _something(value: Any) -> bool:
    return value is not None


_SCALARS: Mapping[str, Test] = {
    **{kind: _fits(kind) for kind in ("string", "boolean", "int32", "int64", "double", "bytes")},
    "intorstring": _fits("intorstring"),
    "quantity": _is_quantity,
    "time": _is_time,
    "microtime": _is_micro_time,
    "raw": _something,
    "any": _something,
}
