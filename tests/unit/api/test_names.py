"""Formats of names and the rules of metadata."""

from collections.abc import Callable
from typing import Any

import pytest

from petset.api import names
from petset.api.names import validate_metadata, validate_metadata_update

Rule = Callable[[str], list[str]]


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (names.dns_label, ["a", "0", "web-0", "a" * 63]),
        (names.dns_subdomain, ["a", "a.b", "example.com", ".".join(["a" * 63] * 3)]),
        (names.dns_label_1035, ["a", "a-1"]),
        (names.path_segment, ["system:node", "a b", "..."]),
        (names.qualified_name, ["a", "A.b_c-d", "example.com/Name", "a/" + "b" * 63]),
        (names.label_value, ["", "a", "A_b.c-1", "x" * 63]),
        (names.config_key, ["a", ".hidden", "A_b-c.d", "a..b"]),
        (names.env_name, ["A", "a.b-c", "1 2"]),
        (names.port_name, ["web", "a-1", "1a"]),
        (names.header_name, ["X-Test", "a1"]),
    ],
)
def test_well_formed_texts_pass(rule: Rule, good: list[str]) -> None:
    assert [text for text in good if rule(text)] == []


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (names.dns_label, ["", "-a", "a-", "A", "a.b", "a_b", "a" * 64, "a\n", "é"]),
        (names.dns_subdomain, ["", ".a", "a.", "a..b", "A.b", "a" * 254]),
        (names.dns_label_1035, ["", "1a", "a.b", "a" * 64]),
        (names.path_segment, [".", "..", "a/b", "a%b"]),
        (names.qualified_name, ["", "/a", "a/", "a/b/c", "A.b/c", "-a", "a b", "a" * 64]),
        (names.label_value, ["-a", "a-", "a b", "a/b", "x" * 64, "a\n"]),
        (names.config_key, ["", ".", "..", "..a", "a/b", "a" * 254]),
        (names.env_name, ["", "a=b", "é", "a\nb"]),
        (names.port_name, ["", "1", "A", "a--b", "-a", "a-", "a" * 16]),
        (names.header_name, ["", "a b", "a_b"]),
    ],
)
def test_ill_formed_texts_do_not(rule: Rule, bad: list[str]) -> None:
    assert [text for text in bad if not rule(text)] == []


def test_words_are_upstreams() -> None:
    assert names.dns_label("a" * 64) == ["must be no more than 63 bytes"]
    assert names.dns_subdomain("A") == [
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or"
        " '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex "
        "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    ]
    assert names.qualified_name("/a") == ["prefix part must be non-empty"]


@pytest.mark.parametrize("rule", ["subdomain", "label", "label1035"])
def test_a_prefix_may_end_with_a_dash(rule: str) -> None:
    assert names.name_faults(rule, "web-", prefix=True) == []
    assert names.name_faults(rule, "web-")


def _fields(obj: dict[str, Any], namespaced: bool = True) -> list[str]:
    return [f.field for f in validate_metadata(obj, namespaced, "subdomain")]


def test_metadata_that_is_right_has_no_faults() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u", "controller": True}
    meta = {
        "name": "a",
        "namespace": "b",
        "labels": {"a": "b"},
        "annotations": {"Example.com/X": "anything\n"},
        "finalizers": ["a.b/c", "orphan"],
        "ownerReferences": [owner, {**owner, "controller": False}],
    }
    assert validate_metadata({"metadata": meta}, True, "subdomain") == []


def test_name_and_namespace_are_needed() -> None:
    faults = validate_metadata({"metadata": {}}, True, "subdomain")
    assert [str(f) for f in faults] == [
        "metadata.name: Required value: name or generateName is required",
        "metadata.namespace: Required value",
    ]


def test_cluster_objects_have_no_namespace() -> None:
    assert _fields({"metadata": {"name": "a", "namespace": "b"}}, False) == ["metadata.namespace"]


def test_annotations_are_limited_together() -> None:
    half = "x" * (names.ANNOTATIONS_MAX_BYTES // 2)
    meta = {"name": "a", "annotations": {"a": half, "b": half}}
    (fault,) = validate_metadata({"metadata": meta}, False, "subdomain")
    assert str(fault) == ("metadata.annotations: Too long: may not be more than 262144 bytes")


def test_at_most_one_owner_controls() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "uid": "u", "controller": True}
    meta = {"name": "x", "ownerReferences": [{**owner, "name": "a"}, {**owner, "name": "b"}]}
    (fault,) = validate_metadata({"metadata": meta}, False, "subdomain")
    assert 'Found "true" in references for Pod/a and Pod/b' in fault.message


def test_events_own_nothing() -> None:
    owner = {"apiVersion": "v1", "kind": "Event", "name": "a", "uid": "u"}
    assert _fields({"metadata": {"name": "x", "ownerReferences": [owner]}}, False) == [
        "metadata.ownerReferences"
    ]


def test_orphan_and_foreground_exclude_each_other() -> None:
    meta = {"name": "x", "finalizers": ["orphan", "foregroundDeletion"]}
    assert _fields({"metadata": meta}, False) == ["metadata.finalizers"]


OLD = {"metadata": {"name": "A_", "namespace": "n", "uid": "u", "generation": 2}}


def test_an_update_does_not_ask_for_the_names_format_again() -> None:
    assert validate_metadata_update(OLD, OLD) == []


@pytest.mark.parametrize(
    ("key", "value"), [("name", "b"), ("namespace", "m"), ("uid", "v"), ("generation", 1)]
)
def test_identity_never_changes(key: str, value: object) -> None:
    new = {"metadata": {**OLD["metadata"], key: value}}
    assert [f.field for f in validate_metadata_update(new, OLD)] == [f"metadata.{key}"]


def test_finalizers_may_come_before_deletion_and_go_after() -> None:
    live = {"metadata": {"name": "a", "finalizers": ["a.b/c"]}}
    more = {"metadata": {"name": "a", "finalizers": ["a.b/c", "a.b/d"]}}
    assert validate_metadata_update(more, live) == []
    gone = {"deletionTimestamp": "2026-11-20T00:00:00Z"}
    dying = {"metadata": {**more["metadata"], **gone}}
    less = {"metadata": {**live["metadata"], **gone}}
    assert validate_metadata_update(less, dying) == []
    assert [f.field for f in validate_metadata_update(dying, less)] == ["metadata.finalizers"]
