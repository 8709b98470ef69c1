"""Which fields an object has, and which ones differ between two: values to sets, by type.

Upstream's structured merge has three ways to list fields, which differ in what else than leaves
counts: `applied` (a configuration that is applied), `added` (everything that was not there before)
and `changed` (two states). Lists with keys and sets are taken apart, atomic ones are leaves.

Invariant: values are only read.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petset.api import schema
from petset.api.patch.fieldset import LEAF, SELF, Fields, key_of, member, union, value_of

ATOM, STRUCT, MAP, KEYED, SET = range(5)
KEPT_LENGTH_MAX = 256
"""Longer texts are not remembered."""
KEPT_KEYS_MAX = 32
"""Nor are the fields of larger maps."""

KEY_DEFAULTS: Mapping[tuple[str, str], str] = {
    ("ContainerPort", "protocol"): "TCP",
    ("ServicePort", "protocol"): "TCP",
    ("LocalObjectReference", "name"): "",
}
"""What a key of a list element counts as when it is not given, by type and field."""

ALWAYS_THERE = frozenset(
    (
        "metadata",
        "spec",
        "status",
        "template",
        "jobTemplate",
        "strategy",
        "updateStrategy",
        "resources",
        "loadBalancer",
        "source",
        "nodeInfo",
        "daemonEndpoints",
        "kubeletEndpoint",
        "containers",
    )
)
"""Fields that upstream's objects have even when they are empty: their coming is no change."""

ABSENT = object()


class _Places(dict[str, tuple[str, "Shape"]]):
    """The fields of a struct, each made when first asked for: types can be circular."""

    def __init__(self, of_type: schema.Type) -> None:
        super().__init__()
        self._fields = of_type.fields

    def __missing__(self, key: str) -> tuple[str, "Shape"]:
        field = self._fields.get(key)
        made = (f"f:{key}", OPAQUE if field is None else _of_field(field))
        self[key] = made
        return made

    def declares(self, key: str) -> bool:
        """Whether the type has the field."""
        return key in self._fields


@dataclass(slots=True, eq=False)
class Shape:
    """How server-side apply sees a value.

    Attributes:
        kind: ATOM, STRUCT, MAP, KEYED (a list found by keys) or SET (a list of scalars).
        places: of structs: by field, its name in sets and its shape.
        item: of maps and keyed lists, the shape of what they hold.
        keys: of keyed lists, the fields that identify an element, with their defaults (None
            where there is none).
    """

    kind: int
    places: _Places
    item: "Shape"
    keys: Sequence[tuple[str, Any]] = ()


def _bare(kind: int) -> Shape:
    shape = object.__new__(Shape)
    shape.kind, shape.places, shape.item, shape.keys = kind, _NO_PLACES, shape, ()
    return shape


_NO_PLACES = _Places(schema.Type("", {}))
OPAQUE = _bare(ATOM)
_SET = _bare(SET)


@functools.cache
def of_type(name: str) -> Shape:
    """The shape of objects of the type `name`."""
    return Shape(STRUCT, _Places(schema.type_of(name)), OPAQUE)


@functools.cache
def _atomic(name: str) -> bool:
    return schema.type_of(name).atomic


def _of_field(field: schema.Field) -> Shape:
    value = field.value
    if field.map_type == "atomic":
        return OPAQUE
    if value.kind == "object":
        granular = field.map_type == "granular" or not _atomic(value.type)
        return of_type(value.type) if granular else OPAQUE
    if value.kind == "map" and value.item is not None:
        return Shape(MAP, _NO_PLACES, _of_field(schema.Field(value.item)))
    if value.kind == "list" and value.item is not None:
        return _of_list(field, value.item)
    return OPAQUE


