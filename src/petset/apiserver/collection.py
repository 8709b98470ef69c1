"""Lists and Tables of stored objects, built in slices so that the event loop stays responsive.

Invariant: in plain JSON, what the store keeps is sent as it is, without decoding.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from petset.api import protobuf, table
from petset.api.kind import Behaviour
from petset.apiserver import answer, binary
from petset.apiserver.call import Call
from petset.apiserver.negotiate import META_GROUP, PROTOBUF, YAML, accepts_gzip, wants_indent
from petset.base.http import Headers, Response

SLICE = 100
"""Objects decoded per turn of the event loop."""
PIECE_BYTES = 64 * 1024
"""Stored objects are joined to pieces of this size."""
PACKED_AT_ONCE_BYTES = 2 * PIECE_BYTES
"""How much is compressed per turn of the event loop, roughly."""
_BEFORE, _AFTER = b'{\n  "": [', b"\n  ]\n}"
"""What stands around the items of a list that is indented alone."""
_GZIP = 31
"""Window bits that make zlib write gzip's format."""


async def listed(
    call: Call, values: Sequence[bytes], meta: Mapping[str, Any], behaviour: Behaviour | None = None
) -> Response:
    """A list of stored objects with the list's metadata."""
    shape = call.format
    if shape.media == PROTOBUF:
        return await _answer(call, await _packed_list(call, values, meta), binary.HEADERS)
    if not shape.form:
        if call.route.converts:
            values = await _converted(call, values)
        return await _answer(call, spliced(call, values, meta))
    if shape.form == "Table":
        behaviour = behaviour or call.shown
        include = answer.include_of(call)
        now = call.backend.clock.now()
        head = table.render(behaviour, (), now, include, shape.version)
        head["metadata"] = dict(meta)
        slices = _rows(call, values, behaviour, include)
    else:
        head = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"{META_GROUP}/{shape.version}",
            "metadata": dict(meta),
            "items": [],
        }
        slices = _partials(call, values)
    return await _answer(call, await _around(orjson.dumps(head), slices))


def spliced(call: Call, values: Sequence[bytes], meta: Mapping[str, Any]) -> list[bytes]:
    """A List object around items that are encoded already, in pieces."""
    resource = call.route.resource
    head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta}
    pieces = [orjson.dumps(head)[:-1] + b',"items":[']
    start = size = 0
    for index, value in enumerate(values):
        size += len(value)
        if size >= PIECE_BYTES:
            pieces.append(b",".join(values[start : index + 1]))
            pieces.append(b",")
            start, size = index + 1, 0
    if start < len(values):
        pieces.append(b",".join(values[start:]))
    elif values:
        pieces.pop()
    pieces.append(b"]}")
    return pieces


async def _packed_list(call: Call, values: Sequence[bytes], meta: Mapping[str, Any]) -> list[bytes]:
    """A list, or its items' metadata alone, in protobuf."""
    resource, form = call.route.resource, call.format.form
    messages: list[bytes] = []
    for at in range(0, len(values), SLICE):
        for value in values[at : at + SLICE]:
            if form:
                partial = table.partial(call.outward(orjson.loads(value)), call.format.version)
                messages.append(protobuf.split(partial)[1])
            else:
                messages.append(binary.part(call.served(value))[1])
        await asyncio.sleep(0)
    if form:
        return binary.listed(f"{META_GROUP}/{call.format.version}", form, meta, messages)
    return binary.listed(resource.api_version, f"{resource.kind}List", meta, messages)


async def _converted(call: Call, values: Sequence[bytes]) -> list[bytes]:
    found: list[bytes] = []
    for at in range(0, len(values), SLICE):
        found += [call.served(value) for value in values[at : at + SLICE]]
        await asyncio.sleep(0)
    return found


async def _rows(
    call: Call, values: Sequence[bytes], behaviour: Behaviour, include: answer.Include
) -> AsyncIterator[bytes]:
    """The rows of a Table, a slice at a time, as JSON arrays."""
    now, version = call.backend.clock.now(), call.format.version
    whole = include == "Object"
    for at in range(0, len(values), SLICE):
        some = values[at : at + SLICE]
        objs = [orjson.loads(value) for value in some]
        rows = table.rows(behaviour, objs, now, "None" if whole else include, version)
        if whole:
            for row, value in zip(rows, some, strict=True):
                row["object"] = orjson.Fragment(call.served(value))
        yield orjson.dumps(rows)
        await asyncio.sleep(0)


async def _partials(call: Call, values: Sequence[bytes]) -> AsyncIterator[bytes]:
    version = call.format.version
    for at in range(0, len(values), SLICE):
        objs = [orjson.loads(value) for value in values[at : at + SLICE]]
        yield orjson.dumps([table.partial(call.outward(obj), version) for obj in objs])
        await asyncio.sleep(0)


async def _around(head: bytes, slices: AsyncIterator[bytes]) -> list[bytes]:
    """An object whose last member, an empty array, is filled with the items of `slices`."""
    assert head.endswith(b"[]}")
    pieces = [head[:-2]]
    async for part in slices:
        if len(pieces) > 1:
            pieces.append(b",")
        pieces.append(part[1:-1])
    pieces.append(b"]}")
    return pieces


async def _answer(
    call: Call, pieces: list[bytes], headers: Headers = answer.JSON_HEADERS
) -> Response:
    request, media = call.request, call.format.media
    large = sum(map(len, pieces)) > answer.GZIP_MIN_BYTES
    if media != PROTOBUF:
        if not large:
            return answer.encoded(call, b"".join(pieces), 200)
        if media == YAML or wants_indent(request.param("pretty"), call.agent):
            pieces = await _indented(pieces)
            headers = answer.YAML_HEADERS if media == YAML else headers
    if large and accepts_gzip(request.headers.get("accept-encoding", "")):
        return Response(200, (*headers, *answer.GZIP_HEADERS), await _packed(pieces))
    return Response(200, headers, pieces if large else b"".join(pieces))


async def _indented(pieces: Sequence[bytes]) -> list[bytes]:
    """The same JSON with line breaks. Pieces are as `spliced` and `_around` make them: what comes
    before the items, items and commas by turns, and what comes after.
    """
    first, *between, last = pieces
    head = orjson.loads(first + last)
    if not between:
        return [orjson.dumps(head, option=orjson.OPT_INDENT_2), b"\n"]
    member, _ = head.popitem()
    found = [orjson.dumps(head, option=orjson.OPT_INDENT_2)[:-2], f',\n  "{member}": ['.encode()]
    for piece in between[::2]:
        text = orjson.dumps({"": orjson.loads(b"[%b]" % piece)}, option=orjson.OPT_INDENT_2)
        found += (text[len(_BEFORE) : -len(_AFTER)], b",")
        await asyncio.sleep(0)
    return [*found[:-1], b"%b\n" % _AFTER]


async def _packed(pieces: Sequence[bytes]) -> bytes:
    packer = zlib.compressobj(1, wbits=_GZIP)
    packed, size = [], 0
    for piece in pieces:
        packed.append(packer.compress(piece))
        size += len(piece)
        if size >= PACKED_AT_ONCE_BYTES:
            size = 0
            await asyncio.sleep(0)
    return b"".join((*packed, packer.flush()))
