"""Discovery documents."""

from typing import Any

import orjson

from petset.api import discovery, registry


def listed(group: str, version: str) -> dict[str, Any]:
    document = discovery.resources(group, version)
    assert document is not None
    return {entry["name"]: entry for entry in document["resources"]}


def test_legacy_core_document_has_the_shape_that_drain_reads() -> None:
    entries = listed("", "v1")
    assert entries["pods"] == {
        "name": "pods",
        "singularName": "pod",
        "namespaced": True,
        "kind": "Pod",
        "verbs": [
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ],
        "shortNames": ["po"],
        "categories": ["all"],
        "storageVersionHash": "xPOwRZ+Yhw8=",
    }
    assert entries["pods/eviction"] == {
        "name": "pods/eviction",
        "singularName": "",
        "namespaced": True,
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
        "verbs": ["create"],
    }
    assert entries["pods/log"] == {
        "name": "pods/log",
        "singularName": "",
        "namespaced": True,
        "kind": "Pod",
        "verbs": ["get"],
    }
    assert entries["pods/portforward"]["verbs"] == ["create", "get"]


def test_scale_is_of_its_own_group_everywhere() -> None:
    scale = listed("apps", "v1")["statefulsets/scale"]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


def test_versions_of_one_kind_share_the_hash_of_what_is_stored() -> None:
    name = "horizontalpodautoscalers"
    old, new = listed("autoscaling", "v1")[name], listed("autoscaling", "v2")[name]
    assert old["storageVersionHash"] == new["storageVersionHash"]
    assert "storageVersionHash" not in listed("authentication.k8s.io", "v1")["tokenreviews"]


def test_groups_name_their_preferred_version_first() -> None:
    group = discovery.group("autoscaling")
    assert group == {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "autoscaling",
        "versions": [
            {"groupVersion": "autoscaling/v2", "version": "v2"},
            {"groupVersion": "autoscaling/v1", "version": "v1"},
        ],
        "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"},
    }
    names = [g["name"] for g in discovery.groups()["groups"]]
    assert "" not in names
    assert "apps" in names
    assert discovery.api_versions("h:1")["versions"] == ["v1"]


def test_what_is_not_served_has_no_document() -> None:
    assert discovery.group("nope") is None
    assert discovery.group("") is None
    assert discovery.resources("apps", "v1beta1") is None


def test_aggregated_form_tells_the_same_as_the_legacy_one() -> None:
    items = discovery.aggregated("api")["items"] + discovery.aggregated("apis")["items"]
    seen = set()
    for item in items:
        for version in item["versions"]:
            legacy = listed(item["metadata"]["name"], version["version"])
            for resource in version["resources"]:
                seen.add(resource["resource"])
                entry = legacy.pop(resource["resource"])
                assert entry["verbs"] == resource["verbs"]
                assert entry["singularName"] == resource["singularResource"]
                for sub in resource.get("subresources", ()):
                    entry = legacy.pop(f"{resource['resource']}/{sub['subresource']}")
                    assert entry["kind"] == sub["responseKind"]["kind"]
            assert not legacy
    assert seen == {r.plural for r in registry.RESOURCES}


def test_aggregated_form_carries_its_version_and_a_stable_etag() -> None:
    data, etag = discovery.aggregated_bytes("apis", "v2beta1")
    assert orjson.loads(data)["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    assert etag == discovery.aggregated_bytes("apis", "v2beta1")[1]
    assert etag != discovery.aggregated_bytes("apis", "v2")[1]
    assert etag.startswith('"')
    core = discovery.aggregated("api")["items"]
    assert [i["metadata"]["name"] for i in core] == [""]
