"""Answers in protobuf: the same as the JSON ones, for objects, lists, Statuses and watches."""

from typing import Any

import orjson
import pytest

from petset.api import errors, protobuf, protobuf_table, registry
from petset.api.protobuf_wire import MAGIC, fields
from petset.apiserver.binary import Messages
from petset.base.http import Stream
from tests.unit.apiserver.harness import (
    MAPS,
    PODS,
    SETS,
    Answer,
    Ear,
    Server,
    configmap,
    pod,
    statefulset,
)

PROTOBUF = "application/vnd.kubernetes.protobuf"
PARTIAL = f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
EITHER = "application/vnd.kubernetes.protobuf,application/json"


def read(answer: Answer) -> Any:
    assert answer.header("Content-Type") == [PROTOBUF]
    return protobuf.decode(answer.raw)


def without_empty(value: Any) -> Any:
    """What protobuf cannot tell from nothing is left out: zeros, empty lists and objects."""
    if isinstance(value, dict):
        cleaned = {k: without_empty(v) for k, v in value.items()}
        return {k: v for k, v in cleaned.items() if v not in ("", {}, [], None, 0)}
    return [without_empty(v) for v in value] if isinstance(value, list) else value


def same(binary: Any, plain: Any) -> bool:
    return bool(without_empty(binary) == without_empty(plain))


def pieces(data: bytes) -> dict[int, bytes]:
    return {number: data[at:end] for number, _, at, end in fields(data, 0, len(data))}


def frames(ear: Ear) -> list[tuple[str, Any]]:
    """Events of a stream, each with the object in it."""
    data, found = b"".join(ear.chunks), []
    while data:
        size = int.from_bytes(data[:4], "big")
        message, data = data[4 : 4 + size], data[4 + size :]
        assert len(message) == size
        event = pieces(message)
        found.append((event[1].decode(), pieces(event[2])[1]))
    return found


async def grown(ear: Ear, count: int) -> list[tuple[str, Any]]:
    while len(found := frames(ear)) < count:
        ear.heard.clear()
        await ear.heard.wait()
    return found


@pytest.mark.parametrize("accept", [PROTOBUF, EITHER, f"application/json;q=0.5,{PROTOBUF}"])
async def test_an_object_is_answered_as_its_json_says(server: Server, accept: str) -> None:
    created = await server.ask("POST", PODS, pod("a"), accept=accept)
    assert created.status == 201
    plain = (await server.get(f"{PODS}/a")).body
    assert same(read(created), plain)
    assert same(read(await server.get(f"{PODS}/a", accept=accept)), plain)


