"""What is answered before any resource is looked at: paths, identities, discovery, health."""

import asyncio
import gzip
from collections.abc import Iterable, Iterator

import orjson
import pytest

from petset.api import openapi, swagger
from petset.apiserver.documents import OPENAPI_V2
from petset.base.http import PeerCertificate, Request, Response
from petset.store.drivers.memory import MemoryStore
from petset.store.types import Item, Make, UnavailableError
from tests.unit.apiserver.harness import MAPS, PODS, HandClock, Server, configmap, serving

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
AGGREGATED = f"{V2},{V2.replace('v=v2', 'v=v2beta1')},application/json"


async def test_strangers_see_health_and_version_only(server: Server) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping", "/version", "/version/"):
        assert (await server.get(path, identity=None)).status == 200
    for path in ("/", "/api", "/apis", "/metrics", "/openapi/v3", MAPS, "/nothing"):
        answer = await server.get(path, identity=None)
        assert (answer.status, answer.body["reason"]) == (401, "Unauthorized")
    token = await server.get("/healthz", identity=None, authorization="Bearer x")
    assert token.status == 401


async def test_certificates_name_people(server: Server) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    peer = PeerCertificate("alice", ("dev", "ops"))
    answer = await server.ask("POST", path, {}, identity=None, peer=peer)
    assert answer.body["status"]["userInfo"] == {
        "username": "alice",
        "groups": ["dev", "ops", "system:authenticated"],
    }
    other = await server.ask(
        "POST",
        path,
        {},
        identity=None,
        peer=PeerCertificate("root", ("system:masters",)),
        impersonate_user="system:serviceaccount:ns:sa",
        impersonate_extra_scopes="a, b",
    )
    assert other.body["status"]["userInfo"] == {
        "username": "system:serviceaccount:ns:sa",
        "groups": [
            "system:serviceaccounts",
            "system:serviceaccounts:ns",
            "system:authenticated",
        ],
        "extra": {"scopes": ["a", "b"]},
    }
    lacking = await server.get(MAPS, impersonate_group="x")
    assert lacking.status == 500
    assert "without impersonating a user" in lacking.body["message"]


async def test_reviews_say_yes_until_there_are_rules(server: Server) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    spec = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    answer = await server.ask("POST", path, {"spec": spec})
    assert (answer.status, answer.body["status"]["allowed"]) == (201, True)
    rules = await server.ask(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        {"spec": {"namespace": "default"}},
    )
    assert rules.body["status"]["resourceRules"][0]["verbs"] == ["*"]
    token = await server.ask(
        "POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x"}}
    )
    assert token.body["status"]["authenticated"] is False


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v2/pods", 404),
        ("GET", "/apis/apps/v1/nothing", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", f"{PODS}/a/nothing", 404),
        ("GET", "/api/v1/pods/a", 404),
        ("POST", "/api/v1/pods", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("PUT", PODS, 405),
        ("PATCH", PODS, 405),
        ("PATCH", "/api/v1/nodes", 405),
        ("GET", "/api/v1/namespaces/default/bindings", 405),
        ("POST", "/version", 405),
        ("GET", f"{PODS}/none/status", 404),
        ("GET", f"{PODS}/none/log", 404),
        ("POST", f"{PODS}/a/log", 405),
        ("GET", f"{PODS}/a/proxy/x/y", 501),
        ("GET", "/api/v1/nodes/n/proxy/metrics", 501),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/a/token", 501),
        ("GET", f"{PODS}/a/ephemeralcontainers", 501),
    ],
)
async def test_paths_and_verbs(server: Server, method: str, path: str, code: int) -> None:
    assert (await server.ask(method, path)).status == code


async def test_unknown_paths_are_plain_text(server: Server) -> None:
    answer = await server.get("/nothing")
    assert answer.raw == b"404 page not found\n"
    assert answer.header("Content-Type") == ["text/plain"]


