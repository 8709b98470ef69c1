"""ConfigMaps, Secrets, namespaces, nodes, events: what is not in the golden files."""

import base64
from typing import Any

import pytest

from petset.api.behaviours import behaviour
from petset.api.core.v1 import configmap, namespace, secret

Made = dict[str, Any]


def test_plain_data_overrides_encoded_data_once() -> None:
    made: Made = {"data": {"a": "eA=="}, "stringData": {"a": "ü", "b": ""}}
    secret.default(made)
    assert made == {
        "type": "Opaque",
        "data": {"a": base64.b64encode("ü".encode()).decode(), "b": ""},
    }


@pytest.mark.parametrize(
    ("kind", "data", "missing"),
    [
        ("kubernetes.io/tls", {"tls.crt": ""}, ["data[tls.key]"]),
        ("kubernetes.io/ssh-auth", {}, ["data[ssh-privatekey]"]),
        ("kubernetes.io/dockerconfigjson", {}, ["data[.dockerconfigjson]"]),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": ""}, ["data[ssh-privatekey]"]),
        ("kubernetes.io/basic-auth", {}, ["data[username]", "data[password]"]),
        ("kubernetes.io/basic-auth", {"password": ""}, []),
        ("example.com/own", {}, []),
    ],
)
def test_typed_secrets_hold_their_keys(kind: str, data: Made, missing: list[str]) -> None:
    assert [f.field for f in secret.validate({"type": kind, "data": data})] == missing


def test_token_secrets_name_their_account() -> None:
    kind = {"type": "kubernetes.io/service-account-token"}
    (fault,) = secret.validate(kind)
    assert fault.field == "metadata.annotations[kubernetes.io/service-account.name]"
    named = {**kind, "metadata": {"annotations": {"kubernetes.io/service-account.name": "a"}}}
    assert secret.validate(named) == []


def test_sizes_are_limited() -> None:
    limit = configmap.MAX_BYTES
    text = {"data": {"a": "x" * limit}}
    assert configmap.validate(text) == []
    assert [f.reason for f in configmap.validate({**text, "binaryData": {"b": "eA=="}})] == [
        "FieldValueTooLong"
    ]
    encoded = base64.b64encode(b"x" * (limit + 1)).decode()
    faults = secret.validate({"type": "a", "data": {"a": encoded}})
    assert [f.field for f in faults] == ["data"]


def test_a_namespace_is_held_until_it_is_empty() -> None:
    made: Made = {"metadata": {"name": "n"}, "spec": {"finalizers": ["a.b/c"]}}
    namespace.prepare_create(made)
    assert made["spec"]["finalizers"] == ["a.b/c", "kubernetes"]
    assert made["status"] == {"phase": "Active"}
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}


def test_an_update_does_not_free_a_namespace() -> None:
    old = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}
    new: Made = {"metadata": {"name": "n"}, "spec": {}}
    namespace.prepare_update(new, old)
    assert new["spec"] == {"finalizers": ["kubernetes"]}
    freed: Made = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}
    namespace.prepare_update(freed, new | {"spec": {}})
    assert freed["spec"] == {}


def test_a_dying_namespace_is_terminating() -> None:
    dying = {"metadata": {"deletionTimestamp": "2026-11-20T00:00:00Z"}}
    assert namespace.validate_status({**dying, "status": {"phase": "Terminating"}}, {}) == []
    (fault,) = namespace.validate_status({**dying, "status": {"phase": "Active"}}, {})
    assert fault.field == "status.Phase"


def test_nodes_are_found_by_whether_they_take_pods() -> None:
    read = behaviour("nodes").fields["spec.unschedulable"]
    assert [read({"spec": {"unschedulable": True}}), read({})] == ["true", "false"]


@pytest.mark.parametrize(
    ("resource_id", "event"),
    [
        ("events", {"involvedObject": {"name": "a"}, "source": {"component": "kubelet"}}),
        ("events.events.k8s.io", {"regarding": {"name": "a"}, "reportingController": "kubelet"}),
    ],
)
def test_events_are_found_by_their_object_and_reporter(resource_id: str, event: Made) -> None:
    fields = behaviour(resource_id).fields
    read = {path: get(event) for path, get in fields.items()}
    about = "involvedObject" if resource_id == "events" else "regarding"
    assert (read[f"{about}.name"], read[f"{about}.namespace"]) == ("a", "")
    assert read["source" if resource_id == "events" else "reportingController"] == "kubelet"


@pytest.mark.parametrize(
    ("namespace_", "about", "good"),
    [("default", "", True), ("a", "a", True), ("a", "b", False), ("a", "", False)],
)
def test_events_live_where_their_object_does(namespace_: str, about: str, good: bool) -> None:
    event = {"metadata": {"namespace": namespace_}, "involvedObject": {"namespace": about}}
    assert (behaviour("events").validate(event) == []) is good


def test_too_much_data_is_told_of_the_whole_object() -> None:
    large: Made = {"data": {"a": "x" * (configmap.MAX_BYTES + 1)}}
    faults = behaviour("configmaps").validate(large)
    assert [str(fault) for fault in faults] == [
        f"[]: Too long: may not be more than {configmap.MAX_BYTES} bytes"
    ]
