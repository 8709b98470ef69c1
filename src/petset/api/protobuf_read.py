"""From protobuf messages to JSON values of the same type.

What a Go client would have sent as JSON is what comes out: members of inlined messages one level
up, bytes as base64, times as RFC 3339, zeros left out where they mean "not set". Unknown numbers
are skipped; a field that comes twice is merged (messages), appended (lists) or replaced.
"""

import base64
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from petset.api import bodies, meta, protobuf_table, protobuf_wire, schema
from petset.api.meta import MutableObj
from petset.api.protobuf_table import Message, Slot
from petset.api.protobuf_wire import PIECE, MalformedError

DEPTH_MAX = 100
"""Messages in messages that are accepted. Only schemas of custom resources nest without end."""

FIELDS_MAX = 400_000
"""Fields that are accepted in one body, so that a small body cannot cost much."""

_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)
_MISSING: Any = object()


@dataclass(slots=True)
class Body:
    """Bytes that are read.

    Attributes:
        nested: reads an enveloped object inside (only RawExtension holds such), without a copy.
        fields_left: how many more fields are accepted.
    """

    data: bytes
    nested: "Callable[[bytes, int, int, int], MutableObj]"
    fields_left: int = FIELDS_MAX

    def fields(self, at: int, end: int) -> Any:
        """The fields between `at` and `end`, counted."""
        for field in protobuf_wire.fields(self.data, at, end):
            self.fields_left -= 1
            if self.fields_left < 0:
                raise MalformedError(f"more than {FIELDS_MAX} fields")
            yield field


Reader = Callable[[Body, int, int, int], Any]
"""(body, begin, end, depth) -> JSON value of a piece."""


def read_object(body: Body, name: str, at: int, end: int, depth: int = 0) -> MutableObj:
    """The object of type `name` between `at` and `end`. Raises MalformedError."""
    out: MutableObj = {}
    _fill(body, protobuf_table.message_of(name), at, end, depth, out)
    return out


def _fill(body: Body, message: Message, at: int, end: int, depth: int, out: MutableObj) -> None:
    if depth > DEPTH_MAX:
        raise MalformedError(f"nested deeper than {DEPTH_MAX} levels")
    slots = message.slots
    for number, wire, start, stop in body.fields(at, end):
        slot = slots.get(number)
        if slot is None:
            continue
        if isinstance(slot, Message):
            _expect(wire, PIECE, number)
            _fill(body, slot, start, stop, depth + 1, out)
        else:
            _take(body, slot, (number, wire, start, stop), depth, out)


def _take(
    body: Body, slot: Slot, field: tuple[int, int, int, int], depth: int, out: MutableObj
) -> None:
    number, wire, start, stop = field
    value, name = slot.value, slot.name
    kind = value.kind
    if kind in _NUMBERS:
        _put(out, slot, _number(body, kind, field))
    elif kind == "list":
        assert value.item is not None
        found = _elements(body, value.item, field, depth)
        if found:
            out.setdefault(name, []).extend(found)
    else:
        _expect(wire, PIECE, number)
        if kind == "map":
            assert value.item is not None
            key, element = _entry(body, value.item, start, stop, depth)
            out.setdefault(name, {})[key] = element
        elif kind == "object":
            inner = out.setdefault(name, {})
            _fill(body, protobuf_table.message_of(value.type), start, stop, depth + 1, inner)
        else:
            _put(out, slot, _reader(value)(body, start, stop, depth + 1))


def _put(out: MutableObj, slot: Slot, value: Any) -> None:
    if value is None or (slot.unset and value in _ZEROS[slot.value.kind]):
        out.pop(slot.name, None)
    else:
        out[slot.name] = value


_ZEROS: dict[str, tuple[Any, ...]] = {
    "string": ("",),
    "bytes": ("",),
    "boolean": (False,),
    "int32": (0,),
    "int64": (0,),
    "double": (0.0,),
    "quantity": ("",),
    "intorstring": (0,),
}


def _expect(wire: int, wanted: int, number: int) -> None:
    if wire != wanted:
        raise MalformedError(f"field {number} has wire type {wire} in place of {wanted}")