async def test_every_answer_has_its_headers(server: Server) -> None:
    audits = set()
    for path in (MAPS, "/nothing", "/version"):
        answer = await server.get(path)
        audits.update(answer.header("Audit-Id"))
        assert answer.header("Cache-Control") == ["no-cache, private"]
    assert len(audits) == 3


async def test_aggregated_discovery(server: Server) -> None:
    answer = await server.get("/apis", accept=AGGREGATED)
    assert answer.header("Content-Type") == [V2]
    assert answer.body["kind"] == "APIGroupDiscoveryList"
    (tag,) = answer.header("ETag")
    same = await server.get("/apis", accept=AGGREGATED, if_none_match=tag)
    assert (same.status, same.raw, same.header("Content-Type")) == (304, b"", [])
    core = await server.get("/api", accept=AGGREGATED)
    assert core.body["items"][0]["metadata"]["name"] == ""
    older = await server.get("/apis", accept=AGGREGATED.partition(",")[2])
    assert older.header("Content-Type") == [V2.replace("v=v2", "v=v2beta1")]
    strange = await server.get("/apis", accept=V2.replace("v=v2", "v=v9") + ",application/json")
    assert strange.body["kind"] == "APIGroupList"


async def test_legacy_discovery_with_and_without_slash(server: Server) -> None:
    assert (await server.get("/api/")).body["versions"] == ["v1"]
    assert (await server.get("/apis/")).body["kind"] == "APIGroupList"
    assert (await server.get("/apis/apps")).body["preferredVersion"]["version"] == "v1"
    found = (await server.get("/api/v1/")).body["resources"]
    assert "pods/eviction" in {r["name"] for r in found}
    assert (await server.get("/apis/nothing")).status == 404
    assert "/apis/apps/v1" in (await server.get("/")).body["paths"]


async def test_openapi_documents_are_cached_for_ever(server: Server) -> None:
    index = await server.get("/openapi/v3")
    where = index.body["paths"]["apis/apps/v1"]["serverRelativeURL"]
    (tag,) = index.header("ETag")
    assert (await server.get("/openapi/v3", if_none_match=tag)).status == 304
    document = await server.get(where)
    assert document.body["openapi"].startswith("3.")
    assert document.header("Cache-Control") == ["public, immutable"]
    assert document.header("Expires") == ["Wed, 13 Nov 2024 22:13:20 GMT"]
    bare = await server.get("/openapi/v3/apis/apps/v1", accept_encoding="gzip")
    assert bare.header("Content-Encoding") == ["gzip"]
    assert bare.header("Cache-Control") == ["no-cache, private"]
    assert (await server.get("/openapi/v3/apis/none/v1")).status == 404


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "application/json"),
        ("application/json, */*", "application/json"),
        ("text/html, application/json;q=0.5", "application/json"),
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", OPENAPI_V2),
        (f"{OPENAPI_V2}, application/json", OPENAPI_V2),
        (f"{OPENAPI_V2};q=0.1, application/json", "application/json"),
    ],
)
async def test_openapi_v2_comes_in_the_form_that_is_asked_for(
    server: Server, accept: str, form: str
) -> None:
    answer = await server.get("/openapi/v2", accept=accept)
    assert (answer.status, answer.header("Content-Type")) == (200, [form])
    assert answer.header("Vary") == ["Accept, Accept-Encoding"]
    if form == OPENAPI_V2:
        assert answer.raw.startswith(b"\x0a\x032.0")
    else:
        assert answer.body["swagger"] == "2.0"
    (tag,) = answer.header("ETag")
    same = await server.get("/openapi/v2", accept=accept, if_none_match=tag)
    assert (same.status, same.raw, same.header("Content-Type")) == (304, b"", [])
    packed = await server.get("/openapi/v2", accept=accept, accept_encoding="gzip")
    assert packed.header("Content-Encoding") == ["gzip"]
    assert gzip.decompress(packed.raw) == answer.raw


