"""Bodies in protobuf: bytes made by hand, or captured from kubectl."""

import struct
from pathlib import Path
from typing import Any

import orjson
import pytest

from petset.api import protobuf, protobuf_read, protobuf_table, registry, schema
from petset.api.bodies import DEPTH_MAX
from petset.api.errors import StatusError
from petset.api.protobuf_wire import MAGIC, VARINT, piece_field, varint
from tools import gen_protobuf

NAMESPACE = (
    "6b387300 0a0f0a02763112094e616d657370616365"
    "121b0a130a03666f6f12001a0022002a003200380042001200 1a020a00 1a002200"
)


def m(*fields: bytes) -> bytes:
    return b"".join(fields)


def p(number: int, value: str | bytes = b"") -> bytes:
    return piece_field(number, value.encode() if isinstance(value, str) else value)


def n(number: int, value: int) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)


def body(version: str, kind: str, *fields: bytes) -> bytes:
    return MAGIC + p(1, p(1, version) + p(2, kind)) + p(2, m(*fields))


def read(version: str, kind: str, *fields: bytes) -> dict[str, Any]:
    obj = protobuf.decode(body(version, kind, *fields))
    assert list(obj)[:2] == ["kind", "apiVersion"]
    assert (obj.pop("kind"), obj.pop("apiVersion")) == (kind, version)
    return obj


def refused(data: bytes) -> str:
    with pytest.raises(StatusError) as caught:
        protobuf.decode(data)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    return caught.value.message


def pod(*spec: bytes) -> Any:
    return read("v1", "Pod", p(2, m(*spec)))["spec"]


def container(*fields: bytes) -> Any:
    return pod(p(2, m(*fields)))["containers"][0]


# -- values ---------------------------------------------------------------------------------------


def test_body_of_kubectl_create_namespace() -> None:
    assert protobuf.decode(bytes.fromhex(NAMESPACE)) == {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": "foo"},
        "spec": {},
        "status": {},
    }


def test_zero_is_absent_where_go_cannot_leave_it_unset() -> None:
    spec = pod(p(3), p(10), n(11, 0), n(27, 0), n(25, 0), p(2, m(p(1, "a"), p(14), n(16, 0))))
    assert spec == {
        "shareProcessNamespace": False,
        "priority": 0,
        "containers": [{"name": "a"}],
    }
    assert read("apps/v1", "Deployment", p(2, m(n(1, 0), n(5, 0), n(7, 0)))) == {
        "spec": {"replicas": 0}
    }
    assert read("scheduling.k8s.io/v1", "PriorityClass", n(2, 0), n(3, 0)) == {"value": 0}


def test_empty_messages_are_there() -> None:
    volume = pod(p(1, m(p(1, "d"), p(2, p(2)))))["volumes"][0]
    assert volume == {"name": "d", "emptyDir": {}}
    assert container(p(8)) == {"resources": {}}


