"""From bytes to JSON values: request bodies, patches, YAML; duplicate fields and depth.

The error words are those that upstream's decoder gives.
"""

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from petset.api import errors
from petset.api.errors import StatusError
from petset.api.meta import MutableObj

DEPTH_MAX = 250
"""Nesting that is accepted. Deeper bodies are refused: they only serve to exhaust the stack."""


def parse_body(
    data: bytes, content_type: str = "application/json", *, duplicates: bool = False
) -> tuple[MutableObj, list[str]]:
    """The object in a request's body, and the paths of duplicate fields if asked for.

    `content_type` is JSON unless it names YAML. Raises StatusError 400.
    """
    if "yaml" in content_type:
        value, twice = _yaml(data)
    else:
        value = parse_json(data)
        twice = _duplicates(data) if duplicates and _may_repeat(data, value) else []
    if type(value) is not dict:
        raise _malformed(f"json: cannot unmarshal {word(value)} into Go value of type object")
    return value, twice


def parse_json(data: bytes) -> Any:
    """Any JSON value. Raises StatusError 400."""
    try:
        return _parse(data)
    except ValueError as error:
        raise _malformed(str(error)) from None


def parse_patch(data: bytes, go_type: str, *, duplicates: bool) -> tuple[Any, list[str]]:
    """The list or object in a patch's body and its duplicate fields, those only if asked for.

    `go_type` is what it stands for in Go, as errors call it; null is an empty one. Raises
    ValueError.
    """
    value = _parse(data)
    many = go_type.startswith("[]")
    if value is None:
        return ([] if many else {}), []
    if type(value) is not (list if many else dict):
        raise ValueError(f"json: cannot unmarshal {word(value)} into Go value of type {go_type}")
    for element in value if many else ():
        if type(element) is not dict:
            inner = f"{word(element)} into Go value of type {go_type.removeprefix('[]')}"
            raise ValueError(f"json: cannot unmarshal {inner}")
    return value, _duplicates(data) if duplicates and _may_repeat(data, value) else []


def _parse(data: bytes) -> Any:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        ends = not data.strip() or error.msg.startswith("unexpected end")
        raise ValueError("unexpected end of JSON input" if ends else error.msg) from None
    if data.count(b"[") + data.count(b"{") > DEPTH_MAX and is_deep(value):
        raise ValueError(f"nested deeper than {DEPTH_MAX} levels")
    return value


def _malformed(why: str) -> StatusError:
    return errors.bad_request(f"couldn't get version/kind; json parse error: {why}")


def is_deep(value: object) -> bool:
    """Whether a JSON value is nested deeper than DEPTH_MAX."""
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        level = [v for node in level for v in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> Iterable[Any]:
    if type(node) is dict:
        return node.values()
    return node if type(node) is list else ()


def _may_repeat(data: bytes, value: object) -> bool:
    """Whether a key comes twice in some object of `data`, whose value is `value`.

    A key that comes twice is in the text twice and in the value once, which then has fewer texts.
    """
    plain = orjson.dumps(value)
    return not data.startswith(plain) and _quotes(data) != _quotes(plain)


def _quotes(data: bytes) -> int:
    """How many quotation marks of JSON begin or end a text."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return data.count(b'"')


def _duplicates(data: bytes) -> list[str]:
    """Paths of the keys that come twice in one object (`spec.replicas`)."""
    marked: dict[int, tuple[MutableObj, list[str]]] = {}

    def hook(pairs: list[tuple[str, Any]]) -> MutableObj:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            twice = [k for k, _ in pairs if k in seen or seen.add(k)]  # type: ignore[func-returns-value]
            marked[id(made)] = (made, list(dict.fromkeys(twice)))
        return made

    root = json.loads(data, object_pairs_hook=hook)
    return _locate(root, marked)


def _locate(root: object, marked: Mapping[int, tuple[MutableObj, Sequence[str]]]) -> list[str]:
    """The paths of keys in objects `marked` by their id, in the order of the document."""
    found: list[str] = []

    def walk(node: Any, path: str) -> None:
        if type(node) is dict:
            prefix = f"{path}." if path else ""
            found.extend(prefix + key for key in marked.get(id(node), (node, ()))[1])
            for key, value in node.items():
                walk(value, prefix + key)
        elif type(node) is list:
            for index, value in enumerate(node):
                walk(value, f"{path}[{index}]")

    if marked:
        walk(root, "")
    return found


def _yaml(data: bytes) -> tuple[Any, list[str]]:
    """Parse YAML. Its module is imported late: it costs 20 ms that most servers never need."""
    value, twice = importlib.import_module("petset.api.yaml").load(data, DEPTH_MAX)
    return value, twice


def word(value: object) -> str:
    """What Go's decoder calls a JSON value in its errors: `string`, `number`, `object`, ..."""
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "null" if value is None else "object"
