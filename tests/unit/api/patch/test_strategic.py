"""Strategic merge patch: golden cases by directive."""

import copy
from typing import Any

import pytest

from petset.api.errors import StatusError
from petset.api.patch import strategic

POD = "io.k8s.api.core.v1.Pod"
DEPLOYMENT = "io.k8s.api.apps.v1.Deployment"
CONFIG_MAP = "io.k8s.api.core.v1.ConfigMap"
PDB = "io.k8s.api.policy.v1.PodDisruptionBudget"
CRD = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"

A, B, C = {"name": "a", "image": "1"}, {"name": "b", "image": "1"}, {"name": "c", "image": "1"}


def patched(original: Any, patch: Any, type_name: str = POD) -> Any:
    before = copy.deepcopy((original, patch))
    result = strategic.apply(original, patch, type_name)
    assert (original, patch) == before
    return result


def of_spec(original: Any, patch: Any) -> Any:
    return patched({"spec": original}, {"spec": patch})["spec"]


def test_maps_merge_and_null_deletes() -> None:
    result = patched({"data": {"a": "1", "b": "2"}}, {"data": {"a": None, "c": "3"}}, CONFIG_MAP)
    assert result == {"data": {"b": "2", "c": "3"}}


def test_nulls_in_new_maps_are_dropped() -> None:
    assert patched({}, {"metadata": {"labels": {"a": None, "b": "1"}}}) == {
        "metadata": {"labels": {"b": "1"}}
    }


def test_list_elements_merge_by_their_key_and_new_ones_are_appended() -> None:
    patch = {"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}
    assert of_spec({"containers": [A, {**B, "tty": True}]}, patch) == {
        "containers": [
            A,
            {"name": "b", "image": "2", "tty": True},
            {"name": "c", "image": "3"},
        ]
    }


def test_nested_lists_merge_by_their_own_keys() -> None:
    original = {"containers": [{"name": "a", "env": [{"name": "x", "value": "1"}]}]}
    patch = {
        "containers": [
            {
                "name": "a",
                "env": [{"name": "x", "value": "2"}, {"name": "y", "value": None}],
                "ports": [{"containerPort": 80, "name": None}],
            }
        ]
    }
    assert of_spec(original, patch) == {
        "containers": [
            {
                "name": "a",
                "env": [{"name": "x", "value": "2"}, {"name": "y"}],
                "ports": [{"containerPort": 80}],
            }
        ]
    }


def test_lists_without_a_merge_strategy_are_replaced() -> None:
    original = {
        "tolerations": [{"key": "a"}, {"key": "b"}],
        "containers": [{"name": "a", "args": ["1", "2"]}],
    }
    patch = {"tolerations": [{"key": "c"}], "containers": [{"name": "a", "args": ["3"]}]}
    assert of_spec(original, patch) == {
        "tolerations": [{"key": "c"}],
        "containers": [{"name": "a", "args": ["3"]}],
    }


def test_scalars_with_a_merge_strategy_form_a_set() -> None:
    original = {"metadata": {"finalizers": ["a", "b"]}}
    assert patched(original, {"metadata": {"finalizers": ["b", "c"]}}) == {
        "metadata": {"finalizers": ["a", "b", "c"]}
    }


def test_members_leave_a_primitive_list_by_directive() -> None:
    original = {"metadata": {"finalizers": ["a", "b", "c"]}}
    patch = {
        "metadata": {
            "$deleteFromPrimitiveList/finalizers": ["b", "zz"],
            "$setElementOrder/finalizers": ["d", "c"],
            "finalizers": ["d"],
        }
    }
    assert patched(original, patch) == {"metadata": {"finalizers": ["d", "a", "c"]}}


def test_directive_for_a_list_that_is_not_there_does_nothing() -> None:
    patch = {
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]},
        "spec": {"$setElementOrder/containers": [{"name": "a"}]},
    }
    assert patched({}, patch) == {"metadata": {}, "spec": {}}


def test_patch_delete_removes_an_element_or_empties_a_map() -> None:
    patch = {"containers": [{"name": "b", "$patch": "delete"}, {"name": "z", "$patch": "delete"}]}
    assert of_spec({"containers": [A, B, C]}, patch) == {"containers": [A, C]}
    assert of_spec({"securityContext": {"a": 1}}, {"securityContext": {"$patch": "delete"}}) == {
        "securityContext": {}
    }


def test_patch_replace_takes_the_place_of_a_map_or_list() -> None:
    assert of_spec(
        {"securityContext": {"runAsUser": 1}},
        {"securityContext": {"$patch": "replace", "fsGroup": 2, "runAsGroup": None}},
    ) == {"securityContext": {"fsGroup": 2}}
    patch = {"containers": [{"name": "z"}, {"$patch": "replace"}]}
    assert of_spec({"containers": [A, B]}, patch) == {"containers": [{"name": "z"}]}


