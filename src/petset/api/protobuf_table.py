"""Which field of a type has which number in a protobuf body.

The numbers are generated (tools/gen_protobuf.py, `data/protobuf.json`); what a field holds stands
in the schema. Messages are built when first asked for.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from petset.api import registry, schema


@dataclass(frozen=True, slots=True)
class Slot:
    """A field of a message.

    Attributes:
        name: of the field in JSON.
        value: what it holds.
        unset: whether a zero value stands for no value (the Go field cannot be nil, and JSON
            leaves the zero out). Elsewhere a zero is meant: `replicas: 0`.
    """

    name: str
    value: schema.Value
    unset: bool


@dataclass(frozen=True, slots=True)
class Message:
    """Number -> field, or the message whose members JSON has no level for."""

    slots: "Mapping[int, Slot | Message]"


PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"

ANY_VERSION = ("DeleteOptions",)
"""Kinds that every group version has."""


@functools.cache
def _numbers() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = orjson.loads(schema.read_data("protobuf.json"))["types"]
    return table


@functools.cache
def message_of(name: str) -> Message:
    """The message of the type called `name` (`io.k8s.api.core.v1.Pod`). Raises KeyError."""
    fields = schema.type_of(name).fields
    root: dict[int, Any] = {}
    for field, number in _numbers()[name].items():
        *outer, last = (int(part) for part in number.rstrip("?").split("."))
        level = root
        for part in outer:
            level = level.setdefault(part, Message({})).slots
        level[last] = Slot(field, fields[field].value, number.endswith("?"))
    return Message(root)


@functools.cache
def kinds() -> Mapping[tuple[str, str], str]:
    """(apiVersion, kind) -> type, of everything that can stand alone in a body."""
    packages = {r.api_version: r.schema.rpartition(".")[0] for r in registry.RESOURCES}
    versions = {package: version for version, package in packages.items()}
    found = {("v1", "Status"): f"{schema.META}.Status"}
    for name, numbers in _numbers().items():
        package, _, kind = name.rpartition(".")
        fields = schema.type_of(name).fields
        if package in versions and "kind" in fields and "kind" not in numbers:
            found[versions[package], kind] = name
    return found


def type_for(api_version: str, kind: str) -> str | None:
    """The type of an object that says of itself `api_version` and `kind`."""
    if kind in ANY_VERSION:
        return f"{schema.META}.{kind}"
    return kinds().get((api_version, kind))
