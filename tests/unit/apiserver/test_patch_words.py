"""What clients are told of patches that cannot be read, and of fields that come twice."""

import pytest

from tests.unit.apiserver.harness import MAPS, Server, configmap

MAP = f"{MAPS}/a"
GO = "Go value of type"
OBJECT = f"{GO} map[string]interface {{}}"
OPERATION = "handlers.jsonPatchOp"
CASES = [
    ("merge", b"[1]", f"error decoding patch: json: cannot unmarshal array into {OBJECT}"),
    ("merge", b'"x"', f"error decoding patch: json: cannot unmarshal string into {OBJECT}"),
    ("merge", b"7", f"error decoding patch: json: cannot unmarshal number into {OBJECT}"),
    ("merge", b"true", f"error decoding patch: json: cannot unmarshal bool into {OBJECT}"),
    ("merge", b"", "error decoding patch: unexpected end of JSON input"),
    ("merge", b'{"a', "error decoding patch: unexpected end of JSON input"),
    ("merge", b"null", "Invalid JSON Patch"),
    ("strategic", b"[1]", f"json: cannot unmarshal array into {OBJECT}"),
    ("strategic", b"{", "unexpected end of JSON input"),
    ("json", b"{}", f"error decoding patch: json: cannot unmarshal object into {GO} []{OPERATION}"),
    ("json", b"[7]", f"error decoding patch: json: cannot unmarshal number into {GO} {OPERATION}"),
]


@pytest.mark.parametrize(("kind", "body", "message"), CASES)
@pytest.mark.parametrize("validation", ["Warn", "Strict", "Ignore"])
async def test_patches_that_cannot_be_read(
    server: Server, kind: str, body: bytes, message: str, validation: str
) -> None:
    await server.make(MAPS, configmap("a"))
    answer = await server.patch(MAP, body, kind, query=[("fieldValidation", validation)])
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")
    assert answer.body["message"] == message


@pytest.mark.parametrize(("kind", "body"), [("strategic", b"null"), ("json", b"null")])
async def test_null_changes_nothing(server: Server, kind: str, body: bytes) -> None:
    made = await server.make(MAPS, configmap("a"))
    answer = await server.patch(MAP, body, kind)
    assert (answer.status, answer.body) == (200, made)


TWICE = [
    ("merge", b'{"data":{"a":"2","a":"3"}}', 'duplicate field "data.a"'),
    ("strategic", b'{"data":{"a":"2","a":"3"}}', 'duplicate field "data.a"'),
    (
        "json",
        b'[{"op":"replace","op":"replace","path":"/data/a","value":"3"}]',
        'json patch duplicate field "[0].op"',
    ),
]


@pytest.mark.parametrize(("kind", "body", "text"), TWICE)
async def test_fields_that_come_twice(server: Server, kind: str, body: bytes, text: str) -> None:
    await server.make(MAPS, configmap("a"))
    strict = await server.patch(MAP, body, kind, query=[("fieldValidation", "Strict")])
    assert (strict.status, strict.body["reason"]) == (422, "Invalid")
    [cause] = strict.body["details"]["causes"]
    assert cause["field"] == "patch"
    assert f"strict decoding error: {text}" in cause["message"]
    quiet = await server.patch(MAP, body, kind, query=[("fieldValidation", "Ignore")])
    assert (quiet.status, quiet.header("Warning")) == (200, [])
    warned = await server.patch(MAP, body, kind)
    escaped = text.replace('"', '\\"')
    assert warned.header("Warning") == [f'299 - "{escaped}"']
    assert warned.body["data"] == {"a": "3"}
