"""The schema table and the data it is made of."""

import json

import pytest

from petset.api import registry, schema
from tools import gen_schema

POD_SPEC = "io.k8s.api.core.v1.PodSpec"
CONTAINER = "io.k8s.api.core.v1.Container"


def test_generated_files_are_what_the_generator_writes_today() -> None:
    assert gen_schema.differing(gen_schema.make_files()) == []


def test_check_tells_of_a_file_that_differs() -> None:
    files = gen_schema.make_files()
    files["types.json"] += b" "
    files["new.json"] = b"{}"
    del files["resources.json"]
    assert gen_schema.differing(files) == ["new.json", "resources.json", "types.json"]
    assert gen_schema.main(["--check"]) == 0


def test_fields_know_their_lists_keys_and_strategies() -> None:
    fields = schema.type_of(POD_SPEC).fields
    containers = fields["containers"]
    assert (containers.kind, containers.merge_key, containers.strategies) == (
        "list",
        "name",
        ("merge",),
    )
    assert containers.required
    assert (containers.list_type, containers.keys) == ("map", ("name",))
    assert fields["volumes"].strategies == ("merge", "retainKeys")
    assert fields["tolerations"].list_type == "atomic"
    assert fields["nodeSelector"].map_type == "atomic"
    ports = schema.type_of(CONTAINER).fields["ports"]
    assert (ports.merge_key, ports.keys) == ("containerPort", ("containerPort", "protocol"))
    finalizers = schema.type_of(f"{schema.META}.ObjectMeta").fields["finalizers"]
    assert (finalizers.strategies, finalizers.list_type) == (("merge",), "set")


@pytest.mark.parametrize(
    ("type_name", "field", "kind"),
    [
        (POD_SPEC, "hostNetwork", "boolean"),
        (POD_SPEC, "priority", "int32"),
        (POD_SPEC, "terminationGracePeriodSeconds", "int64"),
        (POD_SPEC, "securityContext", "object"),
        (POD_SPEC, "overhead", "map"),
        ("io.k8s.api.core.v1.Secret", "data", "map"),
        ("io.k8s.api.core.v1.HTTPGetAction", "port", "intorstring"),
        ("io.k8s.api.apps.v1.ControllerRevision", "data", "raw"),
        ("io.k8s.api.coordination.v1.LeaseSpec", "renewTime", "microtime"),
        (f"{schema.META}.ObjectMeta", "creationTimestamp", "time"),
        (f"{schema.META}.ManagedFieldsEntry", "fieldsV1", "raw"),
    ],
)
def test_fields_know_what_they_hold(type_name: str, field: str, kind: str) -> None:
    assert schema.type_of(type_name).fields[field].kind == kind


def test_containers_of_values_know_their_elements() -> None:
    overhead = schema.type_of(POD_SPEC).fields["overhead"].value
    assert overhead.item == schema.Value("quantity")
    secret = schema.type_of("io.k8s.api.core.v1.Secret").fields["data"].value
    assert secret.item == schema.Value("bytes")
    containers = schema.type_of(POD_SPEC).fields["containers"].value
    assert containers.item == schema.Value("object", CONTAINER)


def test_every_type_can_be_built_and_every_reference_is_there() -> None:
    for name in schema.names():
        for field in schema.type_of(name).fields.values():
            value: schema.Value | None = field.value
            while value is not None:
                assert not value.type or schema.type_of(value.type).name == value.type
                value = value.item


def test_every_resource_has_its_type() -> None:
    for resource in registry.RESOURCES:
        assert {"kind", "apiVersion"} <= set(schema.type_of(resource.schema).fields)
    assert schema.version() == "1.37.0"
    assert schema.type_of(POD_SPEC).short_name == "PodSpec"


def test_fields_that_upstream_takes_as_one_value_are_atomic() -> None:
    assert schema.type_of("io.k8s.api.core.v1.ObjectReference").atomic
    assert not schema.type_of(POD_SPEC).atomic


def test_resource_facts_are_sorted_for_readable_differences() -> None:
    entries = json.loads(schema.read_data("resources.json"))
    assert [e["plural"] for e in entries if not e["group"]] == sorted(
        e["plural"] for e in entries if not e["group"]
    )