def test_members_of_inlined_messages_stand_one_level_up() -> None:
    probe = m(p(1, p(3, p(1, m(n(1, 0), n(2, 80))))), n(2, 5))
    assert container(p(10, probe))["livenessProbe"] == {
        "tcpSocket": {"port": 80},
        "initialDelaySeconds": 5,
    }
    selector = p(3, p(4, m(p(1, p(1, "s")), p(2, "key"), n(3, 0))))
    assert container(p(7, m(p(1, "E"), p(2), selector)))["env"] == [
        {
            "name": "E",
            "valueFrom": {"secretKeyRef": {"name": "s", "key": "key", "optional": False}},
        }
    ]
    ephemeral = pod(p(34, m(p(1, m(p(1, "debug"), p(2, "busybox"))), p(2, "main"))))
    assert ephemeral["ephemeralContainers"] == [
        {"name": "debug", "image": "busybox", "targetContainerName": "main"}
    ]
    assert read(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        p(2, p(2, p(3, p(2, m(p(1, "CREATE"), p(2, m(p(1, ""), p(2, "v1")))))))),
    )["spec"]["matchConstraints"]["resourceRules"] == [
        {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"]}
    ]


def test_numbers_are_signed_and_as_wide_as_their_type() -> None:
    assert pod(n(25, -5), n(4, -1)) == {"priority": -5, "terminationGracePeriodSeconds": -1}
    assert pod(n(4, -(2**63)))["terminationGracePeriodSeconds"] == -(2**63)
    assert pod(n(25, 2**32 + 7))["priority"] == 7
    assert pod(n(25, 2**31))["priority"] == -(2**31)
    assert pod(varint(25 << 3) + b"\x87" + b"\x80" * 8 + b"\x00") == {"priority": 7}


def test_repeated_numbers_packed_or_not() -> None:
    assert pod(p(14, m(n(4, 1), n(4, 2))))["securityContext"] == {"supplementalGroups": [1, 2]}
    packed = p(4, varint(300) + varint(0) + varint(-1))
    assert pod(p(14, packed))["securityContext"] == {"supplementalGroups": [300, 0, -1]}


def test_maps_take_missing_parts_and_the_last_of_equal_keys() -> None:
    entries = (p(1, "a") + p(2, "1"), p(1, "a") + p(2, "2"), p(1, "b"), p(2, "c"))
    found = read("v1", "ConfigMap", *(p(2, entry) for entry in entries))
    assert found["data"] == {"a": "2", "b": "", "": "c"}


def test_bytes_are_base64() -> None:
    entry = p(1, "k") + p(2, b"\x00\xff")
    assert read("v1", "Secret", p(2, entry), p(2, p(1, "e")))["data"] == {"k": "AP8=", "e": ""}


def test_quantities() -> None:
    limits = [p(1, p(1, "cpu") + p(2, p(1, "100m"))), p(1, p(1, "none") + p(2))]
    assert container(p(8, m(*limits)))["resources"]["limits"] == {"cpu": "100m", "none": "0"}


@pytest.mark.parametrize(
    ("piece", "value"),
    [
        (n(1, 0) + n(2, 80) + p(3), {"targetPort": 80}),
        (n(1, 1) + n(2, 0) + p(3, "web"), {"targetPort": "web"}),
        (n(2, -1), {"targetPort": -1}),
        (n(1, 0) + n(2, 0) + p(3), {}),
        (b"", {}),
    ],
)
def test_int_or_string(piece: bytes, value: Any) -> None:
    service = read("v1", "Service", p(2, p(1, p(4, piece))))
    assert service["spec"]["ports"] == [value]


def test_times() -> None:
    metadata = m(p(8, n(1, 1_795_150_972) + n(2, 5)), p(9))
    assert read("v1", "Pod", p(1, metadata))["metadata"] == {
        "creationTimestamp": "2026-11-20T05:02:52Z"
    }
    lease = p(2, p(4, n(1, 1_795_150_972) + n(2, 1_234_567)))
    assert read("coordination.k8s.io/v1", "Lease", lease)["spec"] == {
        "renewTime": "2026-11-20T05:02:52.001234Z"
    }
    before = p(1, p(8, n(1, -1)))
    assert read("v1", "Pod", before)["metadata"]["creationTimestamp"] == "1969-12-31T23:59:59Z"


def test_raw_values_are_json_or_an_object_in_an_envelope() -> None:
    fields = p(1, p(17, m(p(1, "kubectl"), p(7, p(1, b'{"f:a":{}}')))))
    assert read("v1", "Pod", fields)["metadata"]["managedFields"] == [
        {"manager": "kubectl", "fieldsV1": {"f:a": {}}}
    ]
    inner = p(1, bytes.fromhex(NAMESPACE))
    revision = read("apps/v1", "ControllerRevision", p(2, inner), n(3, 1))
    assert revision["data"]["metadata"] == {"name": "foo"}
    assert revision["revision"] == 1
    assert read("apps/v1", "ControllerRevision", p(2)) == {}


def test_lists_in_maps_have_a_message_of_their_own() -> None:
    extra = p(5, p(1, "scopes") + p(2, p(1, "a") + p(1, "")))
    review = read("authorization.k8s.io/v1", "SubjectAccessReview", p(2, extra))
    assert review["spec"] == {"extra": {"scopes": ["a", ""]}}


def test_schemas_of_custom_resources() -> None:
    props = m(
        p(5, "object"),
        p(8, p(1, b"5")),
        varint(9 << 3 | 1) + struct.pack("<d", 1.5),
        p(24, p(2, p(5, "string"))),
        p(30, n(1, 1)),
        p(32, p(1, "d") + p(2, p(2, "a"))),
        n(38, 1),
        p(3, "#/x"),
    )
    versions = p(7, m(p(1, "v1"), n(2, 1), p(4, p(1, props))))
    crd = read("apiextensions.k8s.io/v1", "CustomResourceDefinition", p(2, versions))
    assert crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "type": "object",
        "default": 5,
        "maximum": 1.5,
        "items": [{"type": "string"}],
        "additionalProperties": True,
        "dependencies": {"d": ["a"]},
        "x-kubernetes-preserve-unknown-fields": True,
        "$ref": "#/x",
    }