# -- numbers --------------------------------------------------------------------------------------


def _bool(value: int) -> bool:
    return value != 0


def _int32(value: int) -> int:
    return protobuf_wire.signed(value, 32)


def _int64(value: int) -> int:
    return protobuf_wire.signed(value, 64)


_VARINTS: dict[str, Callable[[int], int]] = {"boolean": _bool, "int32": _int32, "int64": _int64}
_NUMBERS = {*_VARINTS, "double"}


def _number(body: Body, kind: str, field: tuple[int, int, int, int]) -> int | float:
    number, wire, start, _ = field
    if kind == "double":
        _expect(wire, protobuf_wire.FIXED64, number)
        value = protobuf_wire.read_double(body.data, start)
        if not math.isfinite(value):
            raise MalformedError(f"field {number} is not a finite number")
        return value
    _expect(wire, protobuf_wire.VARINT, number)
    return _VARINTS[kind](start)


# -- lists and maps -------------------------------------------------------------------------------


def _elements(
    body: Body, item: schema.Value, field: tuple[int, int, int, int], depth: int
) -> list[Any]:
    """What one occurrence of a repeated field adds: one element, or packed numbers."""
    number, wire, start, stop = field
    if item.kind in _NUMBERS:
        if wire == PIECE and item.kind in _VARINTS:
            return [_VARINTS[item.kind](v) for v in protobuf_wire.varints(body.data, start, stop)]
        return [_number(body, item.kind, field)]
    _expect(wire, PIECE, number)
    return [_filled(item, _reader(item)(body, start, stop, depth + 1))]


def _entry(body: Body, item: schema.Value, at: int, end: int, depth: int) -> tuple[str, Any]:
    """One entry of a map: field 1 is the key, field 2 the value; both may be missing."""
    key, value = "", _MISSING
    for field in body.fields(at, end):
        number, wire, start, stop = field
        if number == 1:
            _expect(wire, PIECE, number)
            key = protobuf_wire.text(body.data, start, stop)
        elif number == 2 and item.kind in _NUMBERS:
            value = _number(body, item.kind, field)
        elif number == 2:
            _expect(wire, PIECE, number)
            value = _reader(item)(body, start, stop, depth + 1)
    if value is _MISSING:
        value = 0 if item.kind in _NUMBERS else _reader(item)(body, end, end, depth + 1)
    return key, _filled(item, value)


def _filled(item: schema.Value, value: Any) -> Any:
    """An element cannot be left out: what is not set gets the zero of its kind."""
    return "0" if item.kind == "quantity" and value == "" else value


# -- pieces ---------------------------------------------------------------------------------------


@functools.cache
def _reader(value: schema.Value) -> Reader:
    match value.kind:
        case "object":
            return functools.partial(_object, value.type)
        case "list":
            assert value.item is not None
            return functools.partial(_wrapped, value.item)
        case "any":
            return _ANY[value.type.rpartition(".")[2]]
        case kind:
            return _PIECES[kind]


def _object(name: str, body: Body, at: int, end: int, depth: int) -> MutableObj:
    return read_object(body, name, at, end, depth)


def _wrapped(item: schema.Value, body: Body, at: int, end: int, depth: int) -> list[Any]:
    """A list where protobuf cannot have one: a message with the elements in field 1."""
    found: list[Any] = []
    for field in body.fields(at, end):
        if field[0] == 1:
            found += _elements(body, item, field, depth)
    return found


def _text(body: Body, at: int, end: int, depth: int) -> str:
    del depth
    return protobuf_wire.text(body.data, at, end)


def _bytes(body: Body, at: int, end: int, depth: int) -> str:
    del depth
    return base64.b64encode(body.data[at:end]).decode()


def _quantity(body: Body, at: int, end: int, depth: int) -> str:
    found = ""
    for number, wire, start, stop in body.fields(at, end):
        if number == 1:
            _expect(wire, PIECE, number)
            found = _text(body, start, stop, depth)
    return found


