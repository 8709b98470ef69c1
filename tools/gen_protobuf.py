"""Write src/petset/api/data/protobuf.json: where each field stands in a protobuf body.

Facts come from the Go modules that publish the API (k8s.io/api, k8s.io/apimachinery,
k8s.io/apiextensions-apiserver, k8s.io/kube-aggregator, v0.37.0): the numbers and wire types from
their `generated.proto` files; from the tags of the Go structs beside them the JSON names, which
messages are inlined, and where a zero or empty value means "not set". To get them:

    for m in api apimachinery apiextensions-apiserver kube-aggregator; do
      curl -O https://proxy.golang.org/k8s.io/$m/@v/v0.37.0.zip && unzip -q v0.37.0.zip
    done

Usage: tools/gen_protobuf.py --source DIR [--check]     write, or compare with what is committed
       tools/gen_protobuf.py --check                    compare with types.json alone

The file maps a type of types.json to its fields. A field is the text of its number; `2.1` is field
1 of a message in field 2 whose members JSON has no level for; a final `?` says that a zero value,
or an empty list or map, stands for no value. How a value is written follows from its kind in
types.json (see KINDS below).
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]

DATA = Path(__file__).resolve().parent.parent / "src" / "petset" / "api" / "data"
OUT = DATA / "protobuf.json"
VERSION = "1.37.0"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"

IN_TYPE_META = {"apiVersion", "kind"}
"""Of a type that is a whole object, these travel in the envelope and have no number. In nothing
else do the numbers and types.json differ."""

KINDS = {
    "string": {"string"},
    "bytes": {"bytes"},
    "boolean": {"bool"},
    "int32": {"int32"},
    "int64": {"int64"},
    "double": {"double"},
    "time": {f"{META}.Time"},
    "microtime": {f"{META}.MicroTime"},
    "quantity": {"io.k8s.apimachinery.pkg.api.resource.Quantity"},
    "intorstring": {"io.k8s.apimachinery.pkg.util.intstr.IntOrString"},
    "raw": {"io.k8s.apimachinery.pkg.runtime.RawExtension", f"{META}.FieldsV1"},
}
"""Kind of a value in types.json -> how protobuf types it. Objects are messages of the same name;
a list in a map is a message of its own, with the elements in its field 1."""


class SourceError(Exception):
    """The source says something that this tool does not understand."""


# -- .proto ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProtoField:
    """A field of a message. `label`: optional, repeated or map. `type`: dots in front if full."""

    number: int
    name: str
    label: str
    type: str


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][\w.]*|\.[\w.]+|\d+|[{}\[\]<>=;,()-]')
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


def parse_proto(text: str) -> tuple[str, dict[str, list[ProtoField]]]:
    """The package of a .proto file and its messages."""
    tokens = _TOKEN.findall(_COMMENT.sub(" ", text))
    package, messages, at = "", {}, 0
    while at < len(tokens):
        match tokens[at]:
            case "message":
                end = tokens.index("}", at)
                messages[tokens[at + 1]] = list(_fields(tokens[at + 3 : end]))
                at = end + 1
            case "package":
                package, at = tokens[at + 1], at + 3
            case "syntax" | "import" | "option" | ";":
                at = tokens.index(";", at) + 1
            case word:
                raise SourceError(f"unexpected {word!r} in a .proto file")
    return package, messages


def _fields(tokens: list[str]) -> Iterator[ProtoField]:
    at = 0
    while at < len(tokens):
        end = tokens.index(";", at)
        match tokens[at:end]:
            case ["optional" | "repeated" as label, kind, name, "=", number]:
                yield ProtoField(int(number), name, label, kind)
            case ["map", "<", "string", ",", kind, ">", name, "=", number]:
                yield ProtoField(int(number), name, "map", kind)
            case ["reserved", *_]:
                pass
            case words:
                raise SourceError(f"cannot read {' '.join(words)}")
        at = end + 1


# -- Go structs -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoField:
    """What a struct's tags say of one number.

    Attributes:
        json: its name, "" where JSON has no level for it.
        unset: whether JSON leaves a zero value out though the field cannot be nil.
    """

    json: str
    unset: bool


_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.S | re.M)
_LINE = re.compile(r"^\s*(?:\w+\s+)?([*\w.\[\]]+)\s+`(.*)`", re.M)
_TAG = re.compile(r'(json|protobuf):"([^"]*)"')


def parse_go(text: str) -> dict[str, dict[int, GoField]]:
    """Struct -> number -> what the tags say."""
    found = {}
    for name, body in _STRUCT.findall(text):
        fields = {}
        for kind, tag in _LINE.findall(body):
            tags = dict(_TAG.findall(tag))
            numbers = tags.get("protobuf", "-").split(",")
            if len(numbers) > 1 and "json" in tags:
                json, *options = tags["json"].split(",")
                optional = bool({"omitempty", "omitzero"} & set(options))
                fields[int(numbers[1])] = GoField(json, optional and not kind.startswith("*"))
        found[name] = fields
    return found


# -- both together --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Everything that the modules say: full name -> message, full name -> tags."""

    messages: Mapping[str, list[ProtoField]]
    structs: Mapping[str, Mapping[int, GoField]]