def test_patch_merge_is_the_same_as_none() -> None:
    patch = {"containers": [{"name": "a", "image": "2", "$patch": "merge"}]}
    assert of_spec({"containers": [A]}, patch) == {"containers": [{"name": "a", "image": "2"}]}
    assert of_spec({}, patch) == {"containers": [{"name": "a", "image": "2"}]}


def test_directives_never_reach_the_result() -> None:
    patch = {
        "$setElementOrder/containers": [{"name": "a"}],
        "containers": [
            {"name": "a", "$setElementOrder/env": [{"name": "x"}], "env": [{"name": "x"}]},
        ],
        "volumes": [{"name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}],
    }
    assert of_spec({}, patch) == {
        "containers": [{"name": "a", "env": [{"name": "x"}]}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }


def test_retain_keys_drops_every_other_key() -> None:
    original = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patched(original, patch, DEPLOYMENT) == {"spec": {"strategy": {"type": "Recreate"}}}
    volumes = {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}
    change: dict[str, Any] = {"name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}
    assert of_spec(volumes, {"volumes": [change]}) == {"volumes": [{"name": "v", "emptyDir": {}}]}
    change["hostPath"] = None  # kubectl names what has to go, too
    assert of_spec(volumes, {"volumes": [change]}) == {"volumes": [{"name": "v", "emptyDir": {}}]}


@pytest.mark.parametrize(
    ("live", "order", "expected"),
    [
        ("abc", "cba", "cba"),
        ("abc", "ca", "bca"),
        ("abc", "c", "abc"),
        ("abc", "", "abc"),
        ("xaybz", "ba", "xybaz"),
        ("ab", "bza", "ba"),
    ],
)
def test_element_order_is_enforced_around_what_only_the_server_has(
    live: str, order: str, expected: str
) -> None:
    original = {"containers": [{"name": n} for n in live]}
    patch = {"$setElementOrder/containers": [{"name": n} for n in order]}
    result = of_spec(original, patch)
    assert "".join(c["name"] for c in result["containers"]) == expected


def test_new_elements_take_the_place_that_the_order_gives_them() -> None:
    patch = {
        "$setElementOrder/containers": [{"name": "z"}, {"name": "b"}],
        "containers": [{"name": "z"}],
    }
    assert of_spec({"containers": [A, B]}, patch) == {"containers": [{"name": "z"}, A, B]}


def test_a_map_with_replace_strategy_is_replaced() -> None:
    original = {"spec": {"selector": {"matchLabels": {"a": "1"}}}}
    patch = {"spec": {"selector": {"matchLabels": {"b": "1"}}}}
    assert patched(original, patch, PDB) == patch


def test_json_schema_keys_are_no_directives() -> None:
    versions = [{"name": "v1", "schema": {"openAPIV3Schema": {"$ref": "#/x", "$schema": "y"}}}]
    assert patched({}, {"spec": {"versions": versions}}, CRD) == {"spec": {"versions": versions}}


def test_unknown_fields_merge_as_plain_json() -> None:
    original = {"nope": {"a": 1, "l": [1]}}
    assert patched(original, {"nope": {"b": 2, "l": [2]}}) == {"nope": {"a": 1, "b": 2, "l": [2]}}


def test_ports_with_one_number_and_two_protocols_merge_by_number_only() -> None:
    ports = [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]
    original = {"containers": [{"name": "a", "ports": ports}]}
    patch = {"containers": [{"name": "a", "ports": [{"containerPort": 53, "name": "dns"}]}]}
    assert of_spec(original, patch)["containers"][0]["ports"] == [
        {"containerPort": 53, "protocol": "TCP", "name": "dns"},
        {"containerPort": 53, "protocol": "UDP"},
    ]


@pytest.mark.parametrize(
    "patch",
    [
        [],
        None,
        {"spec": {"$patch": "explode"}},
        {"spec": {"containers": [{"image": "x"}]}},
        {"spec": {"containers": [{"$patch": "delete"}]}},
        {"spec": {"containers": [{"name": "a", "$patch": "explode"}]}},
        {"spec": {"containers": ["a"]}},
        {"spec": {"$retainKeys": "x"}},
        {"spec": {"$retainKeys": ["a"], "b": 1}},
        {"spec": {"$setElementOrder/containers": {}}},
        {"spec": {"$setElementOrder/containers": [], "containers": [A]}},
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [A, B],
            }
        },
        {"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}},
    ],
)
def test_patch_that_cannot_be_meant_is_a_bad_request(patch: Any) -> None:
    original = {"metadata": {"finalizers": ["a"]}, "spec": {"containers": [A, B]}}
    with pytest.raises(StatusError) as caught:
        strategic.apply(original, patch, POD)
    assert caught.value.code == 400