async def test_openapi_v2_is_made_once_for_all_who_wait(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    openapi.version_2.cache_clear()
    made = []
    parts = swagger.parts

    def counted(documents: Iterable[bytes]) -> Iterator[swagger.Part]:
        made.append(True)
        return parts(documents)

    monkeypatch.setattr(swagger, "parts", counted)
    answers = await asyncio.gather(*(server.get("/openapi/v2") for _ in range(4)))
    assert {answer.status for answer in answers} == {200}
    assert len(made) == 1


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1"])
async def test_openapi_in_other_forms_is_refused(server: Server, path: str) -> None:
    accept = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf, text/html"
    answer = await server.get(path, accept=accept)
    assert (answer.status, answer.body["reason"]) == (406, "NotAcceptable")


async def test_readiness_waits_for_what_was_registered(server: Server) -> None:
    good = False

    async def later() -> bool:
        return good

    server.app.add_ready_check("controllers", later)
    answer = await server.get("/readyz")
    assert answer.status == 500
    assert b"[-]controllers failed: reason withheld\nreadyz check failed" in answer.raw
    excluded = await server.get("/readyz?exclude=controllers&verbose")
    assert excluded.status == 200
    assert b"[+]controllers excluded: ok" in excluded.raw
    assert (await server.get("/readyz/controllers")).status == 500
    assert (await server.get("/livez")).raw == b"ok"
    good = True
    verbose = await server.get("/readyz?verbose")
    assert verbose.raw.endswith(b"readyz check passed\n")
    assert (await server.get("/readyz/nothing")).status == 404


async def test_metrics_count_requests(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    text = (await server.get("/metrics")).raw.decode()
    wanted = 'apiserver_request_total{code="201",group="",resource="configmaps",verb="create"} 1.0'
    assert wanted in text
    assert "petset_store_revision" in text
    assert "apiserver_request_duration_seconds_bucket" in text


class FullDisk(MemoryStore):
    """A store that cannot write any more."""

    full = False

    async def put(self, key: str, make: Make, *, expect: int) -> Item:
        if self.full:
            raise UnavailableError("no space left on device")
        return await super().put(key, make, expect=expect)


async def test_what_is_not_durable_is_not_acknowledged() -> None:
    store = FullDisk(HandClock())
    async with serving(store) as server:
        store.full = True
        answer = await server.ask("POST", MAPS, configmap("a"))
        assert (answer.status, answer.body["reason"]) == (500, "InternalError")
        assert "no space left on device" in answer.body["message"]
        assert (await server.get(f"{MAPS}/a")).status == 404


class BrokenStore(MemoryStore):
    """A store with a bug."""

    broken = False

    def get(self, key: str) -> Item | None:
        if self.broken:
            raise ZeroDivisionError("oh")
        return super().get(key)


async def test_bugs_are_answered_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    store = BrokenStore(HandClock())
    async with serving(store) as server:
        store.broken = True
        answer = await server.get(f"{MAPS}/a")
        assert (answer.status, answer.body["reason"]) == (500, "InternalError")
        assert "ZeroDivisionError" in caplog.text
        assert b"petset_apiserver_bugs_total 1.0" in (await server.get("/metrics")).raw


class SlowStore(MemoryStore):
    """A store whose writes hang."""

    slow = False

    async def put(self, key: str, make: Make, *, expect: int) -> Item:
        if self.slow:
            await asyncio.Event().wait()
        return await super().put(key, make, expect=expect)


async def test_writes_that_take_too_long_time_out() -> None:
    store = SlowStore(HandClock())
    async with serving(store, request_timeout_s=0.02) as server:
        store.slow = True
        answer = await server.ask("POST", MAPS, configmap("a"))
        assert (answer.status, answer.body["reason"]) == (504, "Timeout")


async def test_dispatch_takes_bare_requests(server: Server) -> None:
    reply = await server.app.dispatch(Request("GET", "/version/"))
    assert isinstance(reply, Response)
    assert isinstance(reply.body, bytes)
    assert orjson.loads(reply.body)["gitVersion"].startswith("v1.37.0+petset")