def read_source(folder: Path) -> Source:
    """All stable packages below `folder`. Raises SourceError if there is none."""
    messages: dict[str, list[ProtoField]] = {}
    structs: dict[str, dict[int, GoField]] = {}
    for path in sorted(folder.rglob("generated.proto")):
        package, found = parse_proto(path.read_text())
        prefix = _schema_name(package)
        messages |= {f"{prefix}.{name}": fields for name, fields in found.items()}
        for file in sorted(path.parent.glob("*.go")):
            if not file.name.startswith(("generated", "zz_")):
                go = parse_go(file.read_text())
                structs |= {f"{prefix}.{name}": fields for name, fields in go.items()}
    if not messages:
        raise SourceError(f"no generated.proto below {folder}")
    return Source(messages, structs)


def _schema_name(proto: str) -> str:
    """How types.json calls a package or message."""
    return proto.replace("k8s.io.", "io.k8s.", 1).replace("_", "-")


def make_table(source: Source, types: Mapping[str, Json]) -> Json:
    """Type -> field -> number, for every type of types.json."""
    return {
        name: {
            field: number for field, number, _ in sorted(_members(source, name, ""), key=_in_order)
        }
        for name, entry in sorted(types.items())
        if not entry.get("any")
    }


Member = tuple[str, str, ProtoField]


def _in_order(member: Member) -> list[int]:
    return [int(part) for part in member[1].rstrip("?").split(".")]


def _members(source: Source, name: str, prefix: str) -> Iterator[Member]:
    """JSON name, number and field of everything in a message, inlined messages opened."""
    if name not in source.messages:
        raise SourceError(f"the source has no message {name}")
    for field in source.messages[name]:
        go = source.structs[name].get(field.number)
        if go is None:
            raise SourceError(f"{name}: no struct tag has the number of {field.name}")
        number = f"{prefix}{field.number}"
        if go.json:
            zero = go.unset and (field.label != "optional" or _is_scalar(field.type))
            yield go.json, number + ("?" if zero else ""), field
        else:
            yield from _members(source, _full(field.type, name), f"{number}.")


def _is_scalar(kind: str) -> bool:
    scalar = {"string", "bytes", "bool", "int32", "int64", "double"}
    return kind in scalar or kind.endswith((".Quantity", ".IntOrString"))


def _full(kind: str, message: str) -> str:
    """The name of a field's type in types.json, or of a scalar."""
    if kind.startswith("."):
        return _schema_name(kind[1:])
    if kind[0].islower():
        return kind
    return f"{message.rpartition('.')[0]}.{kind}"


# -- comparing ------------------------------------------------------------------------------------


