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
        unset: whether a zero value, or an empty list or map, stands for no value (the Go field is
            no pointer, and JSON leaves the zero out). Elsewhere it is meant: `replicas: 0`.
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


_STRUCTS = frozenset({"quantity", "intorstring"})
"""Kinds that are structs in Go, which JSON never leaves out."""

_HEARD = frozenset({"managedFields"})
"""Fields of which an empty list, though never stored, asks for something."""


@functools.cache
def unset(name: str) -> frozenset[str]:
    """The fields of a type that JSON leaves out when they are zero, or an empty list or map."""
    fields = schema.type_of(name).fields
    marked = {k for k, number in _numbers().get(name, {}).items() if number.endswith("?")}
    return frozenset(k for k in marked - _HEARD if fields[k].kind not in _STRUCTS)


_TEXT, _BOOLEAN = schema.Value("string"), schema.Value("boolean")


def _typed(kind: str) -> schema.Value:
    return schema.Value("object", f"{schema.META}.{kind}")


def _listed(item: schema.Value) -> schema.Value:
    return schema.Value("list", item=item)


def _by_hand(**fields: schema.Value) -> Message:
    """A message whose fields are numbered as they stand here."""
    return Message({n: Slot(k, v, False) for n, (k, v) in enumerate(fields.items(), 1)})


_ANSWERED = {
    "PartialObjectMetadata": _by_hand(metadata=_typed("ObjectMeta")),
    "PartialObjectMetadataList": _by_hand(
        metadata=_typed("ListMeta"), items=_listed(_typed("PartialObjectMetadata"))
    ),
    "APIVersions": _by_hand(
        versions=_listed(_TEXT),
        serverAddressByClientCIDRs=_listed(_typed("ServerAddressByClientCIDR")),
    ),
    "APIGroupList": _by_hand(groups=_listed(_typed("APIGroup"))),
    "APIGroup": _by_hand(
        name=_TEXT,
        versions=_listed(_typed("GroupVersionForDiscovery")),
        preferredVersion=_typed("GroupVersionForDiscovery"),
        serverAddressByClientCIDRs=_listed(_typed("ServerAddressByClientCIDR")),
    ),
    "GroupVersionForDiscovery": _by_hand(groupVersion=_TEXT, version=_TEXT),
    "ServerAddressByClientCIDR": _by_hand(clientCIDR=_TEXT, serverAddress=_TEXT),
    "APIResourceList": _by_hand(groupVersion=_TEXT, resources=_listed(_typed("APIResource"))),
    "APIResource": Message(
        {
            1: Slot("name", _TEXT, False),
            2: Slot("namespaced", _BOOLEAN, False),
            3: Slot("kind", _TEXT, False),
            4: Message({1: Slot("verbs", _listed(_TEXT), False)}),
            5: Slot("shortNames", _listed(_TEXT), False),
            6: Slot("singularName", _TEXT, False),
            7: Slot("categories", _listed(_TEXT), False),
            8: Slot("group", _TEXT, False),
            9: Slot("version", _TEXT, False),
            10: Slot("storageVersionHash", _TEXT, False),
        }
    ),
}
"""Types that are answered but in no body of a request, and not in types.json."""


@functools.cache
def message_of(name: str) -> Message:
    """The message of the type called `name` (`io.k8s.api.core.v1.Pod`). Raises KeyError."""
    package, _, kind = name.rpartition(".")
    if package == schema.META and kind in _ANSWERED:
        return _ANSWERED[kind]
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


def answered_type(api_version: str, kind: str) -> str | None:
    """As `type_for`, also for what is only in answers: discovery, metadata without the rest."""
    group = "meta.k8s.io/" if kind.startswith("Partial") else "v1"
    if kind in _ANSWERED and api_version.startswith(group):
        return f"{schema.META}.{kind}"
    return type_for(api_version, kind)
