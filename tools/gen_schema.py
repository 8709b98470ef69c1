"""Write the schema data of src/petset/api/data from two pinned packages.

Facts come from kubernetes-validate (types, formats, list and merge keys, descriptions) and
lightkube-models (resources, verbs, subresources). What neither has (short names, categories,
connect subresources) is written down here. Only stable group versions are taken; alpha and beta
ones are left out.

Usage: tools/gen_schema.py [--check]. With --check nothing is written; the exit status is
1 if the committed files differ from what would be written.
"""

import argparse
import ast
import gzip
import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script

from tools import gen_openapi

Json = dict[str, Any]

VERSION = "1.37.0"
OUT = Path(__file__).resolve().parent.parent / "src" / "petset" / "api" / "data"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
STABLE = re.compile(r"v\d+")

SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
    f"{META}.Time": "time",
    f"{META}.MicroTime": "microtime",
    f"{META}.FieldsV1": "raw",
    f"{META}.Patch": "raw",
}

SHORT_NAMES = {
    "": "componentstatuses:cs configmaps:cm endpoints:ep events:ev limitranges:limits "
    "namespaces:ns nodes:no persistentvolumeclaims:pvc persistentvolumes:pv pods:po "
    "replicationcontrollers:rc resourcequotas:quota serviceaccounts:sa services:svc",
    "apps": "daemonsets:ds deployments:deploy replicasets:rs statefulsets:sts",
    "autoscaling": "horizontalpodautoscalers:hpa",
    "batch": "cronjobs:cj",
    "certificates.k8s.io": "certificatesigningrequests:csr",
    "events.k8s.io": "events:ev",
    "networking.k8s.io": "ingresses:ing ipaddresses:ip networkpolicies:netpol",
    "policy": "poddisruptionbudgets:pdb",
    "scheduling.k8s.io": "priorityclasses:pc",
    "storage.k8s.io": "storageclasses:sc volumeattributesclasses:vac",
    "apiextensions.k8s.io": "customresourcedefinitions:crd,crds",
}
ALL = {
    "": {"pods", "services", "replicationcontrollers"},
    "apps": {"daemonsets", "deployments", "replicasets", "statefulsets"},
    "autoscaling": {"horizontalpodautoscalers"},
    "batch": {"cronjobs", "jobs"},
}
EXTENSIONS = {"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"}

PROXY = ("create", "delete", "get", "patch", "update")
STREAM = ("create", "get")
CONNECT = {
    "pods": (
        ("attach", "PodAttachOptions", STREAM),
        ("exec", "PodExecOptions", STREAM),
        ("portforward", "PodPortForwardOptions", STREAM),
        ("proxy", "PodProxyOptions", PROXY),
    ),
    "services": (("proxy", "ServiceProxyOptions", PROXY),),
    "nodes": (("proxy", "NodeProxyOptions", PROXY),),
}
VERBS = {"post": "create", "put": "update", "global_list": "list", "global_watch": "watch"}
FIXED_VERBS = {"componentstatuses": ["get", "list"]}
"""No watch upstream, though its paths are documented."""

ORDER = [
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
    "storagemigration.k8s.io",
]


# -- sources --------------------------------------------------------------------------------------


