"""Protobuf bodies: `application/vnd.kubernetes.protobuf`.

A body is four magic bytes and an envelope (runtime.Unknown) that names kind and apiVersion and
holds the object's message. kubectl from 1.32 on sends such bodies from all its typed clients.

Invariant: `decode` raises nothing but StatusError 400, whatever the bytes are.
"""

import functools
from collections.abc import Iterable, Sequence

from petset.api import errors, protobuf_read, protobuf_table, protobuf_wire, protobuf_write
from petset.api.bodies import DEPTH_MAX, is_deep
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj
from petset.api.protobuf_wire import MAGIC, MalformedError

MEDIA = "application/vnd.kubernetes.protobuf"
SIZE_MAX = 3 * 1024 * 1024
"""Bytes of a body that is read; the limit of upstream for bodies of requests."""


def decode(data: bytes) -> MutableObj:
    """The object in a body, kind and apiVersion first.

    Zeros that stand for "not set" are left out, as Go leaves them out of JSON. Raises StatusError
    400, also for a kind that has no protobuf form.
    """
    if len(data) > SIZE_MAX:
        raise _refused(f"longer than {SIZE_MAX} bytes")
    try:
        obj = _enveloped(data, 0, len(data), 0)
    except MalformedError as error:
        raise _refused(str(error)) from None
    if is_deep(obj):  # messages and the JSON inside them add up
        raise _refused(f"nested deeper than {DEPTH_MAX} levels")
    return obj


def _refused(why: str) -> StatusError:
    return errors.bad_request(f"the protobuf body cannot be read: {why}")


def _enveloped(data: bytes, at: int, end: int, depth: int) -> MutableObj:
    if not data.startswith(MAGIC, at, end):
        raise MalformedError("it does not begin with the bytes 6b 38 73 00")
    parts = _pieces(data, at + len(MAGIC), end, range(1, 5))
    encoding, media = (_text(data, parts.get(n)) for n in (3, 4))
    if encoding or media not in ("", MEDIA):
        raise MalformedError(f'its content is "{media}" in the encoding "{encoding}"')
    said = _pieces(data, *parts.get(1, (0, 0)), range(1, 3))
    api_version, kind = _text(data, said.get(1)), _text(data, said.get(2))
    name = protobuf_table.type_for(api_version, kind)
    if name is None:
        raise MalformedError(f'no kind "{kind[:80]}" is known in version "{api_version[:80]}"')
    body = protobuf_read.Body(data, _enveloped)
    found = protobuf_read.read_object(body, name, *parts.get(2, (0, 0)), depth)
    return {"kind": kind, "apiVersion": api_version, **found}


def _pieces(data: bytes, at: int, end: int, wanted: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Where the pieces with the `wanted` numbers are; of those that come twice the last one."""
    found = {}
    for number, wire, start, stop in protobuf_wire.fields(data, at, end):
        if number in wanted:
            if wire != protobuf_wire.PIECE:
                raise MalformedError(f"field {number} of the envelope has wire type {wire}")
            found[number] = (start, stop)
    return found


def _text(data: bytes, span: tuple[int, int] | None) -> str:
    return "" if span is None else protobuf_wire.text(data, *span)


def encode(obj: Obj) -> bytes:
    """`obj`, which has kind and apiVersion and fits its type, as a body.

    Raises KeyError for a kind that has no protobuf form (see `is_known`), ValueError for values of
    a wrong type.
    """
    return enclosed(*split(obj))


def split(obj: Obj) -> tuple[bytes, bytes]:
    """The head of `obj`'s body and its message: `encode` puts them together. Raises as it does."""
    kind = obj.get("kind") or ""
    api_version = "v1" if kind == "APIVersions" else obj.get("apiVersion") or ""
    head, name = _said(api_version, kind)
    try:
        return head, protobuf_write.write_object(name, obj)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{kind} does not fit its type: {error}") from error


def enclosed(head: bytes, message: bytes) -> bytes:
    """A body of its head and its message."""
    return head + protobuf_wire.piece_field(2, message)


def encode_event(event: bytes, body: bytes) -> bytes:
    """A watch event (ADDED, ...) as a message without envelope; the object in it has one."""
    piece = protobuf_wire.piece_field
    return piece(1, event) + piece(2, piece(1, body))


def list_parts(api_version: str, kind: str, meta: Obj, sizes: Sequence[int]) -> tuple[bytes, ...]:
    """What stands around the messages of a list's items, which have these sizes.

    First what comes before all items, then what comes before each. Raises KeyError.
    """
    head, name = _said(api_version, kind)
    start = protobuf_write.write_object(name, {"metadata": meta})
    before = [_ITEM + protobuf_wire.varint(size) for size in sizes]
    whole = len(start) + sum(map(len, before)) + sum(sizes)
    return (head + _MESSAGE + protobuf_wire.varint(whole) + start, *before)


_ITEM = _MESSAGE = protobuf_wire.varint(2 << 3 | protobuf_wire.PIECE)
"""Items are field 2 of every list, the message field 2 of every body."""


@functools.cache
def _said(api_version: str, kind: str) -> tuple[bytes, str]:
    """The head of bodies of a kind, and its type. Raises KeyError."""
    name = protobuf_table.answered_type(api_version, kind)
    if name is None:
        raise KeyError(f"{api_version}/{kind}")
    piece = protobuf_wire.piece_field
    said = piece(1, api_version.encode()) + piece(2, kind.encode())
    return MAGIC + piece(1, said), name


def is_known(api_version: str, kind: str) -> bool:
    """Whether objects that call themselves so have a protobuf form."""
    return protobuf_table.answered_type(api_version, kind) is not None