def _int_or_string(body: Body, at: int, end: int, depth: int) -> int | str:
    which, number_value, text = 0, 0, ""
    for number, wire, start, stop in body.fields(at, end):
        if number == 3:
            _expect(wire, PIECE, number)
            text = _text(body, start, stop, depth)
        elif number in (1, 2):
            _expect(wire, protobuf_wire.VARINT, number)
            if number == 1:
                which = start
            else:
                number_value = _int32(start)
    if which not in (0, 1):
        raise MalformedError(f"{which} is neither a number (0) nor a text (1)")
    return text if which else number_value


def _moment(body: Body, at: int, end: int) -> tuple[int, int] | None:
    """Seconds and nanoseconds; None for the time that is not set."""
    parts = {1: 0, 2: 0}
    for number, wire, start, _ in body.fields(at, end):
        if number in parts:
            _expect(wire, protobuf_wire.VARINT, number)
            parts[number] = _int64(start)
    if parts[1] not in _SECONDS or parts[2] not in _NANOS:
        raise MalformedError("a time is outside of the calendar")
    return None if at == end else (parts[1], parts[2])


def _time(body: Body, at: int, end: int, depth: int) -> str | None:
    del depth
    moment = _moment(body, at, end)
    return None if moment is None else meta.format_time(moment[0])


def _micro_time(body: Body, at: int, end: int, depth: int) -> str | None:
    del depth
    moment = _moment(body, at, end)
    if moment is None:
        return None
    return f"{meta.format_time(moment[0])[:-1]}.{moment[1] // 1000:06d}Z"


def _raw(body: Body, at: int, end: int, depth: int) -> Any:
    """Field 1 holds JSON, or an object with an envelope of its own."""
    span = end, end
    for number, wire, start, stop in body.fields(at, end):
        if number == 1:
            _expect(wire, PIECE, number)
            span = start, stop
    if body.data.startswith(protobuf_wire.MAGIC, *span):
        return body.nested(body.data, *span, depth + 1)
    piece = body.data[slice(*span)]
    return bodies.parse_json(piece) if piece else None


_PIECES: dict[str, Reader] = {
    "string": _text,
    "bytes": _bytes,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "time": _time,
    "microtime": _micro_time,
    "raw": _raw,
}


# -- schemas of custom resources ------------------------------------------------------------------


def _props(body: Body, at: int, end: int, depth: int) -> MutableObj:
    return read_object(body, protobuf_table.PROPS, at, end, depth)


def _props_or(body: Body, at: int, end: int, depth: int) -> tuple[Any, list[tuple[int, int]]]:
    """Field 1 as a schema if it is there, and the pieces of field 2."""
    schema_, others = None, []
    for number, wire, start, stop in body.fields(at, end):
        if number in (1, 2):
            _expect(wire, PIECE, number)
            if number == 1:
                schema_ = _props(body, start, stop, depth + 1)
            else:
                others.append((start, stop))
    return schema_, others


def _props_or_array(body: Body, at: int, end: int, depth: int) -> Any:
    schema_, others = _props_or(body, at, end, depth)
    return [_props(body, *span, depth + 1) for span in others] if others else schema_


def _props_or_strings(body: Body, at: int, end: int, depth: int) -> Any:
    schema_, others = _props_or(body, at, end, depth)
    return [_text(body, *span, depth) for span in others] if others else schema_


def _props_or_bool(body: Body, at: int, end: int, depth: int) -> Any:
    allows, schema_ = False, None
    for number, wire, start, stop in body.fields(at, end):
        if number == 1:
            _expect(wire, protobuf_wire.VARINT, number)
            allows = start != 0
        elif number == 2:
            _expect(wire, PIECE, number)
            schema_ = _props(body, start, stop, depth + 1)
    return allows if schema_ is None else schema_


_ANY: dict[str, Reader] = {
    "JSON": _raw,
    "JSONSchemaPropsOrArray": _props_or_array,
    "JSONSchemaPropsOrBool": _props_or_bool,
    "JSONSchemaPropsOrStringArray": _props_or_strings,
}
