"""The proto2 wire format: fields of a message as (number, value) pairs."""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no message."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Every field of a message, in order: numbers as ints, everything else as bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = varint(data, at)
            yield tag >> 3, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if size is None:
            if kind != BYTES:
                raise WireError(f"wire type {kind} is not used by Kubernetes")
            size, at = varint(data, at)
        if at + size > len(data):
            raise WireError("a field ends behind its message")
        yield tag >> 3, data[at : at + size]
        at += size


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that starts at `at`, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a number does not end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7


def signed(value: int) -> int:
    """A number as the two's complement that Go wrote."""
    return value - 2**64 if value >= 2**63 else value
