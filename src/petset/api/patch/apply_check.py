"""What is wrong with an applied configuration, in upstream's words.

Only asked once something is known to be wrong, or for keyed lists, which no other check looks at.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from petset.api import decode, schema
from petset.api.errors import StatusError
from petset.api.meta import Obj
from petset.api.patch import managed_fields as typed
from petset.api.patch.fieldset import step

_NUMBERS = frozenset({"int32", "int64", "double"})
_TEXTS = frozenset({"string", "bytes", "time", "microtime"})


def check(config: Obj, type_name: str) -> None:
    """Raise the StatusError (500 without a reason, as upstream) for what cannot be applied."""
    found = decode.check(type_name, config)
    faults = []
    if found.errors or found.unknown:
        faults = list(_faults(schema.Value("object", type_name), config, ""))
        faults = faults or [f".{path}: {why}" for path, why in found.errors]
    shape = typed.of_type(type_name)
    if not faults and not _fits(shape, config):
        faults = list(_twice(shape, config, ""))
    if faults:
        raise _refused(config, faults)


def _refused(config: Obj, faults: list[str]) -> StatusError:
    meta = config.get("metadata")
    name, namespace = "", ""
    if isinstance(meta, Mapping):
        name, namespace = meta.get("name") or "", meta.get("namespace") or ""
    text = faults[0] if len(faults) == 1 else "\n  ".join(("errors:", *faults))
    kind = gvk(config)
    message = f"failed to create typed patch object ({namespace}/{name}; {kind}): {text}"
    return StatusError(500, "", message)


def gvk(config: Obj) -> str:
    """Group, version and kind as upstream prints them: `apps/v1, Kind=Deployment`."""
    version = config.get("apiVersion")
    version = version if isinstance(version, str) else ""
    if "/" not in version:
        version = f"/{version}"
    return f"{version}, Kind={config.get('kind') or ''}"


def _faults(value: schema.Value, given: Any, path: str) -> Iterator[str]:
    """Unknown fields and values of a wrong type."""
    if given is None:
        return
    if value.kind == "object":
        yield from _object_faults(value.type, given, path)
    elif value.kind == "map" and value.item is not None:
        if not isinstance(given, Mapping):
            yield f"{path}: expected map, got &{{{_word(given)}}}"
            return
        for key, item in given.items():
            yield from _faults(value.item, item, f"{path}.{key}")
    elif value.kind == "list" and value.item is not None:
        if not isinstance(given, list):
            yield f"{path}: expected list, got &{{{_word(given)}}}"
            return
        for index, item in enumerate(given):
            yield from _faults(value.item, item, f"{path}[{index}]")
    else:
        yield from _scalar_faults(value.kind, given, path)


def _object_faults(type_name: str, given: Any, path: str) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"{path}: expected map, got &{{{_word(given)}}}"
        return
    fields = schema.type_of(type_name).fields
    shape = typed.of_type(type_name)
    for key, item in given.items():
        here = f"{path}.{key}"
        if key not in fields:
            yield f"{here}: field not declared in schema"
        elif shape.places[key][1].kind == typed.KEYED and isinstance(item, list):
            inner = fields[key].value.item
            assert inner is not None
            for element in item:
                where = here + _where(shape.places[key][1], element)
                yield from _faults(inner, element, where)
        else:
            yield from _faults(fields[key].value, item, here)


def _where(shape: typed.Shape, element: Any) -> str:
    if not isinstance(element, Mapping):
        return "[]"
    return step(typed.element_name(shape, element))


def _scalar_faults(kind: str, given: Any, path: str) -> Iterator[str]:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if kind in _NUMBERS and not number:
        yield f"{path}: expected numeric (int or float), got {_go_type(given)}"
    elif kind in _TEXTS and not isinstance(given, str):
        yield f"{path}: expected string, got &value.valueUnstructured{{Value:{_go(given)}}}"
    elif kind == "boolean" and not isinstance(given, bool):
        yield f"{path}: expected boolean, got &{{{_word(given)}}}"


def _fits(shape: typed.Shape, given: Any) -> bool:
    """Whether every element of keyed lists and sets has a name of its own."""
    kind = shape.kind
    if kind == typed.STRUCT:
        places = shape.places
        for key, item in given.items():
            inner = places[key][1]
            if inner.kind and item and not _fits(inner, item):
                return False
    elif kind == typed.KEYED:
        names = [typed.element_name(shape, element or {}) for element in given]
        if len(set(names)) < len(names) or "k:{}" in names:
            return False
        return all(_fits(shape.item, element or {}) for element in given)
    elif kind == typed.MAP:
        return not shape.item.kind or all(_fits(shape.item, v) for v in given.values() if v)
    else:
        return len({typed.element_name(shape, element) for element in given}) == len(given)
    return True


def _twice(shape: typed.Shape, given: Any, path: str) -> Iterator[str]:
    """Elements of lists that have no key, or that are there twice."""
    if given is None:
        return
    if shape.kind == typed.STRUCT:
        for key, item in given.items():
            inner = shape.places[key][1]
            if inner.kind != typed.ATOM:
                yield from _twice(inner, item, f"{path}.{key}")
    elif shape.kind == typed.MAP:
        for key, item in given.items():
            yield from _twice(shape.item, item, f"{path}.{key}")
    elif shape.kind in (typed.KEYED, typed.SET):
        yield from _twice_in_list(shape, given, path)


def _twice_in_list(shape: typed.Shape, given: list[Any], path: str) -> Iterator[str]:
    seen = set()
    for index, element in enumerate(given):
        keyed = shape.kind == typed.KEYED
        name = typed.element_name(shape, element or {} if keyed else element)
        if name == "k:{}":
            keys = " ".join(orjson.dumps(key).decode() for key, _ in shape.keys)
            yield (
                f"{path}: element {index}: associative list with keys has an element that omits "
                f"all key fields [{keys}] (and doesn't have default values for any key fields)"
            )
        elif name in seen:
            yield f"{path}: duplicate entries for key {step(name)}"
        seen.add(name)
        if keyed:
            yield from _twice(shape.item, element, path + step(name))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _go(value: Any) -> str:
    return orjson.dumps(value).decode()


def _go_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case list():
            return "[]interface {}"
        case _:
            return "map[string]interface {}"
