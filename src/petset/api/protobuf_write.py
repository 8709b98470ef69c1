"""From JSON objects to protobuf messages of the same type.

Takes objects that fit their type (checked and pruned, as the store has them). What they do not
have, the message does not have either; kind and apiVersion travel in the envelope.
"""

import base64
import datetime
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from petset.api import protobuf_table, protobuf_wire, schema, times
from petset.api.protobuf_table import Message

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_MICROSECOND = datetime.timedelta(microseconds=1)

Writer = Callable[[int, Any], bytes]
"""(field number, JSON value) -> the field, or all fields of a list or map."""


def write_object(name: str, obj: Mapping[str, Any]) -> bytes:
    """`obj` of type `name` as a message.

    Raises KeyError for no type, ValueError, TypeError or AttributeError for an object that does
    not fit it.
    """
    return _message(protobuf_table.message_of(name), obj)


def _message(message: Message, obj: Mapping[str, Any]) -> bytes:
    made = []
    for number, slot in message.slots.items():
        if isinstance(slot, Message):
            inner = _message(slot, obj)
            if inner:
                made.append(protobuf_wire.piece_field(number, inner))
        elif obj.get(slot.name) is not None:
            made.append(_writer(slot.value)(number, obj[slot.name]))
    return b"".join(made)


@functools.cache
def _writer(value: schema.Value) -> Writer:
    match value.kind:
        case "object":
            return functools.partial(_object, value.type)
        case "list":
            assert value.item is not None
            return functools.partial(_list, _element_writer(value.item))
        case "map":
            assert value.item is not None
            return functools.partial(_map, _element_writer(value.item))
        case "any":
            return _ANY[value.type.rpartition(".")[2]]
        case kind:
            return _SCALARS[kind]


def _element_writer(item: schema.Value) -> Writer:
    """The writer of what a list or map holds: a list in there is a message of its own."""
    inner = _writer(item)
    return functools.partial(_wrapped, inner) if item.kind == "list" else inner


def _wrapped(inner: Writer, number: int, value: Any) -> bytes:
    return protobuf_wire.piece_field(number, inner(1, value))


def _object(name: str, number: int, value: Any) -> bytes:
    return protobuf_wire.piece_field(number, write_object(name, value))


def _list(inner: Writer, number: int, value: Iterable[Any]) -> bytes:
    return b"".join(inner(number, element) for element in value)


def _map(inner: Writer, number: int, value: Mapping[str, Any]) -> bytes:
    entries = (
        _string(1, key) + (b"" if value[key] is None else inner(2, value[key]))
        for key in sorted(value)
    )
    return b"".join(protobuf_wire.piece_field(number, entry) for entry in entries)


def _string(number: int, value: str) -> bytes:
    return protobuf_wire.piece_field(number, value.encode())


def _bytes(number: int, value: str) -> bytes:
    return protobuf_wire.piece_field(number, base64.b64decode(value))


def _quantity(number: int, value: str | float) -> bytes:
    return protobuf_wire.piece_field(number, _string(1, str(value)))


def _int_or_string(number: int, value: int | str) -> bytes:
    if isinstance(value, str):
        inner = protobuf_wire.number_field(1, 1) + _string(3, value)
    else:
        inner = protobuf_wire.number_field(1, 0) + protobuf_wire.number_field(2, value)
    return protobuf_wire.piece_field(number, inner)


def _time(number: int, value: str) -> bytes:
    since = datetime.datetime.fromisoformat(times.canonical(value)) - _EPOCH
    return protobuf_wire.piece_field(number, protobuf_wire.number_field(1, since // _SECOND))


def _micro_time(number: int, value: str) -> bytes:
    since = datetime.datetime.fromisoformat(times.canonical_micro(value)) - _EPOCH
    seconds, rest = divmod(since, _SECOND)
    inner = protobuf_wire.number_field(1, seconds)
    inner += protobuf_wire.number_field(2, rest // _MICROSECOND * 1000)
    return protobuf_wire.piece_field(number, inner)


def _raw(number: int, value: Any) -> bytes:
    return protobuf_wire.piece_field(number, protobuf_wire.piece_field(1, orjson.dumps(value)))


_SCALARS: dict[str, Writer] = {
    "string": _string,
    "bytes": _bytes,
    "boolean": protobuf_wire.number_field,
    "int32": protobuf_wire.number_field,
    "int64": protobuf_wire.number_field,
    "double": protobuf_wire.double_field,
    "time": _time,
    "microtime": _micro_time,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "raw": _raw,
}


# -- schemas of custom resources ------------------------------------------------------------------


def _props_or_list(inner: Writer, number: int, value: Any) -> bytes:
    """A schema in field 1, or a list in field 2."""
    made = _list(inner, 2, value) if isinstance(value, list) else _props(1, value)
    return protobuf_wire.piece_field(number, made)


def _props_or_bool(number: int, value: Any) -> bytes:
    """Whether anything is allowed in field 1, a schema in field 2."""
    made = protobuf_wire.number_field(1, value is not False)
    if not isinstance(value, bool):
        made += _props(2, value)
    return protobuf_wire.piece_field(number, made)


_props = functools.partial(_object, protobuf_table.PROPS)

_ANY: dict[str, Writer] = {
    "JSON": _raw,
    "JSONSchemaPropsOrArray": functools.partial(_props_or_list, _props),
    "JSONSchemaPropsOrBool": _props_or_bool,
    "JSONSchemaPropsOrStringArray": functools.partial(_props_or_list, _string),
}
