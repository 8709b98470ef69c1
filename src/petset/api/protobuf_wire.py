"""The bytes of protobuf: tags, varints, pieces with a length. Knows nothing of messages.

Invariant: reading never goes past the end it was given, and raises MalformedError for everything
that is no protobuf. Groups are refused: no type of the API has one.
"""

import struct
from collections.abc import Iterator

MAGIC = b"k8s\0"
"""What a body begins with."""

VARINT, FIXED64, PIECE, FIXED32 = 0, 1, 2, 5
"""Wire types. A piece is a length and so many bytes: text, bytes, a message, packed numbers."""

_MASK = (1 << 64) - 1
_NUMBER_MAX = (1 << 29) - 1
_SIZES = {FIXED64: 8, FIXED32: 4}

Span = tuple[int, int]
"""Where a piece begins and ends."""


class MalformedError(ValueError):
    """These bytes cannot be read; the text says why."""


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The unsigned number at `at`, and where it ends."""
    result = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & _MASK, at
        shift += 7
        if shift > 63:
            raise MalformedError("a number is longer than 10 bytes")
    raise MalformedError("unexpected end")


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type and two more of every field between `at` and `end`.

    Of a varint the two are its value and 0, of everything else where it begins and ends.
    """
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = read_varint(data, at - 1, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number <= _NUMBER_MAX:
            raise MalformedError(f"{number} is no field number")
        if wire == PIECE:
            size, at = read_varint(data, at, end)
            start, at = at, at + size
        elif wire == VARINT:
            value, at = read_varint(data, at, end)
            yield number, wire, value, 0
            continue
        elif wire in _SIZES:
            start, at = at, at + _SIZES[wire]
        else:
            raise MalformedError(f"field {number} is a group or of an unknown wire type ({wire})")
        if at > end:
            raise MalformedError("unexpected end")
        yield number, wire, start, at


def varints(data: bytes, at: int, end: int) -> Iterator[int]:
    """The unsigned numbers that are packed between `at` and `end`."""
    while at < end:
        value, at = read_varint(data, at, end)
        yield value


def signed(value: int, bits: int) -> int:
    """An unsigned number as two's complement of so many bits; higher bits are dropped."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def text(data: bytes, at: int, end: int) -> str:
    """A piece as text."""
    try:
        return data[at:end].decode()
    except UnicodeDecodeError:
        raise MalformedError("a text is not UTF-8") from None


def read_double(data: bytes, at: int) -> float:
    """Eight bytes as a floating point number."""
    found: float = struct.unpack_from("<d", data, at)[0]
    return found


# -- writing --------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """A number; a negative one as 64-bit two's complement."""
    value &= _MASK
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def double(value: float) -> bytes:
    """A floating point number as eight bytes."""
    return struct.pack("<d", value)


def piece_field(number: int, value: bytes) -> bytes:
    """A field that holds text, bytes or a message."""
    return varint(number << 3 | PIECE) + varint(len(value)) + value
