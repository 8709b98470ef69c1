"""OpenAPI v2 as clients that know nothing newer read it: in JSON and in protobuf."""

import gzip
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from petset.api import gnostic, openapi, protobuf_wire, swagger

Json = dict[str, Any]
CORE, META = "io.k8s.api.core.v1", "io.k8s.apimachinery.pkg.apis.meta.v1"
METHODS = ("get", "put", "post", "delete", "patch")


def newer() -> Iterator[Json]:
    for path in openapi.hashes():
        data = openapi.document(path)
        assert data is not None
        yield orjson.loads(data)


@pytest.fixture(scope="module")
def document() -> Json:
    parsed: Json = orjson.loads(gzip.decompress(openapi.version_2("json")[0]))
    return parsed


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def nodes(node: Any, *, data: bool = False) -> Iterator[Json]:
    """All objects in a document; below `properties` names are data."""
    if isinstance(node, dict):
        if not data:
            yield node
        for key, value in node.items():
            yield from nodes(value, data=not data and key == "properties")
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def test_everything_of_the_newer_documents_is_there(document: Json) -> None:
    assert document["swagger"] == "2.0"
    assert document["info"]["title"] == "Kubernetes"
    wanted: dict[tuple[str, str], Json] = {}
    schemas: set[str] = set()
    for one in newer():
        wanted |= {(path, method): o for path, method, o in operations(one)}
        schemas |= set(one["components"]["schemas"])
    found = {(path, method): o for path, method, o in operations(document)}
    assert found.keys() == wanted.keys()
    assert document["definitions"].keys() == schemas
    for key, operation in found.items():
        for name in ("operationId", "x-kubernetes-action", "x-kubernetes-group-version-kind"):
            assert operation.get(name) == wanted[key].get(name)


def test_operations_are_called_as_upstream_calls_them(document: Json) -> None:
    called = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(called)) == len(called)
    assert {
        "listCoreV1PodForAllNamespaces",
        "deleteCoreV1CollectionNamespacedPod",
        "readAppsV1NamespacedStatefulSetScale",
        "replaceCoreV1NamespaceFinalize",
        "connectCoreV1GetNamespacedPodExec",
        "readCoreV1NamespacedPodLog",
        "createRbacAuthorizationV1ClusterRole",
    } <= set(called)


def test_every_reference_leads_somewhere(document: Json) -> None:
    seen = 0
    for node in nodes(document):
        if "$ref" in node:
            _, section, name = node["$ref"].split("/", 2)
            assert name in document[section]
            seen += 1
    assert seen > 1000


def test_nothing_is_left_of_the_newer_form(document: Json) -> None:
    for node in nodes(document):
        assert not {"allOf", "oneOf", "anyOf", "requestBody", "content"} & node.keys()


def test_schemas_keep_what_patches_are_made_with(document: Json) -> None:
    definitions = document["definitions"]
    containers = definitions[f"{CORE}.PodSpec"]["properties"]["containers"]
    assert containers["items"] == {"$ref": f"#/definitions/{CORE}.Container"}
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["x-kubernetes-list-type"] == "map"
    metadata = definitions[f"{CORE}.Pod"]["properties"]["metadata"]
    assert metadata["$ref"] == f"#/definitions/{META}.ObjectMeta"
    assert metadata["description"]
    own = {"group": "", "version": "v1", "kind": "Pod"}
    assert definitions[f"{CORE}.Pod"]["x-kubernetes-group-version-kind"] == [own]


def test_quantities_ports_and_times_are_texts(document: Json) -> None:
    found = {
        name.rpartition(".")[2]: (schema.get("type"), schema.get("format"))
        for name, schema in document["definitions"].items()
    }
    assert found["Quantity"] == ("string", None)
    assert found["IntOrString"] == ("string", "int-or-string")
    assert found["Time"] == ("string", "date-time")


def test_bodies_are_parameters_and_types_stand_in_parameters(document: Json) -> None:
    pod = document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]

    def parameters(holder: Json) -> dict[str, Json]:
        refs = [p["$ref"].rsplit("/", 1)[1] for p in holder["parameters"]]
        return {document["parameters"][r]["name"]: document["parameters"][r] for r in refs}

    put = parameters(pod["put"])
    assert put["body"]["schema"] == {"$ref": f"#/definitions/{CORE}.Pod"}
    assert put["body"]["required"] is True
    assert (put["fieldValidation"]["in"], put["fieldValidation"]["type"]) == ("query", "string")
    assert parameters(pod)["name"]["required"] is True
    assert "required" not in parameters(pod["delete"])["body"]
    assert "application/strategic-merge-patch+json" in pod["patch"]["consumes"]
    assert pod["get"]["responses"]["200"]["schema"] == {"$ref": f"#/definitions/{CORE}.Pod"}


def test_the_tag_is_of_the_contents_and_stays() -> None:
    json, protobuf = openapi.version_2("json"), openapi.version_2("protobuf")
    assert json[1] != protobuf[1]
    assert openapi.version_2("json") == json


# -- protobuf: what is written is read again, by the field names of OpenAPIv2.proto ---------------

