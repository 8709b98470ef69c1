from typing import Any

import orjson
import pytest

from petset.api import errors
from petset.base.http import Reply, Request, Response, Stream, Writer
from petset.client.client import Client
from petset.client.transport import TransportError
from tests.unit.client import api as fake


class Recorded:
    """Answers from a list and keeps what it was asked."""

    def __init__(self, *replies: Reply | dict[str, Any]) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        reply = self.replies.pop(0)
        return Response(200, (), orjson.dumps(reply)) if isinstance(reply, dict) else reply

    def client(self) -> Client:
        return fake.client(self)


async def test_verbs_have_kubernetes_methods_and_paths() -> None:
    api = Recorded(*[{"kind": "X"}] * 7)
    client = api.client()
    pod = fake.pod("a", 3)
    await client.get("pods", "a", "default")
    await client.create("pods", pod)
    await client.create("pods", {"kind": "Binding"}, "default", name="a", subresource="binding")
    await client.update("statefulsets.apps", pod, subresource="status")
    await client.patch("pods", "a", {"x": 1}, "default", kind="strategic")
    await client.patch("pods", "a", {"x": 1}, "default", kind="apply", force=True)
    await client.get("statefulsets.apps", "web", "default", subresource="scale")
    pods = "/api/v1/namespaces/default/pods"
    sets = "/apis/apps/v1/namespaces/default/statefulsets"
    assert [(r.method, r.path) for r in api.requests] == [
        ("GET", f"{pods}/a"),
        ("POST", pods),
        ("POST", f"{pods}/a/binding"),
        ("PUT", f"{sets}/a/status"),
        ("PATCH", f"{pods}/a"),
        ("PATCH", f"{pods}/a"),
        ("GET", f"{sets}/web/scale"),
    ]
    writes = [r for r in api.requests if r.method != "GET"]
    assert {r.param("fieldManager") for r in writes} == {"tester"}
    assert [r.headers["content-type"] for r in writes[3:]] == [
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ]
    assert writes[4].param("force") == "true"


async def test_calls_in_process_carry_their_identity() -> None:
    api = Recorded({"kind": "Pod"})
    await api.client().get("pods", "a", "default")
    identity = api.requests[0].identity
    assert identity is not None
    assert identity.user == "tester"


async def test_delete_sends_its_options_in_the_body() -> None:
    api = Recorded({"kind": "Status"}, {"kind": "Status"})
    client = api.client()
    await client.delete("pods", "a", "default")
    await client.delete("pods", "a", "default", uid="u", grace_s=0, propagation="Orphan")
    assert [orjson.loads(r.body) for r in api.requests] == [
        {"kind": "DeleteOptions", "apiVersion": "v1"},
        {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": "u"},
            "gracePeriodSeconds": 0,
            "propagationPolicy": "Orphan",
        },
    ]


def page(names: list[str], token: str = "") -> dict[str, Any]:
    metadata = {"resourceVersion": "7", "continue": token}
    items = [{"metadata": {"name": name}} for name in names]
    return {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}


async def test_list_follows_pages_and_names_the_kind_of_its_items() -> None:
    api = Recorded(page(["a", "b"], "more"), page(["c"]))
    listed = await api.client().list("pods", labels="app=x", fields="spec.nodeName=n", limit=2)
    assert [item["metadata"]["name"] for item in listed.items] == ["a", "b", "c"]
    assert {(item["kind"], item["apiVersion"]) for item in listed.items} == {("Pod", "v1")}
    assert listed.resource_version == "7"
    assert [r.param("continue") for r in api.requests] == ["", "more"]
    assert {r.param("labelSelector") for r in api.requests} == {"app=x"}


async def test_list_whose_pages_expire_is_read_in_one_piece() -> None:
    gone = fake.status(errors.expired("too old"))
    api = Recorded(page(["a"], "more"), gone, page(["b", "c"]))
    listed = await api.client().list("pods", limit=1)
    assert [item["metadata"]["name"] for item in listed.items] == ["b", "c"]
    assert api.requests[2].param("limit") == ""


async def test_failing_answers_become_the_errors_the_server_raised() -> None:
    api = Recorded(fake.status(errors.not_found("pods", "a")), Response(502, (), b"bad gateway"))
    with pytest.raises(errors.StatusError) as caught:
        await api.client().get("pods", "a", "default")
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")
    assert caught.value.details["name"] == "a"
    with pytest.raises(errors.StatusError, match="bad gateway") as caught:
        await api.client().get("pods", "a", "default")
    assert caught.value.code == 502


async def test_an_answer_that_is_no_json_is_a_broken_transport() -> None:
    with pytest.raises(TransportError, match="no JSON object"):
        await Recorded(Response(200, (), b"hello")).client().get("pods", "a", "default")


async def test_watch_joins_lines_cut_anywhere() -> None:
    lines = b"".join(
        orjson.dumps({"type": "ADDED", "object": fake.pod(n, 1)}) + b"\n" for n in "abc"
    )

    async def run(writer: Writer) -> None:
        for start in range(0, len(lines), 7):
            writer.write(lines[start : start + 7])
            await writer.drain()

    events = [event async for event in Recorded(Stream(run)).client().watch("pods")]
    assert [(e.type, e.obj["metadata"]["name"]) for e in events] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("ADDED", "c"),
    ]


@pytest.mark.parametrize("tail", [b'{"type":"ADD', b'{"type":"ADDED"}\n', b"[]\n", b"nonsense\n"])
async def test_watch_refuses_what_is_no_event(tail: bytes) -> None:
    async def run(writer: Writer) -> None:
        writer.write(tail)

    with pytest.raises(TransportError):
        [event async for event in Recorded(Stream(run)).client().watch("pods")]


async def test_watch_says_what_it_wants_in_the_query() -> None:
    api = Recorded(Response(200, (), b""))
    watch = api.client().watch("pods", "default", resource_version="5", labels="a=b", timeout_s=9)
    assert [event async for event in watch] == []
    assert dict(api.requests[0].query) == {
        "watch": "true",
        "labelSelector": "a=b",
        "resourceVersion": "5",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "9",
    }
