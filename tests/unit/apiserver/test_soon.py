"""Creates without a task: the same answers as on the long way, or none."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from petset.base.http import Later, PeerCertificate, Request, Response
from petset.base.wirehead import split_target
from petset.store.drivers.memory import MemoryStore
from petset.store.types import Done, Make, UnavailableError
from tests.unit.apiserver.harness import (
    MAPS,
    PODS,
    SERVICES,
    SETS,
    HandClock,
    Server,
    configmap,
    node,
    pod,
    serving,
    statefulset,
)

JSON = {"content-type": "application/json", "user-agent": "kubectl/v1.32.4"}
ROOT = PeerCertificate("kubernetes-admin", ("system:masters",))
NODES = "/api/v1/nodes"
SOON: list[tuple[str, Any, Mapping[str, str]]] = [
    (MAPS, configmap("a"), JSON),
    (MAPS, configmap("a"), {}),
    (MAPS, configmap("a"), {**JSON, "content-type": "application/json; charset=utf-8"}),
    (MAPS, {**configmap("a"), "unknown": 1}, JSON),
    (MAPS, {"metadata": {"generateName": "g-"}}, JSON),
    (MAPS, configmap("a", {"k": "v" * 200_000}), {**JSON, "accept-encoding": "gzip"}),
    (f"{MAPS}?fieldManager=kubectl-create&fieldValidation=Strict", configmap("a"), JSON),
    (f"{MAPS}?fieldValidation=Ignore", {**configmap("a"), "unknown": 1}, JSON),
    (f"{MAPS}?fieldValidation=&fieldManager=", {**configmap("a"), "unknown": 1}, JSON),
    (MAPS, {**configmap("a"), "data": {}, "binaryData": None}, JSON),
    (MAPS, {"metadata": {"name": "a", "labels": {}, "uid": "x", "generation": 3}}, JSON),
    (MAPS, {"metadata": {"name": "a", "managedFields": []}}, JSON),
    (MAPS, {"metadata": {"name": "a.b.c", "annotations": {"a/b": "c"}}, "immutable": True}, JSON),
    (
        "/api/v1/namespaces/default/secrets",
        {"metadata": {"name": "s"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}},
        JSON,
    ),
    (
        "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        {"metadata": {"name": "l"}, "spec": {"renewTime": "2026-11-20T05:02:52.1Z"}},
        JSON,
    ),
    (PODS, pod("p"), JSON),
    (SETS, statefulset(), JSON),
    (NODES, node("n"), JSON),
]
NOT_SOON: list[tuple[str, Any, Mapping[str, str]]] = [
    (MAPS, configmap("there"), JSON),
    (MAPS, configmap("-bad"), JSON),
    (MAPS, {"kind": "Pod"}, JSON),
    (MAPS, [], JSON),
    ("/api/v1/namespaces/none/configmaps", configmap("a"), JSON),
    (MAPS, configmap("a"), {"content-type": "text/plain"}),
    (MAPS, configmap("a"), {**JSON, "content-type": "application/yaml"}),
    (MAPS, configmap("a"), {**JSON, "accept": "application/yaml"}),
    (MAPS, configmap("a"), {**JSON, "user-agent": "curl/8.0"}),
    (MAPS, configmap("a"), {**JSON, "impersonate-user": "system:anonymous"}),
    (f"{MAPS}?dryRun=All", configmap("a"), JSON),
    (f"{MAPS}?pretty=true", configmap("a"), JSON),
    (f"{MAPS}?timeout=1s", configmap("a"), JSON),
    (f"{MAPS}?fieldValidation=Strict", {**configmap("a"), "unknown": 1}, JSON),
    (f"{MAPS}?fieldValidation=Loose", configmap("a"), JSON),
    (f"{MAPS}?fieldManager={'x' * 129}", configmap("a"), JSON),
    (f"{MAPS}/a", configmap("a"), JSON),
    (f"{PODS}/p/binding", {"target": {"name": "n"}}, JSON),
    (SERVICES, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}}, JSON),
    ("/api/v1/namespaces/default/endpoints", {"metadata": {"name": "e"}}, JSON),
    ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {}}, JSON),
    ("/api/v1/things", {}, JSON),
    ("/healthz", {}, JSON),
]


def asked(path: str, obj: Any, headers: Mapping[str, str], notes: Any = None) -> Request:
    body = orjson.dumps(obj)
    kept = {} if notes is None else notes
    where, query, _ = split_target(path)
    return Request("POST", where, query, headers, body, path, peer=ROOT, notes=kept)


def told(response: Response) -> tuple[int, list[tuple[str, str]], object]:
    headers = [(name, "" if name == "Audit-Id" else value) for name, value in response.headers]
    return response.status, headers, response.body


async def taken(later: Response | Later | None) -> Response:
    assert isinstance(later, Later)
    future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    later.take = future.set_result
    async with asyncio.timeout(5):
        return await future


@pytest.mark.parametrize(("path", "obj", "headers"), SOON)
async def test_what_is_made_without_a_task_is_made_and_answered_alike(
    path: str, obj: Any, headers: Mapping[str, str]
) -> None:
    async with serving() as one, serving() as other:
        quick = await taken(one.app.at_once(asked(path, obj, headers)))
        slow = await other.app.dispatch(asked(path, obj, headers))
        assert isinstance(slow, Response)
        assert quick.status == 201
        assert told(quick) == told(slow)
        assert one.store.list("").items == other.store.list("").items
        for server in (one, other):
            text = (await server.get("/metrics")).raw.decode()
            assert 'verb="create"} 1.0' in text
            assert 'apiserver_current_inflight_requests{request_kind="mutating"} 0.0' in text


@pytest.mark.parametrize(("path", "obj", "headers"), NOT_SOON)
async def test_other_creates_go_the_long_way(
    path: str, obj: Any, headers: Mapping[str, str]
) -> None:
    async with serving() as server:
        await server.make(MAPS, configmap("there"))
        before = server.store.list("")
        assert server.app.at_once(asked(path, obj, headers)) is None
        assert server.store.list("") == before
        assert server.app.metrics.mutating.now == 0


async def test_who_may_not_or_is_not_known_or_asks_for_more_goes_the_long_way(
    server: Server,
) -> None:
    request = asked(MAPS, configmap("a"), JSON)
    request.notes = None
    assert server.app.at_once(request) is None
    request = asked(MAPS, configmap("a"), JSON)
    request.peer = None
    assert server.app.at_once(request) is None
    request = asked(MAPS, configmap("a"), JSON)
    request.query = [("dryRun", "All")]
    assert server.app.at_once(request) is None
    assert server.store.get("configmaps/default/a") is None


async def test_of_two_with_one_name_the_second_goes_the_long_way(server: Server) -> None:
    first = server.app.at_once(asked(MAPS, configmap("a"), JSON))
    assert server.app.at_once(asked(MAPS, configmap("a"), JSON)) is None
    refused = await server.app.dispatch(asked(MAPS, configmap("a"), JSON))
    assert isinstance(refused, Response)
    assert refused.status == 409
    assert isinstance(first, Later)


class Disk(MemoryStore):
    """A store whose disk fills up, or which hangs, while it writes."""

    full = stuck = False

    def put_soon(self, key: str, make: Make, done: Done, *, expect: int) -> None:
        if self.full:
            full = UnavailableError("no space left on device")
            asyncio.get_running_loop().call_soon(done, full)
        elif not self.stuck:
            super().put_soon(key, make, done, expect=expect)


async def test_what_is_not_durable_is_not_acknowledged() -> None:
    store = Disk(HandClock())
    async with serving(store) as server:
        store.full = True
        reply = await taken(server.app.at_once(asked(MAPS, configmap("a"), JSON)))
        assert reply.status == 500
        assert isinstance(reply.body, bytes)
        assert "no space left on device" in orjson.loads(reply.body)["message"]
        assert server.app.metrics.mutating.now == 0


async def test_writes_that_take_too_long_time_out() -> None:
    store = Disk(HandClock())
    async with serving(store, request_timeout_s=0.5) as server:
        notes: dict[str, object] = {}
        store.stuck = True
        first = server.app.at_once(asked(MAPS, configmap("a"), JSON, notes))
        store.stuck = False
        second = server.app.at_once(asked(MAPS, configmap("b"), JSON, notes))
        assert (await taken(second)).status == 201
        reply = await taken(first)
        assert isinstance(reply.body, bytes)
        assert (reply.status, orjson.loads(reply.body)["reason"]) == (504, "Timeout")
        assert server.app.metrics.mutating.now == 0