def test_a_message_that_comes_twice_is_merged_and_a_scalar_replaced() -> None:
    found = read("v1", "Pod", p(1, p(1, "a") + p(3, "ns")), p(1, p(1, "b")))
    assert found["metadata"] == {"name": "b", "namespace": "ns"}
    assert read("v1", "Pod", p(1, p(1, "a")), p(1, p(1, "")))["metadata"] == {}


def test_unknown_numbers_of_every_wire_type_are_skipped() -> None:
    unknown = m(n(900, 1), p(901, "x"), varint(902 << 3 | 1) + b"8bytes..", varint(903 << 3 | 5))
    assert read("v1", "Pod", unknown + b"4444", p(1, p(1, "a"))) == {"metadata": {"name": "a"}}


def test_delete_options_of_any_group_version() -> None:
    for version in ("v1", "apps/v1", "policy/v1"):
        assert read(version, "DeleteOptions", n(1, 0), p(2, p(1, "u")), p(5, "All")) == {
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": "u"},
            "dryRun": ["All"],
        }


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not begin with"),
        (b"{}", "does not begin with"),
        (MAGIC, 'no kind ""'),
        (body("v1", "Nope"), 'no kind "Nope" is known in version "v1"'),
        (body("v2", "Pod"), 'no kind "Pod"'),
        (body("v1", "ObjectMeta"), "no kind"),
        (body("v1", "Pod")[:-1], "unexpected end"),
        (body("v1", "Pod") + p(3, "gzip"), 'in the encoding "gzip"'),
        (body("v1", "Pod") + p(4, "application/json"), "application/json"),
        (body("v1", "Pod", b"\x0a"), "unexpected end"),
        (body("v1", "Pod", b"\x0a\x05a"), "unexpected end"),
        (body("v1", "Pod", b"\x0a" + b"\xff" * 11), "longer than 10 bytes"),
        (body("v1", "Pod", b"\x0b\x0c"), "is a group"),
        (body("v1", "Pod", b"\x0f"), "wire type"),
        (body("v1", "Pod", b"\x00\x01"), "0 is no field number"),
        (body("v1", "Pod", varint(2**29 << 3)), "is no field number"),
        (body("v1", "Pod", n(1, 5)), "field 1 has wire type 0 in place of 2"),
        (body("v1", "Pod", p(2, p(25, "x"))), "field 25 has wire type 2 in place of 0"),
        (body("v1", "Pod", p(1, p(1, b"\xff"))), "not UTF-8"),
        (body("v1", "Pod", p(1, p(8, n(1, 2**60)))), "outside of the calendar"),
        (body("v1", "Service", p(2, p(1, p(4, n(1, 2))))), "neither a number"),
        (body("apps/v1", "ControllerRevision", p(2, p(1, b"{"))), "json parse error"),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, why: str) -> None:
    assert why in refused(data)


def test_a_number_that_json_does_not_have_is_refused() -> None:
    nan = varint(9 << 3 | 1) + struct.pack("<d", float("nan"))
    versions = p(7, p(4, p(1, nan)))
    data = body("apiextensions.k8s.io/v1", "CustomResourceDefinition", p(2, versions))
    assert "not a finite number" in refused(data)