def _of_list(field: schema.Field, item: schema.Value) -> Shape:
    if field.list_type == "set":
        return _SET
    if field.list_type != "map" or item.kind != "object":
        return OPAQUE
    short = schema.type_of(item.type).short_name
    keys = [(key, KEY_DEFAULTS.get((short, key))) for key in field.keys]
    return Shape(KEYED, _NO_PLACES, _of_field(schema.Field(item)), keys)


# -- elements of lists ----------------------------------------------------------------------------


def element_name(shape: Shape, element: Any) -> str:
    """The name of an element of a keyed list or set; `k:{}` for one that has none of its keys."""
    if shape.kind == SET:
        return value_of(element)
    if len(shape.keys) == 1:
        key, default = shape.keys[0]
        value = element.get(key, default)
        if type(value) is str:
            return _single(key, value)
    found = {}
    for key, default in shape.keys:
        value = element.get(key, default)
        if value is not None:
            found[key] = value
    return key_of(found)


def _single(key: str, value: str) -> str:
    return _kept(key, value) if len(value) <= KEPT_LENGTH_MAX else key_of({key: value})


@functools.lru_cache(maxsize=8192)
def _kept(key: str, value: str) -> str:
    return key_of({key: value})


def elements(shape: Shape, value: Sequence[Any]) -> dict[str, list[Any]]:
    """The elements of a list by name: live objects may have one name twice."""
    found: dict[str, list[Any]] = {}
    for element in value:
        found.setdefault(element_name(shape, element), []).append(element)
    return found


# -- all fields of a value ------------------------------------------------------------------------


def applied(shape: Shape, value: Any) -> Fields | None:
    """The fields that applying `value` would own: leaves, list elements, and empty maps."""
    kind = shape.kind
    if kind == ATOM:
        return LEAF
    if kind in (STRUCT, MAP):
        return _applied_members(shape, value)
    if kind == SET:
        return {value_of(element): LEAF for element in value} or None
    made: dict[str, Fields] = {}
    for element in value:
        name = element_name(shape, element)
        node = member(applied(shape.item, element))
        made[name] = member(union(made[name], node)) if name in made else node
    return made or None


def _applied_members(shape: Shape, value: Mapping[str, Any]) -> Fields | None:
    if not value:
        return LEAF
    made: dict[str, Fields] = {}
    if shape.kind == STRUCT:
        places = shape.places
        for key, item in value.items():
            name, inner = places[key]
            if inner.kind == ATOM:
                made[name] = LEAF
            elif (node := applied(inner, item)) is not None:
                made[name] = node
    elif shape.item.kind == ATOM:
        made = {f"f:{key}": LEAF for key in value}
    else:
        for key, item in value.items():
            made[f"f:{key}"] = member(applied(shape.item, item))
    return made or None


def added(shape: Shape, value: Any) -> Fields:
    """The fields of a value that was not there before: containers count themselves, too."""
    kind = shape.kind
    if kind == ATOM or not value:
        return LEAF
    made: dict[str, Fields] = {SELF: LEAF}
    if kind == STRUCT:
        places = shape.places
        for key, item in value.items():
            name, inner = places[key]
            made[name] = added(inner, item) if inner.kind else LEAF
    elif kind == MAP:
        if shape.item.kind == ATOM:
            return _added_leaves(value)
        for key, item in value.items():
            made[f"f:{key}"] = added(shape.item, item)
    elif kind == SET:
        made.update((value_of(element), LEAF) for element in value)
    else:
        for element in value:
            made[element_name(shape, element)] = added(shape.item, element)
    return made


def _added_leaves(keys: Iterable[str]) -> Fields:
    names = tuple(keys)
    short = len(names) <= KEPT_KEYS_MAX and sum(map(len, names)) <= KEPT_LENGTH_MAX
    return (_kept_leaves if short else _kept_leaves.__wrapped__)(names)


@functools.lru_cache(maxsize=512)
def _kept_leaves(keys: tuple[str, ...]) -> Fields:
    """A map's fields; most maps have the keys of many others."""
    made: dict[str, Fields] = {f"f:{key}": LEAF for key in keys}
    return {SELF: LEAF, **made}


