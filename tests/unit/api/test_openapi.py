"""OpenAPI v3 documents as kubectl reads them."""

import gzip
from typing import Any

import orjson
import pytest

from petset.api import openapi, registry


def document(path: str) -> dict[str, Any]:
    data = openapi.document(path)
    assert data is not None
    parsed: dict[str, Any] = orjson.loads(data)
    return parsed


def test_index_lists_every_document_with_a_hash() -> None:
    body, etag = openapi.index()
    paths = orjson.loads(body)["paths"]
    expected = {
        f"apis/{r.api_version}" if r.group else f"api/{r.version}" for r in registry.RESOURCES
    }
    groups = {f"apis/{r.group}" for r in registry.RESOURCES if r.group}
    assert set(paths) == expected | groups | {"version", "api", "apis"}
    url = paths["apis/apps/v1"]["serverRelativeURL"]
    assert url == f"/openapi/v3/apis/apps/v1?hash={openapi.etag('apis/apps/v1')[1:-1]}"
    assert etag.startswith('"')


def test_compressed_and_plain_form_are_the_same_document() -> None:
    data = openapi.compressed("api/v1")
    assert data is not None
    assert gzip.decompress(data) == openapi.document("api/v1")
    assert openapi.compressed("apis/nope/v1") is None
    assert openapi.document("../../x") is None


@pytest.mark.parametrize("path", sorted(openapi.hashes()))
def test_every_reference_leads_somewhere(path: str) -> None:
    parsed = document(path)
    schemas = parsed["components"]["schemas"]

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                assert reference.rsplit("/", 1)[1] in schemas
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(parsed)


@pytest.mark.parametrize("path", sorted(openapi.hashes()))
def test_every_patch_tells_of_field_validation_and_the_four_types(path: str) -> None:
    parsed = document(path)
    operations = [
        p["patch"] for p in parsed["paths"].values() if "requestBody" in p.get("patch", {})
    ]
    for operation in operations:
        assert "fieldValidation" in [p["name"] for p in operation["parameters"]]
        assert set(operation["requestBody"]["content"]) == {
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        }
        kind = operation["x-kubernetes-group-version-kind"]
        schemas = parsed["components"]["schemas"].values()
        assert any(kind in s.get("x-kubernetes-group-version-kind", ()) for s in schemas)


def test_every_path_that_lists_others_is_documented() -> None:
    found = {
        path.rstrip("/"): item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        for root in openapi.hashes()
        for path, item in document(root)["paths"].items()
        if path.endswith("/")
    }
    names = {path: schema["$ref"].rpartition(".")[2] for path, schema in found.items()}
    assert {p: names[p] for p in ("/version", "/api", "/apis", "/apis/apps")} == {
        "/version": "Info",
        "/api": "APIVersions",
        "/apis": "APIGroupList",
        "/apis/apps": "APIGroup",
    }
    versions = {r.api_version if r.group else r.version for r in registry.RESOURCES}
    roots = {f"/apis/{v}" if "/" in v else f"/api/{v}" for v in versions}
    assert {path for path, name in names.items() if name == "APIResourceList"} == roots


def test_every_resource_with_patch_has_its_path() -> None:
    for resource in registry.RESOURCES:
        root = f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"
        path = resource.path("{namespace}", "{name}")
        assert ("patch" in document(root)["paths"].get(path, {})) is ("patch" in resource.verbs)


def test_schemas_keep_descriptions_and_merge_keys() -> None:
    schemas = document("api/v1")["components"]["schemas"]
    spec = schemas["io.k8s.api.core.v1.PodSpec"]
    containers = spec["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["type"] == "array"
    assert containers["description"]
    assert "containers" in spec["required"]
    quantity = schemas["io.k8s.apimachinery.pkg.api.resource.Quantity"]
    assert {k["type"] for k in quantity["oneOf"]} == {"string", "number"}