TEXT, FLAG, YAML = "text", "flag", "yaml"
Place = tuple[str, Any, str]
"""JSON name, what it holds, and how often: one, many, or map."""


def one(name: str, holds: Any) -> Place:
    return name, holds, "one"


def many(name: str, holds: Any) -> Place:
    return name, holds, "many"


def inside(number: int, holds: Any, often: str = "one") -> Any:
    """A message of one field that JSON has no level for."""
    return {number: ("", holds, often)}


EXTENSION: Place = ("x", {2: ("", TEXT, "yaml")}, "map")
SCHEMA: dict[int, Place] = {}
SCHEMA |= {
    1: one("$ref", TEXT),
    2: one("format", TEXT),
    4: one("description", TEXT),
    19: many("required", TEXT),
    21: one("additionalProperties", inside(1, SCHEMA)),
    22: one("type", inside(1, TEXT)),
    23: one("items", inside(1, SCHEMA)),
    25: one("properties", inside(1, SCHEMA, "map")),
    31: EXTENSION,
}
QUERY = {1: one("required", FLAG), 2: one("in", TEXT), 3: one("description", TEXT)}
QUERY |= {4: one("name", TEXT), 6: one("type", TEXT), 20: one("uniqueItems", FLAG)}
PATH = {1: one("required", FLAG), 2: one("in", TEXT), 3: one("description", TEXT)}
PATH |= {4: one("name", TEXT), 5: one("type", TEXT), 19: one("uniqueItems", FLAG)}
BODY = {
    2: one("name", TEXT),
    3: one("in", TEXT),
    4: one("required", FLAG),
    5: one("schema", SCHEMA),
}
PARAMETER = {1: one("", BODY), 2: one("", {3: one("", QUERY), 4: one("", PATH)})}
REFERENCE = inside(2, {1: one("$ref", TEXT)})
RESPONSE = {1: one("description", TEXT), 2: one("schema", inside(1, SCHEMA))}
OPERATION = {
    1: many("tags", TEXT),
    3: one("description", TEXT),
    5: one("operationId", TEXT),
    6: many("produces", TEXT),
    7: many("consumes", TEXT),
    8: many("parameters", REFERENCE),
    9: one("responses", inside(1, inside(1, RESPONSE), "map")),
    10: many("schemes", TEXT),
    13: EXTENSION,
}
ITEM = {n: one(m, OPERATION) for n, m in ((2, "get"), (3, "put"), (4, "post"), (5, "delete"))}
ITEM |= {8: one("patch", OPERATION), 9: many("parameters", REFERENCE)}
KEY = {1: one("type", TEXT), 2: one("name", TEXT), 3: one("in", TEXT), 4: one("description", TEXT)}
DOCUMENT = {
    1: one("swagger", TEXT),
    2: one("info", {1: one("title", TEXT), 2: one("version", TEXT)}),
    8: one("paths", inside(2, ITEM, "map")),
    9: one("definitions", inside(1, SCHEMA, "map")),
    10: one("parameters", inside(1, PARAMETER, "map")),
    12: many("security", inside(1, inside(1, TEXT, "many"), "map")),
    13: one("securityDefinitions", inside(1, inside(2, KEY), "map")),
}


def read(data: bytes, at: int, end: int, message: dict[int, Place]) -> Any:
    found: Any = [] if [p[2] for p in message.values()] == ["many"] else {}
    for number, _, start, stop in protobuf_wire.fields(data, at, end):
        name, holds, often = message[number]
        if often == "map":
            key, value = entry(data, start, stop, holds)
            found[key] = value
            continue
        value = leaf(data, start, stop, holds)
        if often == "yaml":
            found = orjson.loads(value)
        elif often == "many" and not name:
            found.append(value)
        elif often == "many":
            found.setdefault(name, []).append(value)
        elif name:
            assert name not in found
            found[name] = value
        else:
            found = value
    return found


def leaf(data: bytes, start: int, stop: int, holds: Any) -> Any:
    if holds == FLAG:
        return bool(start)
    return data[start:stop].decode() if holds == TEXT else read(data, start, stop, holds)


def entry(data: bytes, at: int, end: int, holds: Any) -> tuple[str, Any]:
    found = {n: (start, stop) for n, _, start, stop in protobuf_wire.fields(data, at, end)}
    assert found.keys() == {1, 2}
    return data[slice(*found[1])].decode(), leaf(data, *found[2], holds)


def test_protobuf_says_the_same_as_json(document: Json) -> None:
    data = gzip.decompress(openapi.version_2("protobuf")[0])
    found = read(data, 0, len(data), DOCUMENT)
    for item in document["paths"].values():  # a list without elements leaves no trace
        for holder in [item, *(item[m] for m in METHODS if m in item)]:
            if not holder["parameters"]:
                del holder["parameters"]
    for section, value in document.items():
        assert found[section] == value, section
    assert found.keys() == document.keys()


def test_protobuf_refuses_what_it_has_no_field_for() -> None:
    head = {"swagger": "2.0", "info": {"title": "t", "version": "v"}}
    head |= {"security": [], "securityDefinitions": {}}
    with pytest.raises(KeyError):
        gnostic.encode(head, [(swagger.DEFINITIONS, "a", {"maximum": 3})])
