"""Protobuf answers: stored JSON objects encoded in the form that Go clients read fastest.

Encoded messages are cached by the bytes that the store keeps: lists and watches ask for the same
objects over and over, and encoding one takes some fifty times as long as finding it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from petset.api import protobuf
from petset.api.meta import Obj
from petset.apiserver.negotiate import PROTOBUF

HEADERS = (("Content-Type", PROTOBUF),)
WATCH_HEADERS = (("Content-Type", f"{PROTOBUF};stream=watch"),)
KEPT_BYTES_MAX = 32 * 1024 * 1024
"""Total size of the cached messages and of the JSON that they were made from, in bytes. The JSON
costs nothing extra for as long as the store keeps it as well."""
_LENGTH_BYTES = 4

Part = tuple[bytes, bytes]
"""Head of an object's body (what kind it is), and its message."""


class Messages:
    """Cache of messages by the JSON that they were made from; the oldest are dropped."""

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept: dict[bytes, Part] = {}
        self._bytes = 0

    def of(self, value: bytes) -> Part:
        """Head and message of the object of which `value` is the JSON."""
        found = self._kept.get(value)
        if found is None:
            found = protobuf.split(orjson.loads(value))
            self._keep(value, found)
        return found

    def _keep(self, value: bytes, part: Part) -> None:
        size = len(value) + len(part[1])
        if size > self._bytes_max:
            return
        self._kept[value] = part
        self._bytes += size
        while self._bytes > self._bytes_max:
            oldest = next(iter(self._kept))
            self._bytes -= len(oldest) + len(self._kept.pop(oldest)[1])


_MESSAGES = Messages()


def part(value: bytes) -> Part:
    """Head and message of a stored object."""
    return _MESSAGES.of(value)


def body(value: bytes) -> bytes:
    """JSON of an object as protobuf."""
    return protobuf.enclosed(*part(value))


def event(kind: bytes, of: Part) -> bytes:
    """A watch event as it stands in a stream: its length in four bytes, then its message."""
    message = protobuf.encode_event(kind, protobuf.enclosed(*of))
    return len(message).to_bytes(_LENGTH_BYTES, "big") + message


def event_of(kind: bytes, obj: Obj) -> bytes:
    """As `event`, for an object that is made for this stream."""
    return event(kind, protobuf.split(obj))


def listed(
    api_version: str, kind: str, meta: Mapping[str, Any], messages: Sequence[bytes]
) -> list[bytes]:
    """A list of objects as pieces of a body."""
    start, *before = protobuf.list_parts(api_version, kind, meta, [len(m) for m in messages])
    pieces = [start]
    for head, message in zip(before, messages, strict=True):
        pieces += (head, message)
    return pieces
