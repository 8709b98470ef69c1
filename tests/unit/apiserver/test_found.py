"""Inputs that once brought a request down, each with the answer that it gets."""

import base64
from typing import Any

import orjson
import pytest

from petset.base.http import PeerCertificate
from tests.unit.apiserver.harness import MAPS, PODS, SETS, Server, configmap, pod, statefulset

MANY = "9" * 5000


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("limit", MANY, 400),
        ("limit", "1e3", 400),
        ("limit", " 1", 400),
        ("limit", "\u0661", 400),
        ("limit", str(2**63), 400),
        ("limit", "-1", 200),
        ("timeoutSeconds", MANY, 400),
        ("timeoutSeconds", str(2**63 - 1), 200),
        ("resourceVersion", MANY, 400),
        ("resourceVersion", "\u00b2", 400),
        ("timeout", MANY, 200),
    ],
)
async def test_numbers_in_queries(server: Server, name: str, text: str, code: int) -> None:
    answer = await server.get(MAPS, query=[(name, text)])
    assert answer.status == code


async def test_a_watch_of_the_longest_time_begins(server: Server) -> None:
    async with server.watching(f"{MAPS}?timeoutSeconds={2**63 - 1}") as ear:
        await server.make(MAPS, configmap("a"))
        assert (await ear.until(1))[-1]["object"]["metadata"]["name"] == "a"


@pytest.mark.parametrize(
    "body",
    [b'{"rv":1e400,"start":"configmaps/"}', b'{"rv":"x","start":"configmaps/"}', b"[]", b"1"],
)
async def test_tokens_that_nobody_gave(server: Server, body: bytes) -> None:
    token = base64.urlsafe_b64encode(body).decode()
    answer = await server.get(MAPS, query=[("continue", token)])
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize("path", ["*", "", "//", "\u0000"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_paths_that_are_none(server: Server, method: str, path: str) -> None:
    assert (await server.ask(method, path)).status in (200, 404, 405)


@pytest.mark.parametrize("kind", ["merge", "strategic", "json"])
async def test_patches_of_metadata_to_something_else(server: Server, kind: str) -> None:
    await server.make(SETS, statefulset())
    patch: Any = {"metadata": "x"}
    if kind == "json":
        patch = [{"op": "replace", "path": "/metadata", "value": "x"}]
    answer = await server.patch(f"{SETS}/web", patch, kind)
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")


async def test_an_apply_of_a_version_that_is_a_number(server: Server) -> None:
    body = {"apiVersion": 1, "kind": "ConfigMap", "metadata": {"name": "a"}, "data": 7}
    answer = await server.apply(f"{MAPS}/a", body)
    assert 400 <= answer.status <= 500
    assert "Internal error" not in answer.body["message"]


async def test_numbers_of_yaml_beyond_64_bits_are_as_inexact_as_those_of_json(
    server: Server,
) -> None:
    path = "/apis/apps/v1/namespaces/default/controllerrevisions"
    text = b"metadata: {name: %s}\nrevision: 1\ndata: {a: 99999999999999999999999}\n"
    yaml = await server.ask("POST", path, text % b"a", content_type="application/yaml")
    body = b'{"metadata":{"name":"b"},"revision":1,"data":{"a":99999999999999999999999}}'
    json = await server.ask("POST", path, body, content_type="application/json")
    assert (yaml.status, json.status) == (201, 201)
    assert yaml.body["data"] == json.body["data"]


async def test_numbers_of_log_requests(server: Server) -> None:
    await server.make(PODS, pod("a"))
    for name in ("tailLines", "limitBytes", "sinceSeconds"):
        for text in (MANY, "9" * 400, "x", "1.5"):
            answer = await server.get(f"{PODS}/a/log", query=[(name, text)])
            assert (answer.status, answer.body["reason"]) == (400, "BadRequest")


async def test_many_equal_keys_are_found_at_once(server: Server) -> None:
    """A body of ordinary size must not keep the server busy: the work grows with it only."""
    body = b'{"metadata":{"name":"a"},"data":{%s}}' % b",".join([b'"a":"b"'] * 200_000)
    from_outside: dict[str, Any] = {
        "identity": None,
        "peer": PeerCertificate("admin", ("system:masters",)),
    }
    answer = await server.ask("POST", MAPS, body, content_type="application/json", **from_outside)
    assert answer.status == 201
    assert answer.header("Warning") == ['299 - "duplicate field \\"data.a\\""']


async def test_many_members_are_taken_out_at_once(server: Server) -> None:
    """Also for a patch: members to delete are looked up, not searched."""
    finalizers = [f"a.b/c{i}" for i in range(30_000)]
    await server.make(MAPS, configmap("a", finalizers=finalizers))
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": finalizers[1:]}}
    answer = await server.patch(f"{MAPS}/a", orjson.dumps(patch), "strategic")
    assert answer.body["metadata"]["finalizers"] == finalizers[:1]
