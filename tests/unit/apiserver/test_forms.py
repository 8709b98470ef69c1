"""Forms of answers over real HTTP: dates, tags, gzip, YAML, limits, HEAD; as clients see them."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import pytest
import yaml

from petset.apiserver import negotiate
from petset.apiserver.app import refusal
from petset.base import edge
from petset.base.http import PeerCertificate, Reply, Request
from tests.unit.apiserver.harness import MAPS, PODS, Server, configmap, serving
from tests.unit.base.rawpeer import Answer, Front, Peer

ADMIN = PeerCertificate("admin", ("system:masters",))
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
BIG = "x" * 1000


AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@dataclass
class Wire:
    """A server behind its front."""

    server: Server
    front: Front

    async def ask(
        self, method: str, target: str, body: bytes = b"", *, peer: Peer | None = None, **more: str
    ) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}"]
        lines += [f"{key.replace('_', '-')}: {value}" for key, value in more.items()]
        peer = peer or await self.front.connect()
        peer.send("\r\n".join([*lines, "", ""]).encode() + body)
        return await peer.answer(head=method == "HEAD")

    async def fill(self, count: int) -> None:
        """Have config maps whose list is far above every threshold."""
        for i in range(count):
            await self.server.make(MAPS, configmap(f"m{i:03}", {"a": BIG}))


@asynccontextmanager
async def wired() -> AsyncIterator[Wire]:
    async with serving() as server:

        async def handler(request: Request) -> Reply:
            return await server.app.dispatch(replace(request, peer=ADMIN))

        limits = edge.Limits(linger_s=0.05)
        served = await edge.serve(handler, limits=limits, on_refuse=refusal, clock=server.clock)
        made = Front(served)
        try:
            async with asyncio.timeout(20):
                yield Wire(server, made)
        finally:
            for peer in made.peers:
                await peer.close()
            await served.close(1)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/version", b""),
        ("GET", "/nothing", b""),
        ("HEAD", "/api/v1/pods", b""),
        ("GET", f"{PODS}/none", b""),
        ("POST", PODS, b"{"),
        ("OPTIONS", "*", b""),
        ("BREW", "/", b""),
        ("GET", "/api/v1/%zz", b""),
    ],
)
async def test_every_answer_is_dated_by_the_servers_clock(
    method: str, target: str, body: bytes
) -> None:
    async with wired() as wire:
        answer = await wire.ask(method, target, body)
        date = parsedate_to_datetime(answer.headers["date"])
        assert date.timestamp() == wire.server.clock.now()


@pytest.mark.parametrize(
    "target", ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1", "/apis", "/api"]
)
async def test_what_changes_seldom_is_tagged(target: str) -> None:
    async with wired() as wire:
        first = await wire.ask("GET", target, accept=AGGREGATED)
        tag = first.headers["etag"]
        assert tag.startswith('"')
        assert tag.endswith('"')
        for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            same = await wire.ask(
                "GET", target, accept=AGGREGATED, if_none_match=given, accept_encoding="gzip"
            )
            assert same.status == 304
            assert same.headers["etag"] == tag
            assert not {"content-type", "content-length", "content-encoding"} & set(same.headers)
        other = await wire.ask("GET", target, accept=AGGREGATED, if_none_match='"other"')
        assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("*;q=0, gzip", True),
        ("gzip ; q=0.1", True),
        ("identity;q=0, gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("gzip;q=x", False),
        ("gzip;q=nan", False),
        ("xgzip", False),
        ("identity", False),
        (",", False),
        ("", False),
    ],
)
def test_qualities_of_encodings_are_kept(header: str, wanted: bool) -> None:
    assert negotiate.accepts_gzip(header) is wanted


async def test_large_answers_are_packed_for_those_who_ask() -> None:
    async with wired() as wire:
        await wire.fill(200)
        plain = await wire.ask("GET", MAPS)
        assert "content-encoding" not in plain.headers
        assert len(plain.body) > 200_000
        packed = await wire.ask("GET", MAPS, accept_encoding="gzip")
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert gzip.decompress(packed.body) == plain.body
        head = await wire.ask("HEAD", MAPS, accept_encoding="gzip")
        assert head.headers["content-encoding"] == "gzip"
        small = await wire.ask("GET", f"{MAPS}/m000", accept_encoding="gzip")
        assert "content-encoding" not in small.headers
        refused = await wire.ask("GET", MAPS, accept_encoding="gzip;q=0")
        assert refused.body == plain.body


async def test_watches_are_not_packed() -> None:
    async with wired() as wire:
        await wire.fill(200)
        peer = await wire.front.connect()
        peer.send(
            f"GET {MAPS}?watch=1&timeoutSeconds=1 HTTP/1.1\r\nHost: h\r\n".encode()
            + b"Accept-Encoding: gzip\r\n\r\n"
        )
        status, headers, _ = await peer.head()
        assert (status, headers["content-type"]) == (200, "application/json")
        assert "content-encoding" not in headers
        assert (await peer.chunk()).startswith(b'{"type":"ADDED"')


async def test_yaml_for_those_who_read_it() -> None:
    async with wired() as wire:
        await wire.fill(2)
        for target in (MAPS, f"{MAPS}/m000", "/version", "/apis/apps/v1", "/api"):
            answer = await wire.ask("GET", target, accept="application/yaml")
            assert answer.headers["content-type"] == "application/yaml"
            same = await wire.ask("GET", target)
            assert yaml.safe_load(answer.body) == orjson.loads(same.body)
            assert not answer.body.startswith(b"{")


async def test_statuses_are_yaml_where_objects_would_be() -> None:
    async with wired() as wire:
        answer = await wire.ask("GET", f"{PODS}/none", accept="application/yaml")
        assert (answer.status, answer.headers["content-type"]) == (404, "application/yaml")
        assert yaml.safe_load(answer.body)["reason"] == "NotFound"
        mixed = await wire.ask("GET", f"{PODS}/none", accept="application/json, application/yaml")
        assert orjson.loads(mixed.body)["reason"] == "NotFound"
        neither = await wire.ask("GET", PODS, accept="text/yaml")
        assert (neither.status, orjson.loads(neither.body)["reason"]) == (406, "NotAcceptable")


async def test_large_yaml_is_written_without_delay_and_packed_as_well() -> None:
    async with wired() as wire:
        await wire.fill(200)
        answer = await wire.ask("GET", MAPS, accept="application/yaml", accept_encoding="gzip")
        assert answer.headers["content-type"] == "application/yaml"
        assert answer.headers["content-encoding"] == "gzip"
        assert len(yaml.load(gzip.decompress(answer.body), _loader())["items"]) == 200


def _loader() -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_over_the_limit_are_told_the_limit(chunked: bool) -> None:
    body = b" " * (3 * 1024 * 1024 + 1)
    async with wired() as wire:
        peer = await wire.front.connect()
        head = f"POST {MAPS} HTTP/1.1\r\nHost: h\r\n".encode()
        if chunked:
            peer.send(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body)
        else:
            peer.send(head + b"Content-Length: %d\r\n\r\n" % len(body))
        answer = await peer.answer()
        status = orjson.loads(answer.body)
        assert (answer.status, status["code"]) == (413, 413)
        assert status["reason"] == "RequestEntityTooLarge"
        assert status["message"] == "Request entity too large: limit is 3145728"


async def test_refusals_of_the_front_are_statuses() -> None:
    async with wired() as wire:
        peer = await wire.front.connect()
        peer.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 70_000 + b"\r\n\r\n")
        answer = await peer.answer()
        assert answer.headers["content-type"] == "application/json"
        assert (answer.status, orjson.loads(answer.body)["code"]) == (431, 431)


@pytest.mark.parametrize("target", [MAPS, f"{MAPS}/m000", "/version", "/nothing", "/readyz"])
async def test_head_is_get_without_its_body(target: str) -> None:
    async with wired() as wire:
        await wire.fill(1)
        head, full = await wire.ask("HEAD", target), await wire.ask("GET", target)
        assert head.status == full.status
        for answer in (head, full):
            del answer.headers["audit-id"]
        assert head.headers == full.headers


async def test_the_target_of_the_whole_server_is_nothing_here() -> None:
    async with wired() as wire:
        answer = await wire.ask("OPTIONS", "*")
        assert (answer.status, answer.body) == (404, b"404 page not found\n")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "LOCK"])
async def test_methods_that_nothing_has_are_not_allowed(method: str) -> None:
    async with wired() as wire:
        answer = await wire.ask(method, PODS)
        assert (answer.status, orjson.loads(answer.body)["reason"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("accept", ["application/json", AS_TABLE, "application/yaml"])
async def test_large_lists_are_indented_in_slices(accept: str) -> None:
    async with serving() as server:
        for number in range(150):
            await server.make(MAPS, configmap(f"m{number}", {"k": '"] \n{' * 300}))
        target = f"{MAPS}?includeObject=Object"
        plain = await server.get(target, accept=accept.replace("yaml", "json"))
        turns, done = 0, False

        async def count() -> None:
            nonlocal turns
            while not done:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        target += "&pretty=true"
        answer = await server.get(target, accept=accept)
        packed = await server.get(target, accept=accept, accept_encoding="gzip")
        done = True
        await counting
        whole = orjson.dumps(orjson.loads(plain.raw), option=orjson.OPT_INDENT_2) + b"\n"
        assert answer.raw == whole
        assert answer.header("Content-Type") == [accept.partition(";")[0]]
        assert gzip.decompress(packed.raw) == whole
        assert turns > len(whole) // 200_000
