"""Random input: mutated bytes, mutated JSON, and objects made from the schema of their type."""

import base64
import copy
from collections.abc import Sequence
from random import Random
from typing import Any

from petset.api import schema

DEPTH = 4
LONG = "x" * 300
TEXTS = (
    "", "a", "web-0", "default", "a/b", "a.b/c", "A_B", "ü€", "\u0000", "\n", "-1", "1", "80",
    "1Gi", "100m", "50%", "101%", "1e400", "9" * 400, "true", "null", "$patch", "{}",
    "../..", "%00",
    "2026-11-20T05:02:52Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "127.0.0.1",
    "::1", "10.0.0.0/8", LONG, "a=b,c in (d)", "\u202e", "\ud7ff", "😀", "²", "\u0661", " ", "*",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 80, 255, 65536, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**63, 2**64,
    1e300, -0.0, 0.5, 1e22,
)  # fmt: skip
JUNK: tuple[Any, ...] = (
    None, True, False, *NUMBERS, *TEXTS, [], {}, [None], [[]], [{}], {"": None}, {"a": {}},
    {"name": "x"}, [{"name": "x"}, {"name": "x"}], ["a", "a"],
)  # fmt: skip
BYTES = (
    b"\x00", b"\xff", b"\r\n", b"\n", b"\r", b"{", b"}", b"[", b"]", b'"', b"\\u0000", b"\\ud800",
    b"1e999", b"-", b"&a ", b"*a ", b"<<: *a", b"\x80", b"\xc3\x28", b"\xed\xa0\x80", b":", b"  ",
    b"\t", b"%", b"!!", b"---\n", b"...", b"? ", b"|\n", b">-\n", b"\x7f" * 4, b"\xff" * 8,
)  # fmt: skip


def mutated(rng: Random, data: bytes, most: int = 6, extra: Sequence[bytes] = ()) -> bytes:
    """`data` after a few random changes."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, most + 1)):
        at, end = sorted(rng.randrange(len(out) + 1) for _ in range(2))
        end = min(end, at + rng.choice((1, 1, 4, 32, 4096)))
        match rng.randrange(7):
            case 0 if out:
                out[min(at, len(out) - 1)] = rng.randrange(256)
            case 1:
                out[at:at] = rng.choice((*BYTES, *extra))
            case 2:
                del out[at:end]
            case 3:
                out[at:at] = out[at:end]
            case 4:
                out[at:end] = rng.randbytes(min(end - at, 64))
            case 5 if out:
                out[min(at, len(out) - 1)] ^= 1 << rng.randrange(8)
            case _:
                piece = bytes(out[at:end])
                spot = rng.randrange(len(out) + 1)
                out[spot:spot] = piece
    return bytes(out)


def split(rng: Random, data: bytes, most: int = 8) -> list[bytes]:
    """`data` in random pieces."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(most)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below `value`."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        node = todo.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, inner in list(items):
            found.append((node, key))
            if isinstance(inner, dict | list):
                todo.append(inner)
    return found


def bent(rng: Random, obj: Any, most: int = 3) -> Any:
    """A copy of a JSON value with some of its parts replaced, dropped, doubled or swapped."""
    obj = copy.deepcopy(obj)
    for _ in range(rng.randrange(1, most + 1)):
        spots = places(obj)
        if not spots:
            return rng.choice(JUNK)
        node, key = rng.choice(spots)
        match rng.randrange(6):
            case 0:
                del node[key]
            case 1 if isinstance(node, list):
                node.insert(rng.randrange(len(node) + 1), copy.deepcopy(node[key]))
            case 2:
                other, where = rng.choice(spots)
                if where in other if isinstance(other, dict) else where < len(other):
                    node[key] = copy.deepcopy(other[where])
            case 3 if isinstance(node, dict):
                node[rng.choice(TEXTS)] = copy.deepcopy(rng.choice(JUNK))
            case 4:
                node[key] = [node[key]]
            case _:
                node[key] = copy.deepcopy(rng.choice(JUNK))
    return obj


def made(rng: Random, value: schema.Value, depth: int = DEPTH) -> Any:
    """Something of the type `value`, mostly."""
    if rng.random() < 0.02:
        return copy.deepcopy(rng.choice(JUNK))
    match value.kind:
        case "object":
            return of_type(rng, value.type, depth)
        case "list":
            assert value.item is not None
            count = rng.choice((0, 1, 1, 2, 3)) if depth else 0
            return [made(rng, value.item, depth - 1) for _ in range(count)]
        case "map":
            assert value.item is not None
            count = rng.choice((0, 1, 2)) if depth else 0
            return {rng.choice(TEXTS): made(rng, value.item, depth - 1) for _ in range(count)}
        case "raw" | "any":
            return copy.deepcopy(rng.choice(JUNK))
        case kind:
            return _scalar(rng, kind)


def of_type(rng: Random, name: str, depth: int = DEPTH) -> dict[str, Any]:
    """An object of a named type, with what upstream requires and some of the rest."""
    fields = schema.type_of(name).fields
    share = 0.35 if depth > 1 else 0.15
    return {
        key: made(rng, field.value, depth - 1)
        for key, field in fields.items()
        if depth > 0 and (field.required or rng.random() < share)
    }


def _scalar(rng: Random, kind: str) -> Any:
    match kind:
        case "string":
            return rng.choice(TEXTS)
        case "boolean":
            return rng.random() < 0.5
        case "int32" | "int64":
            return rng.choice((0, 1, 2, 80, -1, 2**31 - 1, rng.choice(NUMBERS)))
        case "double":
            return rng.choice(NUMBERS)
        case "bytes":
            return base64.b64encode(rng.randbytes(rng.randrange(5))).decode()
        case "time" | "microtime":
            return rng.choice(TEXTS[19:22])
        case "quantity":
            return rng.choice(("1", "100m", "1Gi", "-1", "0", "1e3", "1e400", "0.1", "9" * 30))
        case _:
            return rng.choice((1, "80%", "http", *TEXTS))
