"""Whether JSON values fit a type of the API, and the errors where they do not.

`check` finds everything at once: fields that the type does not have (for warnings and strict
decoding) and values of a wrong type (always an error). null counts as absent. The error words are
those that upstream's decoder gives.

Invariant: `check` never changes what it reads.
"""

import base64
import binascii
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from petset.api import bodies, errors, quantity, schema, times
from petset.api.errors import StatusError

_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)


@dataclass(slots=True)
class Findings:
    """What `check` found.

    Attributes:
        unknown: paths of fields that the type does not have (`spec.containers[0].bar`).
        errors: (path, text) of values of a wrong type, in the order of the document.
    """

    unknown: list[str] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)


Path = Any
"""Where we are: (parent path, key or index, name of the struct that has the field) or None."""

Checker = Callable[[Any, Path, Findings], None]


def check(type_name: str, obj: Mapping[str, Any]) -> Findings:
    """Everything in `obj` that does not fit the type `type_name`. Raises KeyError for no type."""
    found = Findings()
    _object_checker(type_name)(obj, None, found)
    return found


def fits(kind: str, value: Any) -> bool:
    """Whether a scalar is of `kind`."""
    found = Findings()
    _SCALARS[kind](value, None, found)
    return not found.errors


def _text(path: Path) -> str:
    parts: list[str] = []
    while path is not None:
        path, key, _ = path
        parts.append(f"[{key}]" if type(key) is int else f".{key}")
    return "".join(reversed(parts)).removeprefix(".")


def _wrong(value: Any, go_type: str, path: Path, found: Findings, *, alone: bool = False) -> None:
    """Note that `value` cannot be `go_type`, in the words of Go's decoder.

    `alone`: a decoder of its own that does not know where it stands.
    """
    word = bodies.word(value)
    if word == "number" and go_type in ("int32", "int64"):
        word = f"number {errors.show(value)}"
    struct, names, frame = "", [], None if alone else path
    while frame is not None:
        frame, key, owner = frame
        if owner:
            struct = struct or owner
            names.append(key)
    where = f"struct field {struct}.{'.'.join(reversed(names))} of" if struct else "value of"
    found.errors.append(
        (_text(path), f"json: cannot unmarshal {word} into Go {where} type {go_type}")
    )


@functools.cache
def _object_checker(name: str) -> Checker:
    """The checker of a named type. Its fields are looked up at first use: types can be circular."""
    of_type = schema.type_of(name)
    fields: dict[str, Checker] = {}
    simple: dict[str, type] = {}
    ready = False

    def check_object(value: Any, path: Path, found: Findings) -> None:
        nonlocal ready
        if not ready:
            for key, place in of_type.fields.items():
                fields[key] = _checker(place.value)
                if place.kind in _SIMPLE:
                    simple[key] = _SIMPLE[place.kind]
            ready = True
        if type(value) is not dict:
            _wrong(value, _go_type(schema.Value("object", name)), path, found)
            return
        for key, item in value.items():
            if type(item) is simple.get(key):
                continue
            checker = fields.get(key)
            if checker is None:
                found.unknown.append(_text((path, key, "")))
            elif item is not None:
                checker(item, (path, key, of_type.short_name), found)

    return _check_nothing if of_type.any else check_object


_SIMPLE = {"string": str, "boolean": bool}


@functools.cache
def _checker(value: schema.Value) -> Checker:
    match value.kind:
        case "object":
            return _object_checker(value.type)
        case "list":
            assert value.item is not None
            return _list_checker(value, value.item)
        case "map":
            assert value.item is not None
            return _map_checker(value, value.item)
        case kind:
            return _SCALARS[kind]


def _list_checker(value: schema.Value, item: schema.Value) -> Checker:
    inner, plain = _checker(item), _SIMPLE.get(item.kind)

    def check_list(value_: Any, path: Path, found: Findings) -> None:
        if type(value_) is not list:
            _wrong(value_, _go_type(value), path, found)
            return
        for index, element in enumerate(value_):
            if type(element) is not plain and element is not None:
                inner(element, (path, index, ""), found)

    return check_list


def _map_checker(value: schema.Value, item: schema.Value) -> Checker:
    inner, plain = _checker(item), _SIMPLE.get(item.kind)
    all_plain = frozenset({plain, type(None)})

    def check_map(value_: Any, path: Path, found: Findings) -> None:
        if type(value_) is not dict:
            _wrong(value_, _go_type(value), path, found)
            return
        if all_plain.issuperset(map(type, value_.values())):
            return
        for key, element in value_.items():
            if type(element) is not plain and element is not None:
                inner(element, (path, key, ""), found)

    return check_map