def package(name: str) -> Path:
    """The folder of an installed package, without importing what is inside."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} is not installed"
    assert spec.submodule_search_locations, name
    return Path(next(iter(spec.submodule_search_locations)))


def read_definitions() -> dict[str, Json]:
    """Schema name -> definition, as kubernetes-validate has it."""
    folder = package("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}-local"
    found: dict[str, Json] = orjson.loads((folder / "_definitions.json").read_bytes())["$defs"]
    return found


def read_api_infos() -> Iterator[Json]:
    """What lightkube-models says of each resource and subresource, read from its syntax."""
    for path in sorted((package("lightkube") / "resources").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                yield from _api_info(node)


def _api_info(node: ast.ClassDef) -> Iterator[Json]:
    for part in node.body:
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Call):
            info: Json = {"parent": None, "action": ""}
            for keyword in part.value.keywords:
                value = keyword.value
                args = value.args if isinstance(value, ast.Call) else None
                assert keyword.arg is not None
                info[keyword.arg] = (
                    tuple(ast.literal_eval(a) for a in args) if args else ast.literal_eval(value)
                )
            base = node.bases[0]
            assert isinstance(base, ast.Attribute), node.name
            yield {**info, "namespaced": base.attr.startswith("Namespaced")}


# -- resources ------------------------------------------------------------------------------------


def make_resources(infos: Iterable[Json], names: gen_openapi.Names) -> list[Json]:
    """All stable resources with their subresources, in discovery order."""
    found: dict[tuple[str, str, str], Json] = {}
    subresources: list[tuple[tuple[str, str, str], Json]] = []
    for info in infos:
        group, version, kind = info["parent"] or info["resource"]
        if not STABLE.fullmatch(version):
            continue
        key = (group, version, info["plural"])
        if info["action"]:
            subresources.append((key, _subresource(info)))
        else:
            found[key] = _resource(info, names[group, version, kind])
    for key, subresource in subresources:
        found[key]["subresources"].append(subresource)
    for resource in found.values():
        resource["subresources"].sort(key=lambda s: s["name"])
    return sorted(found.values(), key=_place)


def _verbs(info: Json) -> list[str]:
    return sorted({VERBS.get(v, v) for v in info["verbs"]})


def _resource(info: Json, schema: str) -> Json:
    group, version, kind = info["resource"]
    plural = info["plural"]
    short = dict(p.split(":") for p in SHORT_NAMES.get(group, "").split()).get(plural, "")
    everything = ["all"] if plural in ALL.get(group, ()) else []
    connect = CONNECT.get(plural, ()) if not group else ()
    return {
        "group": group,
        "version": version,
        "plural": plural,
        "singular": kind.lower(),
        "kind": kind,
        "namespaced": info["namespaced"],
        "schema": schema,
        "verbs": FIXED_VERBS.get(plural) or _verbs(info),
        "short_names": short.split(",") if short else [],
        "categories": ["api-extensions"] if group in EXTENSIONS else everything,
        "subresources": [
            {"name": name, "kind": what, "group": "", "version": "v1", "verbs": list(verbs)}
            for name, what, verbs in connect
        ],
    }


def _subresource(info: Json) -> Json:
    group, version, kind = info["resource"]
    return {
        "name": info["action"],
        "kind": kind,
        "group": group,
        "version": version,
        "verbs": _verbs(info),
    }


def _place(resource: Json) -> tuple[int, int, str]:
    """Groups as upstream orders them, newest stable version first, then by name."""
    group = resource["group"]
    place = ORDER.index(group) + 1 if group in ORDER else len(ORDER) + 1
    return (place if group else 0), -int(resource["version"][1:]), resource["plural"]


# -- types ----------------------------------------------------------------------------------------


def make_types(definitions: Mapping[str, Json], roots: Iterable[str]) -> Json:
    """The table for decoding, merging and pruning.

    A type is `{"f": {field: spec}, "r": [required], "m": map type}`. A spec is a text, or a list
    of that text and the facts that differ from the plain case: `lt` list type, `k` list keys,
    `ps` patch strategies, `pk` patch merge key, `mt` map type. The text is a scalar's name, or
    `@Type`, or `[` + text for a list, or `{` + text for a map.
    """
    types: Json = {}
    for name in closure(definitions, roots):
        if name in SPECIAL:
            continue
        definition = definitions[name]
        if "type" not in definition:
            types[name] = {"any": True}
            continue
        entry: Json = {"f": {k: _spec(v) for k, v in definition.get("properties", {}).items()}}
        if definition.get("required"):
            entry["r"] = definition["required"]
        if "x-kubernetes-map-type" in definition:
            entry["m"] = definition["x-kubernetes-map-type"]
        types[name] = entry
    return types


FACTS = {
    "x-kubernetes-list-type": "lt",
    "x-kubernetes-list-map-keys": "k",
    "x-kubernetes-patch-strategy": "ps",
    "x-kubernetes-patch-merge-key": "pk",
    "x-kubernetes-map-type": "mt",
}


def _spec(field: Json) -> Any:
    facts = {short: field[name] for name, short in FACTS.items() if name in field}
    text = _kind(field)
    return [text, facts] if facts else text


def _kind(field: Json) -> str:
    if "$ref" in field:
        name = field["$ref"].removeprefix("#/$defs/")
        return SPECIAL.get(name) or f"@{name}"
    kind = gen_openapi.plain_type(field)
    if kind == "array":
        return "[" + _kind(field["items"])
    if kind == "object":
        return "{" + _kind(field["additionalProperties"])
    return {"byte": "bytes", None: kind}.get(field.get("format"), field.get("format")) or kind


def closure(definitions: Mapping[str, Json], roots: Iterable[str]) -> list[str]:
    """`roots` and every type that they refer to, sorted."""
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += gen_openapi.references(definitions[name])
    return sorted(seen)


# -- output ---------------------------------------------------------------------------------------


def encode(value: object, *, sort: bool = True) -> bytes:
    """Compact JSON with a final newline."""
    return orjson.dumps(value, option=(orjson.OPT_SORT_KEYS if sort else 0)) + b"\n"


def compress(data: bytes) -> bytes:
    """Gzip without time or name, so that equal input gives equal output."""
    return gzip.compress(data, compresslevel=9, mtime=0)


def make_files() -> dict[str, bytes]:
    """Every generated file: path below the data folder -> its bytes (documents uncompressed)."""
    definitions = read_definitions()
    names = {
        (g["group"], g["version"], g["kind"]): name
        for name, definition in definitions.items()
        for g in definition.get("x-kubernetes-group-version-kind", ())
    }
    resources = make_resources(read_api_infos(), names)
    roots = {names[key] for r in resources for key in kinds_of(r) if key in names}
    roots |= {f"{META}.{k}" for k in ("DeleteOptions", "Status", "WatchEvent")}
    files = {
        "resources.json": json.dumps(resources, indent=1).encode() + b"\n",
        "types.json": encode({"version": VERSION, "types": make_types(definitions, roots)}),
    }
    index = {}
    for path, document in gen_openapi.make_documents(definitions, names, resources):
        data = encode(document, sort=False)
        files[f"openapi/{path.replace('/', '_')}.json.gz"] = data
        index[path] = hashlib.sha256(data).hexdigest()[:32].upper()
    files["openapi/index.json"] = encode(index, sort=False)
    return files


def kinds_of(resource: Json) -> Iterator[tuple[str, str, str]]:
    """Group, version and kind of everything that a resource sends or takes."""
    yield resource["group"], resource["version"], resource["kind"]
    yield resource["group"], resource["version"], f"{resource['kind']}List"
    for subresource in resource["subresources"]:
        yield subresource["group"], subresource["version"], subresource["kind"]


OTHERS = {"protobuf.json"}
"""Files of the data folder that another generator writes (tools/gen_protobuf.py)."""


def differing(files: Mapping[str, bytes]) -> list[str]:
    """Paths whose committed contents are not `files` (documents compared uncompressed)."""
    present = {str(p.relative_to(OUT)) for p in OUT.rglob("*") if p.is_file()} - OTHERS
    wrong = sorted(present ^ files.keys())
    for path in sorted(present & files.keys()):
        data = (OUT / path).read_bytes()
        if (gzip.decompress(data) if path.endswith(".gz") else data) != files[path]:
            wrong.append(path)
    return wrong


def write(files: Mapping[str, bytes]) -> None:
    """Replace the data folder's contents."""
    for path in differing(files):
        target = OUT / path
        if path not in files:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(compress(files[path]) if path.endswith(".gz") else files[path])


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args(arguments)
    files = make_files()
    wrong = differing(files)
    for path in wrong:
        print(f"{'differs' if options.check else 'writing'}: {path}")
    if options.check:
        return 1 if wrong else 0
    write(files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