def test_depth_is_bounded() -> None:
    def crd(levels: int) -> bytes:
        props = b""
        for _ in range(levels):
            props = p(28, props)
        versions = p(7, p(4, p(1, props)))
        return body("apiextensions.k8s.io/v1", "CustomResourceDefinition", p(2, versions))

    assert protobuf.decode(crd(protobuf_read.DEPTH_MAX - 10))["kind"] == "CustomResourceDefinition"
    assert "nested deeper" in refused(crd(protobuf_read.DEPTH_MAX))
    assert "nested deeper" in refused(crd(5000))


def test_envelopes_in_envelopes_are_bounded() -> None:
    data = body("apps/v1", "ControllerRevision")
    for _ in range(300):
        data = body("apps/v1", "ControllerRevision", p(2, p(1, data)))
    assert "nested deeper" in refused(data)


def test_messages_and_the_json_inside_them_are_bounded_together() -> None:
    def revision(levels: int) -> bytes:
        json = b'{"a":' * levels + b"1" + b"}" * levels
        return body("apps/v1", "ControllerRevision", p(2, p(1, json)))

    orjson.dumps(protobuf.decode(revision(DEPTH_MAX - 2)))
    assert "nested deeper" in refused(revision(DEPTH_MAX))


def test_size_and_number_of_fields_are_bounded() -> None:
    assert "longer than" in refused(MAGIC + bytes(protobuf.SIZE_MAX))
    many = p(2) * (protobuf_read.FIELDS_MAX + 1)
    assert "more than" in refused(body("v1", "ServiceAccount", many))


# -- writing --------------------------------------------------------------------------------------


def test_encode_writes_the_bytes_that_clients_write() -> None:
    obj = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "foo"}, "spec": {}}
    assert protobuf.encode(obj) == body("v1", "Namespace", p(1, p(1, "foo")), p(2))


def test_encode_of_what_it_cannot() -> None:
    with pytest.raises(KeyError, match="v1/Nope"):
        protobuf.encode({"kind": "Nope", "apiVersion": "v1"})
    with pytest.raises(ValueError, match="Pod does not fit its type"):
        protobuf.encode({"kind": "Pod", "apiVersion": "v1", "spec": {"priority": "high"}})
    assert not protobuf.is_known("v1", "Nope")


def test_watch_events_hold_an_object_in_its_envelope() -> None:
    obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}
    body = protobuf.encode(obj)
    assert protobuf.encode_event(b"ADDED", body) == p(1, "ADDED") + p(2, p(1, body))


# -- the table ------------------------------------------------------------------------------------


def test_everything_that_is_served_has_a_protobuf_form() -> None:
    connects = {"PodAttachOptions", "PodExecOptions", "PodPortForwardOptions"}
    connects |= {"PodProxyOptions", "ServiceProxyOptions", "NodeProxyOptions"}  # no bodies
    for resource in registry.RESOURCES:
        assert protobuf.is_known(resource.api_version, resource.kind)
        for sub in resource.subresources:
            version = f"{sub.group}/{sub.version}" if sub.group else sub.version
            assert protobuf.is_known(version, sub.kind) or sub.kind in connects
    for version, kind in (
        ("v1", "Binding"),
        ("v1", "PodList"),
        ("v1", "Status"),
        ("autoscaling/v1", "Scale"),
        ("policy/v1", "Eviction"),
        ("authentication.k8s.io/v1", "TokenRequest"),
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
    ):
        assert protobuf.is_known(version, kind)


def test_every_type_has_a_message() -> None:
    for name in schema.names():
        if not schema.type_of(name).any:
            assert protobuf_table.message_of(name).slots or not schema.type_of(name).fields


# -- the generator --------------------------------------------------------------------------------