def differences(table: Mapping[str, Mapping[str, str]], types: Mapping[str, Json]) -> list[str]:
    """Where the numbers and types.json do not speak of the same fields, and nothing explains it."""
    wrong = [f"{name}: only in protobuf.json" for name in table.keys() - types.keys()]
    for name, entry in types.items():
        if entry.get("any"):
            continue
        if name not in table:
            wrong.append(f"{name}: only in types.json")
            continue
        known, numbers = set(entry.get("f", ())), table[name]
        missing = known - numbers.keys()
        if missing >= IN_TYPE_META:
            missing -= IN_TYPE_META
        wrong += [f"{name}.{field}: has no number" for field in missing]
        wrong += [f"{name}.{field}: not in types.json" for field in numbers.keys() - known]
        wrong += _clashes(name, numbers)
    return sorted(wrong)


def _clashes(name: str, numbers: Mapping[str, str]) -> list[str]:
    plain = [n.rstrip("?") for n in numbers.values()]
    bad = [n for n in plain if not re.fullmatch(r"[1-9]\d*(\.[1-9]\d*)*", n)]
    twice = {n for n in plain if plain.count(n) > 1}
    outer = {n for n in plain if any(other.startswith(f"{n}.") for other in plain)}
    return [f"{name}: number {n} cannot be" for n in sorted({*bad, *twice, *outer})]


def mistyped(source: Source, types: Mapping[str, Json]) -> list[str]:
    """Fields whose wire type is not the one that their kind in types.json stands for."""
    wrong = []
    for name, entry in types.items():
        for field, number, proto in () if entry.get("any") else _members(source, name, ""):
            spec = entry["f"].get(field)
            kind = spec if isinstance(spec, str) else (spec or [None])[0]
            owner = _owner(source, name, number)
            if kind is not None and not _fits(source, kind, proto, owner):
                wrong.append(f"{name}.{field}: {kind} is {proto.label} {proto.type}")
    return wrong


def _owner(source: Source, name: str, number: str) -> str:
    """The message in which a field stands."""
    *outer, _ = number.rstrip("?").split(".")
    for part in outer:
        field = next(f for f in source.messages[name] if f.number == int(part))
        name = _full(field.type, name)
    return name


def _fits(source: Source, kind: str, proto: ProtoField, owner: str) -> bool:
    label = {"[": "repeated", "{": "map"}.get(kind[0], "optional")
    if label != proto.label:
        return False
    item, full = kind.lstrip("[{"), _full(proto.type, owner)
    if kind.startswith("{["):
        (inner,) = source.messages[full]
        return (inner.number, inner.label, inner.type) == (1, "repeated", item)
    return full == item[1:] if item.startswith("@") else full in KINDS[item]


# -- the command ----------------------------------------------------------------------------------


def encode(table: Json) -> bytes:
    """Compact JSON with a final newline."""
    return orjson.dumps({"version": VERSION, "types": table}) + b"\n"


def problems(source: Source | None, committed: bytes | None) -> list[str]:
    """What is wrong with the committed file."""
    types = read_types()
    if committed is None:
        return [f"{OUT.name} is not there"]
    found = differences(orjson.loads(committed)["types"], types)
    if source is not None and encode(make_table(source, types)) != committed:
        found.append(f"differs: {OUT.name}")
    return found


def read_types() -> dict[str, Json]:
    """The types of types.json."""
    types: dict[str, Json] = orjson.loads((DATA / "types.json").read_bytes())["types"]
    return types


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--source", type=Path, help="folder with the unpacked Go modules")
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args(arguments)
    if options.source is None and not options.check:
        parser.error("--source is needed to write")
    source = read_source(options.source) if options.source else None
    wrong = mistyped(source, read_types()) if source else []
    if source and not options.check:
        OUT.write_bytes(encode(make_table(source, read_types())))
    wrong += problems(source, OUT.read_bytes() if OUT.is_file() else None)
    for text in wrong:
        print(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
