"""The server as resolvers of all kinds meet it: noise, parallel, over TCP, with deaf helpers."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncGenerator

import pytest
from dnslib import EDNS0, DNSRecord

from petset.dns import forward, server
from petset.dns.forward import Upstream
from petset.dns.local import SLICES
from tests.unit.dns.objects import service
from tests.unit.dns.test_server import NAME, NGINX, nginx_slice, resolver, serving

SERVICE = "nginx.default.svc.cluster.local"


@contextlib.asynccontextmanager
async def deaf() -> AsyncGenerator[Upstream, None]:
    """A resolver that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


def closed_port() -> Upstream:
    """An address where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address: Upstream = sock.getsockname()
    return address


async def test_broken_messages_never_stop_the_server() -> None:
    chance = random.Random(7)
    whole = DNSRecord.question(NAME, "SRV")
    whole.add_ar(EDNS0(udp_len=1232))
    good = whole.pack()
    async with serving() as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with asker:
            asker.connect(served.udp.getsockname())
            for number in range(3000):
                bad = bytearray(good[: chance.randint(0, len(good))])
                for _ in range(chance.randint(0, 4) if bad else 0):
                    bad[chance.randrange(len(bad))] = chance.randrange(256)
                asker.send(bytes(bad))
                if number % 100 == 0:
                    assert str((await served.ask(NAME)).rr[0].rdata) == "10.128.0.5"
        reader, writer = await asyncio.open_connection(*served.tcp.getsockname())
        writer.write(struct.pack("!H", 5) + b"abcde")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert str((await served.ask(NAME, tcp=True)).rr[0].rdata) == "10.128.0.5"


async def test_both_families_asked_at_once_from_one_socket_are_both_answered() -> None:
    queries = [DNSRecord.question(SERVICE, kind) for kind in ("A", "AAAA")]
    loop = asyncio.get_running_loop()
    async with serving() as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(served.udp.getsockname())
            for query in queries:
                await loop.sock_sendall(sock, query.pack())
            async with asyncio.timeout(10):
                raw = [await loop.sock_recv(sock, 4096) for _ in queries]
    replies = {r.header.id: r for r in map(DNSRecord.parse, raw)}
    one, six = (replies[q.header.id] for q in queries)
    assert (one.header.rcode, len(one.rr)) == (0, 1)
    assert (six.header.rcode, len(six.rr), len(six.auth)) == (0, 0, 1), "no data, but the name is"


async def test_letters_of_mixed_case_are_echoed_each_time() -> None:
    chance = random.Random(3)
    async with serving() as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        for _ in range(20):
            mixed = "".join(chance.choice((c.upper(), c)) for c in NAME)
            for _ in range(2):
                reply = await served.ask(mixed)
                assert str(reply.q.qname) == f"{mixed}."
                assert str(reply.rr[0].rname) == f"{mixed}."


async def test_the_extension_record_is_answered_where_it_was_sent() -> None:
    async with serving() as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        for payload, count in ((0, 0), (1232, 1), (0, 0), (512, 1)):
            reply = await served.ask(NAME, payload=payload)
            assert len(reply.ar) == count
        query = DNSRecord.question(NAME)
        query.add_ar(EDNS0(version=1))
        bad = DNSRecord.parse(await served.send(query.pack()))
        assert (bad.header.rcode, bad.ar[0].ttl >> 24) == (0, 1)


async def test_many_records_of_services_are_cut_for_udp_and_whole_over_tcp() -> None:
    name = f"_web._tcp.{SERVICE}"
    async with serving() as served:
        served.fill([NGINX], [nginx_slice(*(f"10.128.1.{i}" for i in range(60)))])
        for payload in (0, 1232):
            cut = await served.ask(name, "SRV", payload=payload)
            assert cut.header.tc
            assert 0 < len(cut.rr) < 60
            assert len(cut.pack()) <= (payload or 512)
        whole = await served.ask(name, "SRV", tcp=True)
        assert (whole.header.tc, len(whole.rr), len(whole.ar)) == (0, 60, 60)


async def test_one_connection_carries_many_questions() -> None:
    async with serving() as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        reader, writer = await asyncio.open_connection(*served.tcp.getsockname())
        queries = [DNSRecord.question(NAME) for _ in range(5)]
        for query in queries:
            raw = query.pack()
            writer.write(struct.pack("!H", len(raw)) + raw)
        for query in queries:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            reply = DNSRecord.parse(await reader.readexactly(length))
            assert reply.header.id == query.header.id
        writer.close()
        await writer.wait_closed()


async def test_too_many_connections_are_closed_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "TCP_MAX", 1)
    async with serving() as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        _, first = await asyncio.open_connection(*served.tcp.getsockname())
        reader, second = await asyncio.open_connection(*served.tcp.getsockname())
        assert await reader.read() == b""
        first.close()
        second.close()
        await first.wait_closed()
        assert (await served.ask(NAME)).rr


async def test_a_deaf_resolver_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "TIMEOUT_S", 0.05)
    async with (
        deaf() as silent,
        resolver("192.0.2.1") as speaking,
        serving([closed_port(), silent, speaking]) as served,
    ):
        served.fill([], [])
        reply = await served.ask("example.org")
        assert [str(r.rdata) for r in reply.rr] == ["192.0.2.1"]


async def test_names_of_the_cluster_are_answered_while_resolvers_are_deaf(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forward, "TIMEOUT_S", 0.2)
    async with deaf() as silent, serving([silent]) as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        outside = asyncio.ensure_future(served.ask("example.org"))
        assert (await served.ask(NAME)).rr
        assert not outside.done()
        assert (await outside).header.rcode == 2


async def test_forwarded_questions_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(server, "FORWARDS_MAX", 0)
    async with deaf() as silent, serving([silent]) as served:
        served.fill([], [])
        assert (await served.ask("example.org")).header.rcode == 2


async def test_reverse_names_fail_softly_until_the_cluster_is_known() -> None:
    name = "5.0.128.10.in-addr.arpa"
    async with serving() as served:
        assert (await served.ask(name, "PTR")).header.rcode == 2
        assert (await served.ask("localhost")).header.rcode == 0
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        assert str((await served.ask(name, "PTR")).rr[0].rdata) == f"{NAME}."


async def test_an_alias_without_addresses_of_a_family_is_told_alone() -> None:
    out = service("out", "", type="ExternalName", externalName=NAME)
    async with serving() as served:
        served.fill([out, NGINX], [nginx_slice("10.128.0.5")])
        reply = await served.ask("out.default.svc.cluster.local", "AAAA")
        assert (reply.header.rcode, [str(r.rdata) for r in reply.rr]) == (0, [f"{NAME}."])


async def test_answers_change_with_every_change_of_readiness() -> None:
    async with serving() as served:
        served.fill([NGINX], [nginx_slice()])
        slices = served.informers.cache(SLICES)
        for _ in range(3):
            assert (await served.ask(NAME)).header.rcode == 3
            slices.apply("MODIFIED", nginx_slice("10.128.0.5"))
            assert (await served.ask(NAME)).header.rcode == 0
            slices.apply("MODIFIED", nginx_slice())
