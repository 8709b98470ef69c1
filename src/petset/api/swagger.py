"""OpenAPI v2 (Swagger 2.0): one document about everything, made from the documents of OpenAPI v3.

It is made in parts, so that no more than one document of v3 is in memory as objects at a time.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

Json = dict[str, Any]
Part = tuple[str, str, Json]
"""Section (PATHS, PARAMETERS, DEFINITIONS), name and value."""

PATHS, PARAMETERS, DEFINITIONS = "paths", "parameters", "definitions"
PRODUCED = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
ANY = "*/*"
_SECURITY = {
    "securityDefinitions": {
        "BearerToken": {
            "description": "Bearer Token authentication",
            "in": "header",
            "name": "authorization",
            "type": "apiKey",
        }
    },
    "security": [{"BearerToken": []}],
}


def head(document: bytes) -> Json:
    """What the whole document says of itself; a document of v3 has the title."""
    return {"swagger": "2.0", "info": orjson.loads(document)["info"], **_SECURITY}


def parts(documents: Iterable[bytes]) -> Iterator[Part]:
    """All paths, definitions and parameters of some documents of v3, each once."""
    parameters = Parameters()
    seen: set[str] = set()
    for data in documents:
        document = orjson.loads(data)
        for path, item in document["paths"].items():
            yield PATHS, path, _item(item, parameters)
        for name, schema in document["components"]["schemas"].items():
            if name not in seen:
                seen.add(name)
                yield DEFINITIONS, name, convert(schema)
    for name, parameter in parameters.named.items():
        yield PARAMETERS, name, parameter


def encode(head: Json, parts: Iterable[Part]) -> bytes:
    """The whole document as JSON."""
    sections = {name: bytearray() for name in (PATHS, DEFINITIONS, PARAMETERS)}
    for section, name, value in parts:
        sections[section] += orjson.dumps({name: value})[1:-1] + b","
    made = [orjson.dumps(head)[1:-1]]
    made += [b'"%b":{%b}' % (name.encode(), bytes(all_[:-1])) for name, all_ in sections.items()]
    return b"{%b}" % b",".join(made)


def convert(schema: Json) -> Json:
    """A schema in the form of Swagger 2.0, which has references beside descriptions, no choices."""
    converted: Json = {}
    for key, value in schema.items():
        if key == "allOf":
            (reference,) = value
            converted["$ref"] = _link(reference["$ref"])
        elif key == "oneOf":  # a quantity, a port: texts, of which some look like numbers
            converted["type"] = "string"
        elif key == "$ref":
            converted[key] = _link(value)
        elif key == "properties":
            converted[key] = {name: convert(inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties"):
            converted[key] = convert(value)
        else:
            converted[key] = value
    return converted


def _link(reference: str) -> str:
    name = reference.removeprefix("#/components/schemas/")
    return f"#/definitions/{name}"


class Parameters:
    """The parameters of operations, each written once and referred to by name.

    Attributes:
        named: by name, which carries a checksum of the contents.
    """

    def __init__(self) -> None:
        self.named: dict[str, Json] = {}

    def refer(self, parameter: Json) -> Json:
        """A reference to `parameter`."""
        checksum = zlib.crc32(orjson.dumps(parameter, option=orjson.OPT_SORT_KEYS))
        name = f"{parameter['name']}-{checksum:08x}"
        self.named[name] = parameter
        return {"$ref": f"#/parameters/{name}"}


def _item(item: Json, parameters: Parameters) -> Json:
    converted = {
        method: _operation(operation, parameters)
        for method, operation in item.items()
        if method != "parameters"
    }
    return {**converted, "parameters": _flat(item.get("parameters", ()), parameters)}


def _operation(operation: Json, parameters: Parameters) -> Json:
    action, sent = operation.get("x-kubernetes-action"), operation.get("requestBody", {})
    converted: Json = {
        **operation,
        "consumes": sorted(sent["content"]) if action == "patch" else [ANY],
        "produces": _produced(operation),
        "schemes": ["https"],
        "parameters": _flat(operation.get("parameters", ()), parameters),
        "responses": {code: _response(r) for code, r in operation["responses"].items()},
    }
    converted.pop("requestBody", None)
    if sent:
        body: Json = {"in": "body", "name": "body", "schema": _content(sent)}
        if sent.get("required"):
            body["required"] = True
        converted["parameters"].append(parameters.refer(body))
    return converted


def _produced(operation: Json) -> list[str]:
    """Media types of the answer: v3 names JSON alone where others are to be had too."""
    documented = operation["responses"]["200"].get("content", {})
    return [ANY] if ANY in documented else PRODUCED


def _flat(given: Iterable[Json], parameters: Parameters) -> list[Json]:
    """References to parameters, whose types stand in them and not in a schema."""
    found = []
    for parameter in given:
        flat = {k: v for k, v in parameter.items() if k != "schema"}
        found.append(parameters.refer({**flat, **parameter["schema"]}))
    return found


def _response(response: Json) -> Json:
    converted: Json = {"description": response["description"]}
    if "content" in response:
        converted["schema"] = _content(response)
    return converted


def _content(holder: Mapping[str, Any]) -> Json:
    """The schema of a body, which is the same for all media types."""
    return convert(next(iter(holder["content"].values()))["schema"])
