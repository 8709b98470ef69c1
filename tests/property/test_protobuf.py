"""Laws of protobuf bodies, for objects of every type and for any bytes."""

import base64
import functools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from petset.api import protobuf, protobuf_table, protobuf_wire, schema
from petset.api.errors import StatusError
from petset.api.meta import MutableObj
from petset.api.protobuf_table import Message, Slot
from petset.api.protobuf_wire import MAGIC
from petset.api.prune import prune

DEPTH = 5
FIELDS = 4
PROPS = protobuf_table.PROPS
TOP = sorted(protobuf_table.kinds())

TEXTS = st.sampled_from(["", "a", "web-0", "80", "ü€", "x" * 200])
INT64 = st.integers(-(2**63), 2**63 - 1)
JSON = st.one_of(st.booleans(), INT64, TEXTS, st.dictionaries(TEXTS, st.lists(INT64, max_size=2)))
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "bytes": st.binary(max_size=9).map(lambda b: base64.b64encode(b).decode()),
    "boolean": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": INT64,
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "time": st.sampled_from(
        ["1970-01-01T00:00:00Z", "2026-11-20T05:02:52Z", "1912-06-23T01:02:03Z"]
    ),
    "microtime": st.sampled_from(["2026-11-20T05:02:52.123456Z", "1912-06-23T01:02:03.000001Z"]),
    "quantity": st.sampled_from(["0", "100m", "1Gi", "2", "-3", "1e3"]),
    "intorstring": st.one_of(st.integers(-(2**31), 2**31 - 1), TEXTS),
    "raw": st.dictionaries(TEXTS, JSON, max_size=2),
}


def slots(message: Message) -> Iterator[Slot]:
    for slot in message.slots.values():
        if isinstance(slot, Slot):
            yield slot
        else:
            yield from slots(slot)


@functools.cache
def objects(name: str, depth: int) -> st.SearchStrategy[MutableObj]:
    """Objects of a type: a few fields, no empty lists and no zeros that mean nothing."""
    fields = {slot.name: slot for slot in slots(protobuf_table.message_of(name))}
    if depth == 0 or not fields:
        return st.just({})

    @st.composite
    def build(draw: st.DrawFn) -> MutableObj:
        chosen = draw(st.lists(st.sampled_from(sorted(fields)), max_size=FIELDS, unique=True))
        made = {}
        for field in chosen:
            value = draw(values(fields[field].value, depth - 1))
            if not fields[field].unset or value not in (0, "", False):
                made[field] = value
        return made

    return build()


@functools.cache
def values(value: schema.Value, depth: int) -> st.SearchStrategy[Any]:
    match value.kind:
        case "object":
            return objects(value.type, depth)
        case "list":
            assert value.item is not None
            return st.lists(values(value.item, depth), min_size=1, max_size=3)
        case "map":
            assert value.item is not None
            return st.dictionaries(TEXTS, values(value.item, depth), min_size=1, max_size=3)
        case "any":
            return anything(value.type.rpartition(".")[2], depth)
        case kind:
            return SCALARS[kind]


def anything(name: str, depth: int) -> st.SearchStrategy[Any]:
    props = objects(PROPS, depth)
    match name:
        case "JSONSchemaPropsOrArray":
            return st.one_of(props, st.lists(props, min_size=1, max_size=2))
        case "JSONSchemaPropsOrBool":
            return st.one_of(props, st.booleans())
        case "JSONSchemaPropsOrStringArray":
            return st.one_of(props, st.lists(TEXTS, min_size=1, max_size=2))
        case _:
            return JSON


@st.composite
def bodies(draw: st.DrawFn) -> MutableObj:
    version, kind = draw(st.sampled_from(TOP))
    name = protobuf_table.type_for(version, kind)
    assert name is not None
    return {"kind": kind, "apiVersion": version, **draw(objects(name, DEPTH))}


@given(bodies())
def test_what_is_written_is_what_is_read(obj: MutableObj) -> None:
    name = protobuf_table.type_for(obj["apiVersion"], obj["kind"])
    assert name is not None
    decoded = protobuf.decode(protobuf.encode(obj))
    assert decoded == obj
    assert decoded == prune(name, obj)


@given(bodies(), st.data())
def test_a_body_cut_short_is_refused(obj: MutableObj, data: st.DataObject) -> None:
    body = protobuf.encode({**obj, "metadata": {"name": "x"}})
    assume("metadata" in protobuf.decode(body))
    at = data.draw(st.integers(len(body) - 3, len(body) - 1))
    with pytest.raises(StatusError, match="unexpected end"):
        protobuf.decode(body[:at])


@given(bodies(), st.data())
def test_damaged_bodies_are_read_or_refused(obj: MutableObj, data: st.DataObject) -> None:
    body = bytearray(protobuf.encode(obj))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        body = body or bytearray(b"\0")
    read_or_refuse(bytes(body))


@given(st.sampled_from(TOP), st.binary(max_size=60))
def test_any_message_is_read_or_refused(named: tuple[str, str], message: bytes) -> None:
    piece = protobuf_wire.piece_field
    said = piece(1, named[0].encode()) + piece(2, named[1].encode())
    read_or_refuse(MAGIC + piece(1, said) + piece(2, message))


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)
    read_or_refuse(MAGIC + data)


def read_or_refuse(data: bytes) -> None:
    """Only StatusError may come out, and it says that the request is bad."""
    try:
        obj = protobuf.decode(data)
    except StatusError as error:
        obj = error.status()
        assert obj["code"] == 400
    assert protobuf.is_known(obj["apiVersion"], obj["kind"])
