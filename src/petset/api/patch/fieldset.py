"""Sets of field paths, in the very form in which managedFields carry them (FieldsV1).

A set is a tree of dicts. The keys of a node say how its children are found: `f:<field>`,
`k:<keys of a list element, JSON>`, `v:<value of a set member, JSON>`, `i:<index>`. A node is
itself a member of the set if it is empty or has the key `.`. The root is no member; the empty set
is None.

So a stored set needs no parsing and a new one no encoding of its own.

Invariant: nodes are shared between sets and never changed in place.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

Fields = Mapping[str, Any]

LEAF: Fields = {}
"""A member without children."""
SELF = "."
DEPTH_MAX = 250


def is_member(node: Fields) -> bool:
    """Whether the node itself is in the set, not just something below it."""
    return not node or SELF in node


def member(node: Fields | None) -> Fields:
    """The node as a member."""
    return LEAF if not node else node if SELF in node else {SELF: LEAF, **node}


def union(a: Fields | None, b: Fields | None) -> Fields | None:
    """What is in either set."""
    if a is None or b is None:
        return b if a is None else a
    return _union(a, b)


def _union(a: Fields, b: Fields) -> Fields:
    if a is b:
        return a
    if not a or not b:
        return member(a or b)
    made = dict(a)
    for name, node in b.items():
        made[name] = _union(made[name], node) if name in made else node
    return made


def difference(a: Fields | None, b: Fields | None) -> Fields | None:
    """The members of `a` that are not members of `b`; what lies below those stays."""
    if a is None or b is None:
        return a
    if not a:
        return None if is_member(b) else a
    if not b:
        return {k: v for k, v in a.items() if k != SELF} if SELF in a else a
    made: dict[str, Any] | None = None
    for name in b if len(b) < len(a) else list(a):
        if name not in a or name not in b:
            continue
        left = None if name == SELF else difference(a[name], b[name])
        if left is not a[name]:
            made = dict(a) if made is None else made
            if left is None:
                del made[name]
            else:
                made[name] = left
    return a if made is None else _plain(made)


def intersection(a: Fields | None, b: Fields | None) -> Fields | None:
    """The members of both sets."""
    if a is None or b is None:
        return None
    if not a or not b:
        return LEAF if is_member(a) and is_member(b) else None
    made = {}
    for name, node in a.items():
        if name in b and (both := intersection(node, b[name])) is not None:
            made[name] = both
    return _plain(made)


def _plain(made: dict[str, Any]) -> Fields | None:
    """A node that was cut down: None if nothing is left, LEAF if just itself."""
    if not made:
        return None
    return LEAF if len(made) == 1 and SELF in made else made


def contains(a: Fields | None, b: Fields | None) -> bool:
    """Whether every member of `b` is in `a`."""
    return difference(b, a) is None


# -- texts ----------------------------------------------------------------------------------------


def key_of(values: Mapping[str, Any]) -> str:
    """The name of a list element that is found by the values of its keys."""
    return "k:" + orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()


def value_of(value: Any) -> str:
    """The name of a member of a list that is a set."""
    return "v:" + orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def step(name: str) -> str:
    """One step of a path as messages write it: `.spec`, `[name="c"]`, `[="x"]`, `[0]`."""
    kind, text = name[0], name[2:]
    if kind == "f":
        return f".{text}"
    if kind == "k":
        pairs = orjson.loads(text).items()
        return "[" + ",".join(f"{k}={orjson.dumps(v).decode()}" for k, v in pairs) + "]"
    return f"[={text}]" if kind == "v" else f"[{text}]"


def paths(node: Fields | None, prefix: str = "") -> Iterator[str]:
    """The members as texts: those of a level before those below, each sorted."""
    if node is None:
        return
    names = sorted((name for name in node if name != SELF), key=_rank)
    for name in names:
        if is_member(node[name]):
            yield prefix + step(name)
    for name in names:
        if node[name]:
            yield from paths(node[name], prefix + step(name))


def _rank(name: str) -> Any:
    """Fields come before keyed elements, those before values and indexes; numbers by size."""
    order = "fkvi".index(name[0])
    if name[0] == "f":
        return order, name[2:]
    parsed = orjson.loads(name[2:])
    parts = parsed.values() if isinstance(parsed, dict) else [parsed]
    plain = [(0, v) if isinstance(v, int | float) else (1, str(v)) for v in parts]
    return order, plain


# -- sets that others sent ------------------------------------------------------------------------


def read(given: Any) -> Fields | None:
    """The set that a client sent, with its names in canonical form. Raises ValueError."""
    node = {name: child for name, child in _read(given, 0).items() if name != SELF}
    return node or None


def _read(given: Any, depth: int) -> Fields:
    if not isinstance(given, Mapping) or depth > DEPTH_MAX:
        raise ValueError("FieldsV1 has to be an object of objects")
    made = {_canonical(name): _read(node, depth + 1) for name, node in given.items()}
    return _plain(made) or LEAF


def _canonical(name: str) -> str:
    kind, colon, text = name.partition(":")
    if name == SELF or (kind == "f" and colon):
        return name
    if not colon or kind not in ("k", "v", "i"):
        raise ValueError(f"{name!r} is no part of a path")
    parsed = orjson.loads(text)
    if kind == "k" and isinstance(parsed, dict):
        return key_of(parsed)
    if kind == "v":
        return value_of(parsed)
    if kind == "i" and type(parsed) is int:
        return f"i:{parsed}"
    raise ValueError(f"{name!r} is no part of a path")