def created(shape: Shape, value: Mapping[str, Any]) -> Fields | None:
    """The fields of a new object (or of a part that counts as there even when empty)."""
    made: dict[str, Fields] = {}
    places = shape.places
    for key, item in value.items():
        name, inner = places[key]
        if inner.kind == ATOM:
            made[name] = LEAF
        elif (node := come(key, inner, item)) is not None:
            made[name] = node
    return made or None


def come(key: str, shape: Shape, value: Any) -> Fields | None:
    """The fields that come (or go) with the field `key` of an object."""
    if key not in ALWAYS_THERE or shape.kind == ATOM:
        return added(shape, value)
    if shape.kind == STRUCT:
        return created(shape, value)
    node = added(shape, value)
    return {name: child for name, child in node.items() if name != SELF} or None


# -- two states -----------------------------------------------------------------------------------


def changed(shape: Shape, old: Any, new: Any) -> tuple[Fields | None, Fields | None]:
    """The fields that differ between two unequal states: those that are new or have another value,
    and those that are gone."""
    if shape.kind == ATOM or type(old) is not type(new):
        return LEAF, None
    comes: dict[str, Fields] = {}
    goes: dict[str, Fields] = {}
    if shape.kind == KEYED:
        _changed_elements(shape, old, new, (comes, goes))
    elif shape.kind == SET:
        before, after = ({value_of(v): LEAF for v in values} for values in (old, new))
        comes = {name: LEAF for name in after if name not in before}
        goes = {name: LEAF for name in before if name not in after}
    else:
        _changed_members(shape, old, new, (comes, goes))
    return comes or None, goes or None


Both = tuple[dict[str, Fields], dict[str, Fields]]


def _changed_members(shape: Shape, old: Any, new: Any, into: Both) -> None:
    comes, goes = into
    struct = shape.kind == STRUCT
    for key, value in new.items():
        before = old.get(key, ABSENT)
        if before is value or before == value:
            continue
        name, inner = shape.places[key] if struct else (f"f:{key}", shape.item)
        if before is ABSENT:
            _put(comes, name, come(key, inner, value) if struct else added(inner, value))
        else:
            _both(into, name, changed(inner, before, value))
    for key, value in old.items():
        if key not in new:
            name, inner = shape.places[key] if struct else (f"f:{key}", shape.item)
            _put(goes, name, come(key, inner, value) if struct else added(inner, value))


def _changed_elements(shape: Shape, old: Any, new: Any, into: Both) -> None:
    comes, goes = into
    before, after = elements(shape, old), elements(shape, new)
    for name, now in after.items():
        then = before.get(name)
        if then is None:
            comes[name] = added(shape.item, now[0])
        elif then == now:
            continue
        elif len(then) == len(now) == 1:
            _both(into, name, changed(shape.item, then[0], now[0]))
        else:
            comes[name] = LEAF
    for name, then in before.items():
        if name not in after:
            goes[name] = added(shape.item, then[0])


def _both(into: Both, name: str, found: tuple[Fields | None, Fields | None]) -> None:
    for side, node in zip(into, found, strict=True):
        _put(side, name, node)


def _put(into: dict[str, Fields], name: str, node: Fields | None) -> None:
    if node is not None:
        into[name] = node


def named(shape: Shape, node: Fields) -> Fields:
    """The set and every declared field that leads to a member: of `.a.b.c` also `.a`, and `.a.b`
    unless `a` is a map."""
    if not node or shape.kind in (ATOM, SET):
        return node
    made: dict[str, Fields] = {}
    for name, child in node.items():
        inner, declared = shape.item, False
        if shape.kind == STRUCT and name != SELF:
            inner, declared = shape.places[name[2:]][1], shape.places.declares(name[2:])
        below = named(inner, child)
        made[name] = member(below) if declared else below
    return made
