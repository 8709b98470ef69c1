"""The types of the API: fields, kinds of values, list and merge keys.

The table is generated (tools/gen_schema.py) from Kubernetes' published definitions and shipped in
`data/types.json`. Types are built when first asked for.
"""

import functools
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

META = "io.k8s.apimachinery.pkg.apis.meta.v1"


def read_data(path: str) -> bytes:
    """Contents of a file of the generated data folder. The only place in this room that reads."""
    data = pkgutil.get_data("petset.api", f"data/{path}")
    assert data is not None, path
    return data


@dataclass(frozen=True, slots=True)
class Value:
    """What a place in an object holds.

    Attributes:
        kind: object, list, map, or a scalar: string, bytes, boolean, int32, int64, double, time,
            microtime, quantity, intorstring; raw (any object), any (any JSON).
        type: the schema name, of objects only.
        item: of lists and maps, what they hold.
    """

    kind: str
    type: str = ""
    item: "Value | None" = None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a type.

    Attributes:
        value: what it holds.
        list_type: atomic, set or map as declared, "" where nothing is said.
        keys: of map lists, the fields that identify an element (server-side apply).
        strategies: patch strategies: merge, replace, retainKeys.
        merge_key: the field that identifies an element in a strategic merge patch.
        map_type: atomic or granular as declared on the field, "" where nothing is said.
        required: whether upstream says that it must be there.
    """

    value: Value
    list_type: str = ""
    keys: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    merge_key: str = ""
    map_type: str = ""
    required: bool = False

    @property
    def kind(self) -> str:
        """What it holds, in one word."""
        return self.value.kind


@dataclass(frozen=True, slots=True)
class Type:
    """A named type.

    Attributes:
        name: `io.k8s.api.core.v1.Pod`.
        fields: by JSON name.
        atomic: whether server-side apply takes it as one value (x-kubernetes-map-type).
        any: whether it may hold any JSON at all (JSONSchemaPropsOrBool and its like).
    """

    name: str
    fields: Mapping[str, Field]
    atomic: bool = False
    any: bool = False

    @property
    def short_name(self) -> str:
        """The name without its package: `Pod`."""
        return self.name.rpartition(".")[2]


@functools.cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = orjson.loads(read_data("types.json"))
    return table


def version() -> str:
    """The Kubernetes version that the table describes: `1.37.0`."""
    return str(_table()["version"])


def names() -> list[str]:
    """The names of all types, sorted."""
    return sorted(_table()["types"])


@functools.cache
def type_of(name: str) -> Type:
    """The type called `name` (`io.k8s.api.core.v1.Pod`). Raises KeyError."""
    entry = _table()["types"][name]
    must = frozenset(entry.get("r", ()))
    fields = {k: _field(spec, k in must) for k, spec in entry.get("f", {}).items()}
    return Type(name, fields, entry.get("m") == "atomic", bool(entry.get("any")))


def _field(spec: Any, required: bool) -> Field:
    if isinstance(spec, str):
        return Field(_value(spec), required=required)
    text, facts = spec
    return Field(
        _value(text),
        list_type=facts.get("lt", ""),
        keys=tuple(facts.get("k", ())),
        strategies=tuple(facts["ps"].split(",")) if "ps" in facts else (),
        merge_key=facts.get("pk", ""),
        map_type=facts.get("mt", ""),
        required=required,
    )


@functools.cache
def _value(text: str) -> Value:
    match text[0]:
        case "[":
            return Value("list", item=_value(text[1:]))
        case "{":
            return Value("map", item=_value(text[1:]))
        case "@":
            name = text[1:]
            return Value("any" if _table()["types"][name].get("any") else "object", type=name)
        case _:
            return Value(text)