async def test_json_is_answered_where_it_is_liked_better(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    for accept in ("*/*", f"{PROTOBUF};q=0.5,application/json", f"application/json,{PROTOBUF}"):
        answer = await server.get(f"{MAPS}/a", accept=accept)
        assert answer.header("Content-Type") == ["application/json"]


async def test_every_write_is_answered_in_protobuf(server: Server) -> None:
    made = read(await server.ask("POST", SETS, statefulset(), accept=PROTOBUF))
    made["spec"]["replicas"] = 5
    updated = read(await server.ask("PUT", f"{SETS}/web", made, accept=PROTOBUF))
    assert updated["spec"]["replicas"] == 5
    patched = await server.patch(f"{SETS}/web", {"spec": {"replicas": 0}}, accept=PROTOBUF)
    assert read(patched)["spec"]["replicas"] == 0
    scale = read(await server.get(f"{SETS}/web/scale", accept=PROTOBUF))
    assert (scale["kind"], scale["spec"]) == ("Scale", {})
    gone = read(await server.ask("DELETE", f"{SETS}/web", accept=PROTOBUF))
    assert (gone["kind"], gone["status"]) == ("Status", "Success")


async def test_a_list_is_answered_as_its_json_says(server: Server) -> None:
    empty = read(await server.get(PODS, accept=PROTOBUF))
    assert (empty["kind"], empty["apiVersion"]) == ("PodList", "v1")
    assert "items" not in empty
    for n in range(130):
        await server.make(PODS, pod(f"p{n:03}"))
    for query in ("", "?limit=7", "?labelSelector=a=b"):
        plain = (await server.get(PODS + query)).body
        for item in plain["items"]:
            del item["kind"], item["apiVersion"]
        assert same(read(await server.get(PODS + query, accept=PROTOBUF)), plain)


async def test_converted_versions_are_answered_as_their_json_says(server: Server) -> None:
    event = {"metadata": {"name": "e", "namespace": "default"}, "reason": "R", "type": "Normal"}
    event["involvedObject"] = {"kind": "Pod", "namespace": "default", "name": "p"}
    await server.make("/api/v1/namespaces/default/events", event)
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    plain = (await server.get(path)).body
    found = read(await server.get(path, accept=PROTOBUF))
    assert found["items"][0]["regarding"]["name"] == "p"
    assert found["metadata"] == plain["metadata"]
    one = read(await server.get(f"{path}/e", accept=PROTOBUF))
    assert same(one, (await server.get(f"{path}/e")).body)


async def test_failures_are_told_in_protobuf(server: Server) -> None:
    for method, path, body in (
        ("GET", f"{PODS}/nope", None),
        ("POST", PODS, pod("UPPER")),
        ("GET", f"{PODS}?limit=x", None),
        ("PATCH", f"{PODS}/nope", {}),
    ):
        plain = await server.ask(method, path, body)
        answer = await server.ask(method, path, body, accept=PROTOBUF)
        assert answer.status == plain.status >= 400
        assert same(read(answer), plain.body)


async def test_a_table_is_no_protobuf(server: Server) -> None:
    table = f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1"
    answer = await server.get(PODS, accept=table)
    assert answer.status == 406
    assert answer.body["message"] == (
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf"
    )
    answer = await server.get(PODS, accept=f"{table},application/json;as=Table;g=meta.k8s.io;v=v1")
    assert answer.body["kind"] == "Table"


async def test_metadata_alone(server: Server) -> None:
    made = await server.make(PODS, pod("a", metadata={"labels": {"x": "1"}}))
    one = pieces((await server.get(f"{PODS}/a", accept=PARTIAL)).raw.removeprefix(MAGIC))
    assert pieces(one[1]) == {1: b"meta.k8s.io/v1", 2: b"PartialObjectMetadata"}
    whole = pieces(protobuf.encode(made).removeprefix(MAGIC))
    assert pieces(one[2]) == {1: pieces(whole[2])[1]}
    listed = pieces((await server.get(PODS, accept=PARTIAL_LIST)).raw.removeprefix(MAGIC))
    assert pieces(listed[1])[2] == b"PartialObjectMetadataList"
    assert pieces(listed[2])[2] == one[2]
    assert (await server.get(PODS, accept=PARTIAL)).status == 406


async def test_a_watch_sends_frames(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    reply = await server.reply("GET", MAPS, query=[("watch", "1")], accept=PROTOBUF)
    assert isinstance(reply, Stream)
    assert dict(reply.headers)["Content-Type"] == f"{PROTOBUF};stream=watch"
    async with server.watching(MAPS, accept=PROTOBUF) as ear, server.watching(MAPS) as plain:
        await ear.heard.wait()
        await server.patch(f"{MAPS}/a", {"data": {"b": "2"}})
        await server.ask("DELETE", f"{MAPS}/a")
        found, wanted = await grown(ear, 3), await plain.until(3)
        assert [kind for kind, _ in found] == ["ADDED", "MODIFIED", "DELETED"]
        for (kind, body), line in zip(found, wanted, strict=True):
            assert kind == line["type"]
            assert same(protobuf.decode(body), line["object"])


async def test_a_watch_of_metadata_alone(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    async with server.watching(MAPS, accept=PARTIAL) as ear:
        [(kind, body)] = await grown(ear, 1)
        assert kind == "ADDED"
        assert pieces(pieces(body.removeprefix(MAGIC))[1])[2] == b"PartialObjectMetadata"


async def test_a_watch_ends_its_initial_events_with_a_bookmark(server: Server) -> None:
    query = "?sendInitialEvents=1&allowWatchBookmarks=1&resourceVersionMatch=NotOlderThan"
    async with server.watching(MAPS + query, accept=PROTOBUF) as ear:
        [(kind, body)] = await grown(ear, 1)
        assert kind == "BOOKMARK"
        meta = protobuf.decode(body)["metadata"]
        assert meta["resourceVersion"] == str(server.store.revision)
        assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_discovery_in_protobuf(server: Server) -> None:
    for path, kind in (
        ("/api", b"APIVersions"),
        ("/apis", b"APIGroupList"),
        ("/apis/apps", b"APIGroup"),
        ("/apis/apps/v1", b"APIResourceList"),
    ):
        answer = await server.get(path, accept=PROTOBUF)
        assert answer.header("Content-Type") == [PROTOBUF]
        assert pieces(pieces(answer.raw.removeprefix(MAGIC))[1]) == {1: b"v1", 2: kind}
    message = pieces(pieces(answer.raw.removeprefix(MAGIC))[2])
    assert message[1] == b"apps/v1"
    assert pieces(message[2])[3] == b"StatefulSet"
    assert (await server.get("/version", accept=PROTOBUF)).body["major"] == "1"


def test_every_kind_and_its_list_can_be_answered() -> None:
    for resource in registry.RESOURCES:
        assert protobuf.is_known(resource.api_version, resource.kind)
        if "list" in resource.verbs:
            assert protobuf.is_known(resource.api_version, f"{resource.kind}List")
            name = protobuf_table.type_for(resource.api_version, f"{resource.kind}List")
            assert name is not None
            slots = protobuf_table.message_of(name).slots
            found = [getattr(slots[n], "name", "") for n in (1, 2)]
            assert found == ["metadata", "items"]


def test_every_status_can_be_told() -> None:
    faults = [errors.required("spec.a", "why"), errors.invalid("spec.b", 7, "no")]
    for error in (
        errors.not_found("pods", "x"),
        errors.invalid_object("apps", "StatefulSet", "x", faults),
        errors.internal("broken"),
    ):
        decoded = protobuf.decode(protobuf.encode(error.status()))
        assert same(decoded, error.status())


def test_messages_are_remembered_up_to_a_bound() -> None:
    values = [orjson.dumps(configmap(f"a{n}")) for n in range(20)]
    sizes = [len(value) + len(Messages().of(value)[1]) for value in values]
    messages = Messages(bytes_max=sum(sizes[-3:]))
    first = messages.of(values[0])
    assert messages.of(bytes(bytearray(values[0]))) is first
    parts = [messages.of(value) for value in values]
    for value, part in zip(values[-3:], parts[-3:], strict=True):
        assert messages.of(value) is part
    assert messages.of(values[-4]) is not parts[-4]
    assert messages.of(values[0]) is not first
    assert messages.of(values[0]) == first


def test_what_is_larger_than_the_bound_drives_nothing_out() -> None:
    small, large = (orjson.dumps(configmap("a", {"k": "v" * n})) for n in (1, 2000))
    messages = Messages(bytes_max=1000)
    kept = messages.of(small)
    assert messages.of(large) is not messages.of(large)
    assert messages.of(small) is kept