def _go_type(value: schema.Value) -> str:
    """How Go names the type of a value."""
    if value.item is not None:
        if value.kind == "map" and value.item.kind == "quantity":
            return "v1.ResourceList"
        prefix = "[]" if value.kind == "list" else "map[string]"
        return prefix + _go_type(value.item)
    if value.kind == "object":
        return ".".join(value.type.rsplit(".", 2)[1:])
    return _GO_NAMES.get(value.kind, value.kind)


_GO_NAMES = {
    "boolean": "bool",
    "bytes": "[]uint8",
    "double": "float64",
    "quantity": "resource.Quantity",
    "intorstring": "intstr.IntOrString",
    "time": "v1.Time",
    "microtime": "v1.MicroTime",
    "raw": "runtime.RawExtension",
}


def _check_nothing(value: Any, path: Path, found: Findings) -> None:
    del value, path, found


def _check_string(value: Any, path: Path, found: Findings) -> None:
    if type(value) is not str:
        _wrong(value, "string", path, found)


def _check_boolean(value: Any, path: Path, found: Findings) -> None:
    if type(value) is not bool:
        _wrong(value, "bool", path, found)


def _check_int32(value: Any, path: Path, found: Findings) -> None:
    if type(value) is not int or value not in _INT32:
        _wrong(value, "int32", path, found)


def _check_int64(value: Any, path: Path, found: Findings) -> None:
    if type(value) is not int or value not in _INT64:
        _wrong(value, "int64", path, found)


def _check_double(value: Any, path: Path, found: Findings) -> None:
    if type(value) is not float and type(value) is not int:
        _wrong(value, "float64", path, found)


def _check_bytes(value: Any, path: Path, found: Findings) -> None:
    if type(value) is not str:
        _wrong(value, "[]uint8", path, found)
        return
    try:
        base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        found.errors.append((_text(path), "illegal base64 data"))


def _check_time(value: Any, path: Path, found: Findings) -> None:
    if type(value) is not str:
        _wrong(value, "string", path, found, alone=True)
    elif not times.is_time(value):
        layout = "2006-01-02T15:04:05Z07:00"
        text = errors.show(value)
        why = f'parsing time {text} as "{layout}": cannot parse {text} as "{layout}"'
        found.errors.append((_text(path), why))


def _check_quantity(value: Any, path: Path, found: Findings) -> None:
    try:
        quantity.parse(value)
    except ValueError as error:
        found.errors.append((_text(path), str(error)))


def _check_int_or_string(value: Any, path: Path, found: Findings) -> None:
    if type(value) is not str and (type(value) is not int or value not in _INT32):
        _wrong(value, "int32", path, found, alone=True)


_SCALARS: dict[str, Checker] = {
    "string": _check_string,
    "boolean": _check_boolean,
    "int32": _check_int32,
    "int64": _check_int64,
    "double": _check_double,
    "bytes": _check_bytes,
    "time": _check_time,
    "microtime": _check_time,
    "quantity": _check_quantity,
    "intorstring": _check_int_or_string,
    "raw": _check_nothing,
    "any": _check_nothing,
}


# -- answers --------------------------------------------------------------------------------------


def type_error(kind: str, version: str, found: Findings) -> StatusError:
    """400 for values of a wrong type, as upstream words it. `version` is without its group."""
    return _cannot(kind, version, found.errors[0][1])


def strict_error(
    kind: str, version: str, unknown: Iterable[str], duplicates: Iterable[str]
) -> StatusError:
    """400 for what fieldValidation=Strict refuses in a create or update."""
    texts = ", ".join(strict_texts(unknown, duplicates))
    return _cannot(kind, version, f"strict decoding error: {texts}")


def strict_texts(unknown: Iterable[str], duplicates: Iterable[str]) -> list[str]:
    """One text per unknown and duplicate field: what a warning or a strict error says."""
    texts = [f'unknown field "{path}"' for path in unknown]
    texts += [f'duplicate field "{path}"' for path in duplicates]
    return list(dict.fromkeys(texts))


def _cannot(kind: str, version: str, why: str) -> StatusError:
    return errors.bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')
