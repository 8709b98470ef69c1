"""From JSON objects to protobuf messages of the same type.

Takes objects that fit their type (checked and pruned, as the store has them). What they do not
have, the message does not have either; kind and apiVersion travel in the envelope.

A type's writers are made when its first object is written. An object is gone through key by key,
so that a type of many fields costs no more than the few that an object has.
"""

import base64
import datetime
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from petset.api import protobuf_table, schema, times
from petset.api.protobuf_table import Message
from petset.api.protobuf_wire import FIXED64, PIECE, VARINT, double, varint

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_SHORT = tuple(bytes((size,)) for size in range(128))
"""Varints of one byte: most lengths and many numbers."""

Writer = Callable[[Any], bytes]
"""JSON value -> the field with its tag, or all fields of a list or map."""
Inner = Callable[[Any], bytes]
"""JSON value -> what stands in a piece, without tag and length."""


def write_object(name: str, obj: Mapping[str, Any]) -> bytes:
    """`obj` of type `name` as a message.

    Raises KeyError for no type, ValueError, TypeError or AttributeError for an object that does
    not fit it.
    """
    return _writers_of(name).write(obj)


def piece(tag: bytes, value: bytes) -> bytes:
    """A field that holds text, bytes or a message, after its tag."""
    size = len(value)
    return tag + (_SHORT[size] if size < 128 else varint(size)) + value


class _Writers:
    """How the fields of a message are written: those of its own, and of messages JSON inlines."""

    __slots__ = ("_inlined", "_own")

    def __init__(self, message: Message) -> None:
        self._own: dict[str, Writer] = {}
        self._inlined: list[tuple[bytes, _Writers]] = []
        for number, slot in message.slots.items():
            if isinstance(slot, Message):
                self._inlined.append((_tag(number, PIECE), _Writers(slot)))
            else:
                self._own[slot.name] = _Late(number, slot.value, self._own, slot.name)

    def write(self, obj: Mapping[str, Any]) -> bytes:
        own = self._own
        made = [own[k](v) for k, v in obj.items() if v is not None and k in own]
        for tag, writers in self._inlined:
            if inner := writers.write(obj):
                made.append(piece(tag, inner))
        return b"".join(made)


class _Late:
    """A writer that is made on first use, and then takes its own place: types hold each other."""

    __slots__ = ("_key", "_number", "_place", "_value")

    def __init__(self, number: int, value: schema.Value, place: dict[str, Writer], key: str):
        self._number, self._value, self._place, self._key = number, value, place, key

    def __call__(self, value: Any) -> bytes:
        writer = self._place[self._key] = _writer(self._value, self._number)
        return writer(value)


@functools.cache
def _writers_of(name: str) -> _Writers:
    return _Writers(protobuf_table.message_of(name))


def _tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def _writer(value: schema.Value, number: int) -> Writer:
    match value.kind:
        case "list":
            assert value.item is not None
            return functools.partial(_list, _element(value.item, number))
        case "map":
            assert value.item is not None
            return functools.partial(_map, _tag(number, PIECE), _element(value.item, 2))
        case "boolean" | "int32" | "int64":
            return functools.partial(_number, _tag(number, VARINT))
        case "double":
            return functools.partial(_double, _tag(number, FIXED64))
        case "string":
            return functools.partial(_string, _tag(number, PIECE))
        case "object":
            return functools.partial(_object, _tag(number, PIECE), _writers_of(value.type).write)
        case "any":
            inner = _ANY[value.type.rpartition(".")[2]]
        case kind:
            inner = _PIECES[kind]
    return functools.partial(_object, _tag(number, PIECE), inner)


def _element(item: schema.Value, number: int) -> Writer:
    """The writer of what a list or map holds: a list in there is a message of its own."""
    if item.kind != "list":
        return _writer(item, number)
    return functools.partial(_object, _tag(number, PIECE), _writer(item, 1))


def _object(tag: bytes, inner: Inner, value: Any) -> bytes:
    made = inner(value)
    size = len(made)
    return tag + (_SHORT[size] if size < 128 else varint(size)) + made


def _string(tag: bytes, value: str) -> bytes:
    made = value.encode()
    size = len(made)
    return tag + (_SHORT[size] if size < 128 else varint(size)) + made


def _number(tag: bytes, value: int) -> bytes:
    return tag + (_SHORT[value] if 0 <= value < 128 else varint(value))


def _double(tag: bytes, value: float) -> bytes:
    return tag + double(value)


def _list(element: Writer, value: Iterable[Any]) -> bytes:
    return b"".join([element(one) for one in value])


def _map(tag: bytes, element: Writer, value: Mapping[str, Any]) -> bytes:
    made = []
    for key in sorted(value):
        inner = value[key]
        entry = _string(_FIRST, key)
        made.append(piece(tag, entry if inner is None else entry + element(inner)))
    return b"".join(made)


# -- what stands in a piece -----------------------------------------------------------------------

_FIRST, _SECOND_PIECE, _THIRD = (_tag(number, PIECE) for number in (1, 2, 3))
_FIRST_NUMBER, _SECOND_NUMBER = (_tag(number, VARINT) for number in (1, 2))


def _quantity(value: str | float) -> bytes:
    return _string(_FIRST, str(value))


def _int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return _number(_FIRST_NUMBER, 1) + _string(_THIRD, value)
    return _number(_FIRST_NUMBER, 0) + _number(_SECOND_NUMBER, value)


@functools.lru_cache(maxsize=1024)
def _time(value: str) -> bytes:
    since = datetime.datetime.fromisoformat(times.canonical(value)) - _EPOCH
    return _number(_FIRST_NUMBER, since // _SECOND)


def _micro_time(value: str) -> bytes:
    since = datetime.datetime.fromisoformat(times.canonical_micro(value)) - _EPOCH
    seconds, rest = divmod(since, _SECOND)
    nanoseconds = rest // _MICROSECOND * 1000
    return _number(_FIRST_NUMBER, seconds) + _number(_SECOND_NUMBER, nanoseconds)


def _raw(value: Any) -> bytes:
    return piece(_FIRST, orjson.dumps(value))


_PIECES: dict[str, Inner] = {
    "bytes": base64.b64decode,
    "time": _time,
    "microtime": _micro_time,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "raw": _raw,
}


# -- schemas of custom resources ------------------------------------------------------------------


def _props(value: Any) -> bytes:
    return write_object(protobuf_table.PROPS, value)


def _props_or_list(value: Any) -> bytes:
    """A schema in field 1, or a list in field 2."""
    if isinstance(value, list):
        return b"".join([piece(_SECOND_PIECE, _props(one)) for one in value])
    return piece(_FIRST, _props(value))


def _props_or_texts(value: Any) -> bytes:
    """A schema in field 1, or texts in field 2."""
    if isinstance(value, list):
        return b"".join([_string(_SECOND_PIECE, one) for one in value])
    return piece(_FIRST, _props(value))


def _props_or_bool(value: Any) -> bytes:
    """Whether anything is allowed in field 1, a schema in field 2."""
    made = _number(_FIRST_NUMBER, value is not False)
    return made if isinstance(value, bool) else made + piece(_SECOND_PIECE, _props(value))


_ANY: dict[str, Inner] = {
    "JSON": _raw,
    "JSONSchemaPropsOrArray": _props_or_list,
    "JSONSchemaPropsOrBool": _props_or_bool,
    "JSONSchemaPropsOrStringArray": _props_or_texts,
}
