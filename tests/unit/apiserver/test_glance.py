"""Gets that are answered at once: the same answers as on the long way, or none."""

from collections.abc import Mapping

import pytest

from petset.base.http import Later, PeerCertificate, Request, Response
from tests.unit.apiserver.harness import MAPS, PODS, Server, configmap, node, pod, serving

KUBECTL = {
    "accept": "application/json",
    "user-agent": "kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd",
    "accept-encoding": "gzip",
}
ROOT = PeerCertificate("kubernetes-admin", ("system:masters",))
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
PACKED = {"accept": "application/vnd.kubernetes.protobuf, application/json"}
PARTIAL = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
AT_ONCE: list[tuple[str, Mapping[str, str]]] = [
    (f"{MAPS}/a", {}),
    (f"{MAPS}/a", KUBECTL),
    (f"{MAPS}/a", {"accept": "*/*"}),
    (f"{MAPS}/a/", KUBECTL),
    (f"{PODS}/p", KUBECTL),
    ("/api/v1/nodes/n1", KUBECTL),
    ("/api/v1/namespaces/default", KUBECTL),
    (f"{MAPS}/a", PACKED),
    (f"{PODS}/p", PACKED),
    ("/api/v1/nodes/n1", {**PACKED, "user-agent": "curl/8.0"}),
]
LATER: list[tuple[str, Mapping[str, str]]] = [
    (f"{MAPS}/b", KUBECTL),
    (f"{MAPS}/large", KUBECTL),
    (f"{MAPS}/a/status", KUBECTL),
    (f"{PODS}/p/log", KUBECTL),
    (f"{PODS}/p/scale", KUBECTL),
    (MAPS, KUBECTL),
    ("/api/v1/nodes", KUBECTL),
    ("/api/v1/configmaps/a", KUBECTL),
    ("/api/v1/watch/namespaces/default/configmaps/a", KUBECTL),
    ("/api/v1/things/a", KUBECTL),
    ("/healthz", KUBECTL),
    ("/api/v1", KUBECTL),
    (f"{MAPS}/a", TABLE),
    (f"{MAPS}/a", {"accept": "application/yaml"}),
    (f"{MAPS}/a", {"accept": "text/html"}),
    (f"{MAPS}/large", PACKED),
    (f"{MAPS}/b", PACKED),
    (f"{MAPS}/a", {"accept": f"{PARTIAL}, application/json"}),
    (f"{MAPS}/a", {"user-agent": "curl/8.0"}),
    (f"{MAPS}/a", {"impersonate-user": "system:anonymous"}),
    (f"{MAPS}/a", {"impersonate-group": "x"}),
]


def as_asked(path: str, headers: Mapping[str, str], peer: PeerCertificate | None) -> Request:
    return Request("GET", path, (), headers, raw_target=path, peer=peer, notes={})


async def both(server: Server, request: Request) -> tuple[Response | None, Response]:
    quick = server.app.at_once(request)
    slow = await server.app.dispatch(request)
    assert isinstance(slow, Response)
    assert not isinstance(quick, Later)
    return quick, slow


def told(response: Response) -> tuple[int, list[tuple[str, str]], object]:
    headers = [(name, "" if name == "Audit-Id" else value) for name, value in response.headers]
    return response.status, headers, response.body


async def fill(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    await server.make(MAPS, configmap("large", {"k": "v" * 200_000}))
    await server.make(PODS, pod("p"))
    await server.make("/api/v1/nodes", node("n1"))


@pytest.mark.parametrize(("path", "headers"), AT_ONCE)
async def test_what_is_answered_at_once_is_answered_alike(
    path: str, headers: Mapping[str, str]
) -> None:
    async with serving() as server:
        await fill(server)
        request = as_asked(path, headers, ROOT)
        for _ in range(2):
            quick, slow = await both(server, request)
            assert quick is not None
            assert told(quick) == told(slow)
        ids = {dict(r.headers)["Audit-Id"] for r in await both(server, request) if r is not None}
        assert len(ids) == 2


@pytest.mark.parametrize(("path", "headers"), LATER)
async def test_what_takes_more_is_left_to_the_handler(
    path: str, headers: Mapping[str, str]
) -> None:
    async with serving() as server:
        await fill(server)
        request = as_asked(path, headers, ROOT)
        for _ in range(2):
            assert server.app.at_once(request) is None


@pytest.mark.parametrize("peer", [None, PeerCertificate("")])
async def test_nobody_is_answered_at_once_without_credentials(peer: PeerCertificate | None) -> None:
    async with serving() as server:
        await fill(server)
        quick, slow = await both(server, as_asked(f"{MAPS}/a", KUBECTL, peer))
        assert quick is None
        assert slow.status == 401


async def test_requests_without_notes_are_left_to_the_handler() -> None:
    async with serving() as server:
        await fill(server)
        assert server.app.at_once(Request("GET", f"{MAPS}/a", (), KUBECTL, peer=ROOT)) is None


async def test_every_answer_shows_the_object_as_it_is_now() -> None:
    async with serving() as server:
        await fill(server)
        request = as_asked(f"{MAPS}/a", KUBECTL, ROOT)
        for value in ("1", "2", "3"):
            await server.patch(f"{MAPS}/a", {"data": {"a": value}})
            quick, slow = await both(server, request)
            assert quick is not None
            assert told(quick) == told(slow)
        await server.ask("DELETE", f"{MAPS}/a")
        quick, slow = await both(server, request)
        assert quick is None
        assert slow.status == 404


async def test_answers_at_once_are_counted() -> None:
    async with serving() as server:
        await fill(server)
        request = as_asked(f"{MAPS}/a", KUBECTL, ROOT)
        for _ in range(3):
            assert server.app.at_once(request) is not None
        text = (await server.get("/metrics")).raw.decode()
    labels = 'code="200",group="",resource="configmaps",verb="get"'
    assert f"apiserver_request_total{{{labels}}} 3.0" in text
    assert 'apiserver_request_duration_seconds_count{verb="get"} 3.0' in text