PROTO = """
// A comment; with "message Fake { optional string x = 1; }" in it.
syntax = "proto2";
package k8s.io.api.demo.v1;
import "k8s.io/apimachinery/pkg/runtime/generated.proto";
option go_package = "k8s.io/api/demo/v1";

message Demo {
  optional .k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta metadata = 1;
  // +optional
  optional int32 replicas = 4;
  optional int32 rounds = 5;
  repeated string names = 6;
  map<string, Inner> parts = 7;
  optional Inner inner = 8;
  reserved 2, 3;
}

message Inner {
  optional string text = 1;
}
"""
GO = """
type Demo struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`
	// Replicas `json:"no" protobuf:"no"`
	Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,4,opt,name=replicas"`
	Rounds int32 `json:"rounds,omitempty" protobuf:"varint,5,opt,name=rounds"`
	Names []string `json:"names,omitempty" protobuf:"bytes,6,rep,name=names"`
	Parts map[string]Inner `json:"parts" protobuf:"bytes,7,rep,name=parts"`
	Inner `json:",inline" protobuf:"bytes,8,opt,name=inner"`
}

type Inner struct {
	Text string `json:"words" protobuf:"bytes,1,opt,name=text"`
}
"""
DEMO = "io.k8s.api.demo.v1.Demo"
TYPES: dict[str, Any] = {
    DEMO: {
        "f": {
            "apiVersion": "string",
            "kind": "string",
            "metadata": "@io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            "replicas": "int32",
            "rounds": ["int32", {}],
            "names": ["[string", {"lt": "set"}],
            "parts": "{@io.k8s.api.demo.v1.Inner",
            "words": "string",
        }
    }
}


def demo_source(folder: Path) -> gen_protobuf.Source:
    package = folder / "demo" / "v1"
    package.mkdir(parents=True)
    (package / "generated.proto").write_text(PROTO)
    (package / "types.go").write_text(GO)
    return gen_protobuf.read_source(folder)


def test_generator_reads_numbers_names_and_where_zero_is_unset(tmp_path: Path) -> None:
    source = demo_source(tmp_path)
    table = gen_protobuf.make_table(source, TYPES)
    assert table == {
        DEMO: {
            "metadata": "1",
            "replicas": "4",
            "rounds": "5?",
            "names": "6?",
            "parts": "7",
            "words": "8.1",
        }
    }
    assert gen_protobuf.differences(table, TYPES) == []
    assert gen_protobuf.mistyped(source, TYPES) == []


def test_generator_tells_of_every_difference(tmp_path: Path) -> None:
    table = {DEMO: {"metadata": "1", "rounds": "5?", "names": "8", "words": "8.1", "new": "0"}}
    assert gen_protobuf.differences({**table, "Other": {}}, {**TYPES, "Gone": {"f": {}}}) == [
        "Gone: only in types.json",
        "Other: only in protobuf.json",
        f"{DEMO}.new: not in types.json",
        f"{DEMO}.parts: has no number",
        f"{DEMO}.replicas: has no number",
        f"{DEMO}: number 0 cannot be",
        f"{DEMO}: number 8 cannot be",
    ]
    fields = {**TYPES[DEMO]["f"], "replicas": "string", "names": "string", "parts": "{string"}
    assert gen_protobuf.mistyped(demo_source(tmp_path), {DEMO: {"f": fields}}) == [
        f"{DEMO}.replicas: string is optional int32",
        f"{DEMO}.names: string is repeated string",
        f"{DEMO}.parts: {{string is map Inner",
    ]


def test_generator_refuses_what_it_does_not_understand(tmp_path: Path) -> None:
    with pytest.raises(gen_protobuf.SourceError, match="no generated"):
        gen_protobuf.read_source(tmp_path)
    with pytest.raises(gen_protobuf.SourceError, match="cannot read oneof"):
        gen_protobuf.parse_proto("message A { oneof x; }")
    with pytest.raises(gen_protobuf.SourceError, match="unexpected 'enum'"):
        gen_protobuf.parse_proto("enum A { B = 1; }")
    with pytest.raises(gen_protobuf.SourceError, match="has no message Gone"):
        gen_protobuf.make_table(demo_source(tmp_path), {"Gone": {"f": {}}})


def test_committed_numbers_speak_of_the_fields_of_the_schema() -> None:
    assert gen_protobuf.main(["--check"]) == 0
    assert gen_protobuf.problems(None, None) == ["protobuf.json is not there"]
