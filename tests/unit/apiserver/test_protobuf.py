"""Bodies in protobuf: captured bytes, every kind of value, and what is refused."""

import base64

import pytest

from petset.api.errors import StatusError
from petset.apiserver.protobuf import decode, table, wire
from tests.unit.apiserver.harness import MAPS, Server

CAPTURED = bytes.fromhex(
    "6b387300"
    "0a0f0a02763112094e616d657370616365"
    "121b0a130a03666f6f12001a0022002a0032003800420012001a020a00"
    "1a002200"
)
"""`kubectl create ns foo` as traced (wire reference, appendix A)."""


def number(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(index: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return number(index << 3) + number(value)
    raw = value.encode() if isinstance(value, str) else value
    return number(index << 3 | 2) + number(len(raw)) + raw


def body(api_version: str, kind: str, *parts: bytes) -> bytes:
    named = field(1, api_version) + field(2, kind)
    return b"k8s\0" + field(1, named) + field(2, b"".join(parts))


def test_the_captured_body() -> None:
    assert decode.decode(CAPTURED) == {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": "foo"},
        "spec": {},
        "status": {},
    }


def test_maps_bytes_and_flags() -> None:
    meta = field(1, field(1, "m") + field(11, field(1, "k") + field(2, "v")))
    data = field(2, field(1, "a") + field(2, "b")) + field(3, field(1, "x") + field(2, b"\x00\xff"))
    found = decode.decode(body("v1", "ConfigMap", meta, data, field(4, 0)))
    assert found["metadata"] == {"name": "m", "labels": {"k": "v"}}
    assert found["data"] == {"a": "b"}
    assert found["binaryData"] == {"x": base64.b64encode(b"\x00\xff").decode()}
    assert found["immutable"] is False


def test_numbers_quantities_and_inlined_sources() -> None:
    limits = field(1, field(1, "cpu") + field(2, field(1, "500m")))
    container = field(1, "c") + field(8, limits) + field(6, field(3, 80)) + field(16, 0)
    volume = field(1, "v") + field(2, field(1, field(1, "/data")))
    spec = field(2, container) + field(1, volume) + field(4, 0) + field(25, -5)
    found = decode.decode(body("v1", "Pod", field(1, field(1, "p")), field(2, spec)))["spec"]
    assert found["containers"] == [
        {
            "name": "c",
            "resources": {"limits": {"cpu": "500m"}},
            "ports": [{"containerPort": 80}],
        }
    ]
    assert found["volumes"] == [{"name": "v", "hostPath": {"path": "/data"}}]
    assert (found["terminationGracePeriodSeconds"], found["priority"]) == (0, -5)


def test_ints_or_strings_and_times() -> None:
    port = field(3, 80) + field(4, field(1, 1) + field(3, "web"))
    service = decode.decode(body("v1", "Service", field(2, field(1, port))))
    assert service["spec"]["ports"] == [{"port": 80, "targetPort": "web"}]
    budget = field(2, field(1, field(1, 0) + field(2, 0)))
    found = decode.decode(body("policy/v1", "PodDisruptionBudget", budget))
    assert found["spec"] == {"minAvailable": 0}
    stamped = field(1, field(8, field(1, 1_700_000_000)))
    found = decode.decode(body("v1", "Namespace", stamped))
    assert found["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"


def test_options_of_a_deletion_keep_their_zero() -> None:
    found = decode.decode(body("v1", "DeleteOptions", field(1, 0), field(4, "Background")))
    assert found["gracePeriodSeconds"] == 0
    assert found["propagationPolicy"] == "Background"


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"{}", 400, "magic number"),
        (b"k8s\0\x0a\x7f", 400, "ends behind"),
        (b"k8s\0\xff", 400, "a number does not end"),
        (b"k8s\0\x0b", 400, "wire type 3"),
        (body("v1", "Unheard"), 415, "petset cannot decode v1 Unheard from protobuf"),
        (body("v1", "Namespace", field(99, "x")), 415, "field number 99"),
        (body("v1", "Namespace", field(1, 5)), 400, "a number where bytes"),
        (body("v1", "Namespace", field(1, field(1, b"\xff"))), 400, "not UTF-8"),
        (
            body("v1", "Pod", field(2, field(18, field(1, "x")))),
            415,
            "petset cannot decode Affinity from protobuf",
        ),
    ],
)
def test_what_is_refused(data: bytes, code: int, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        decode.decode(data)
    assert caught.value.code == code
    assert words in caught.value.message


def test_a_status_of_an_unknown_kind_is_left_out_unless_it_is_the_point() -> None:
    data = body("v1", "Pod", field(1, field(1, "p")), field(3, field(1, "Running")))
    assert "status" not in decode.decode(data)
    with pytest.raises(StatusError):
        decode.decode(data, with_status=True)


def test_every_line_of_the_table_is_understood() -> None:
    known = table.messages()
    assert len(known) > 80
    for message in known.values():
        for index, entry in message.items():
            assert index > 0
            assert entry.name.isidentifier()


def test_numbers_have_two_signs() -> None:
    assert wire.signed(2**64 - 1) == -1
    assert list(wire.fields(field(1, -1))) == [(1, 2**64 - 1)]


async def test_a_typed_client_creates(server: Server) -> None:
    data = body("v1", "ConfigMap", field(1, field(1, "m") + field(3, "")))
    media = "application/vnd.kubernetes.protobuf"
    answer = await server.ask("POST", MAPS, data, content_type=media)
    assert answer.status == 201
    assert (await server.get(f"{MAPS}/m")).body["metadata"]["namespace"] == "default"
    gone = await server.ask("DELETE", f"{MAPS}/m", body("v1", "DeleteOptions"), content_type=media)
    assert gone.status == 200
