"""OpenAPI v2 as protobuf: messages of the package openapi.v2 (OpenAPIv2.proto of gnostic).

Only what `swagger` makes is known here; anything else raises KeyError. Values of extensions (`x-`)
are YAML texts, which JSON is too.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from petset.api.protobuf_wire import VARINT, piece_field, varint
from petset.api.swagger import DEFINITIONS, PARAMETERS, PATHS, Json, Part

Write = Callable[[int, Any], bytes]
"""From the number of a field and its value in JSON to the field in protobuf, or several."""
Fields = Mapping[str, tuple[int, Write]]


def _text(number: int, value: str) -> bytes:
    return piece_field(number, value.encode())


def _flag(number: int, value: bool) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)


def _each(write: Write) -> Write:
    return lambda number, values: b"".join(write(number, value) for value in values)


def _inside(*numbers: int, write: Write) -> Write:
    """What is wrapped in messages that JSON has no level for; the last number is the innermost."""
    *outer, last = numbers

    def wrapped(number: int, value: Any) -> bytes:
        made = write(last, value)
        for around in reversed(outer):
            made = piece_field(around, made)
        return piece_field(number, made)

    return wrapped


def _named(name: str, value: bytes) -> bytes:
    """One entry of a map."""
    return piece_field(1, _text(1, name) + value)


def _map(write: Write) -> Write:
    """A map: names and values in a message of their own."""
    return lambda number, values: piece_field(
        number, b"".join(_named(name, write(2, value)) for name, value in values.items())
    )


def _message(fields: Fields, extensions: int = 0) -> Write:
    """A message with these fields; what begins with `x-` goes to the field `extensions`."""

    def write(number: int, value: Json) -> bytes:
        made = []
        for key, inner in value.items():
            if extensions and key.startswith("x-"):
                yaml = piece_field(2, orjson.dumps(inner))
                made.append(piece_field(extensions, _text(1, key) + piece_field(2, yaml)))
            else:
                place, how = fields[key]
                made.append(how(place, inner))
        return piece_field(number, b"".join(made))

    return write


_texts = _each(_text)
_SCHEMA: dict[str, tuple[int, Write]] = {
    "$ref": (1, _text),
    "format": (2, _text),
    "description": (4, _text),
    "required": (19, _texts),
    "type": (22, _inside(1, write=_text)),
}
_schema = _message(_SCHEMA, 31)
_SCHEMA |= {
    "additionalProperties": (21, _inside(1, write=_schema)),
    "items": (23, _inside(1, write=_schema)),
    "properties": (25, _map(_schema)),
}
_reference = _message({"$ref": (1, _text)})
_references = _each(_inside(2, write=_reference))
_response = _message({"description": (1, _text), "schema": (2, _inside(1, write=_schema))})
_operation = _message(
    {
        "tags": (1, _texts),
        "description": (3, _text),
        "operationId": (5, _text),
        "produces": (6, _texts),
        "consumes": (7, _texts),
        "parameters": (8, _references),
        "responses": (9, _map(_inside(1, write=_response))),
        "schemes": (10, _texts),
    },
    13,
)
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
_item = _message(
    {**{m: (n, _operation) for m, n in _METHODS.items()}, "parameters": (9, _references)}
)
_PLACED: Fields = {
    "required": (1, _flag),
    "in": (2, _text),
    "description": (3, _text),
    "name": (4, _text),
}
_query = _message({**_PLACED, "type": (6, _text), "uniqueItems": (20, _flag)})
_path = _message({**_PLACED, "type": (5, _text), "uniqueItems": (19, _flag)})
_body = _message(
    {"name": (2, _text), "in": (3, _text), "required": (4, _flag), "schema": (5, _schema)}
)
_PARAMETERS: Mapping[str, Write] = {
    "body": _inside(1, write=_body),
    "query": _inside(2, 3, write=_query),
    "path": _inside(2, 4, write=_path),
}


def _parameter(number: int, value: Json) -> bytes:
    return _PARAMETERS[value["in"]](number, value)


_key = _message(
    {"type": (1, _text), "name": (2, _text), "in": (3, _text), "description": (4, _text)}
)
_HEAD: Fields = {
    "swagger": (1, _text),
    "info": (2, _message({"title": (1, _text), "version": (2, _text)})),
    "security": (12, _each(_map(_inside(1, write=_texts)))),
    "securityDefinitions": (13, _map(_inside(2, write=_key))),
}
_SECTIONS: Mapping[str, tuple[int, int, Write]] = {
    PATHS: (8, 2, _item),
    DEFINITIONS: (9, 1, _schema),
    PARAMETERS: (10, 1, _parameter),
}
"""Number of each section, number of the entries in it, and how values are written."""


def encode(head: Json, parts: Iterable[Part]) -> bytes:
    """The whole document. Raises KeyError for members that are not known here."""
    sections = {name: bytearray() for name in _SECTIONS}  # few large pieces of memory
    for section, name, value in parts:
        _, entry, write = _SECTIONS[section]
        sections[section] += piece_field(entry, _text(1, name) + write(2, value))
    made = [how(number, head[key]) for key, (number, how) in _HEAD.items()]
    made += [piece_field(_SECTIONS[name][0], bytes(all_)) for name, all_ in sections.items()]
    return b"".join(made)
