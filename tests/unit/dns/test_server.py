import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dnslib import EDNS0, RR, DNSRecord

from petset.base.http import Identity, Reply, Request
from petset.base.ids import Ids
from petset.client.client import Client
from petset.client.local import Local
from petset.client.reflector import Informers
from petset.dns.forward import ResolvConf, Upstream, parse_resolv_conf
from petset.dns.index import Index
from petset.dns.local import SLICES
from petset.dns.server import DnsServer
from tests.unit.dns.objects import endpoint, endpoint_slice, service


async def unused(request: Request) -> Reply:
    raise AssertionError(request)


class Served:
    """A server on loopback, its caches filled by hand."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.informers = Informers(Client(Local(unused, Identity("t")), manager="t"))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.server = DnsServer(
            self.informers,
            self.udp,
            self.tcp,
            upstreams=lambda: upstreams,
            ids=Ids(1),
            index=Index("cluster.local"),
        )

    def fill(self, services: list[dict[str, Any]], slices: list[dict[str, Any]]) -> None:
        self.informers.cache("services").replace(services, "1")
        self.informers.cache(SLICES).replace(slices, "1")

    async def ask(self, name: str, kind: str = "A", *, payload: int = 0, tcp: bool = False) -> Any:
        query = DNSRecord.question(name, kind)
        if payload:
            query.add_ar(EDNS0(udp_len=payload))
        raw = await (self.send_tcp if tcp else self.send)(query.pack())
        reply = DNSRecord.parse(raw)
        assert reply.header.id == query.header.id
        return reply

    async def send(self, message: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(self.udp.getsockname())
            await loop.sock_sendall(sock, message)
            async with asyncio.timeout(10):
                return await loop.sock_recv(sock, 65535)

    async def send_tcp(self, message: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self.tcp.getsockname())
        writer.write(struct.pack("!H", len(message)) + message)
        async with asyncio.timeout(10):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            reply = await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
        return reply


@contextlib.asynccontextmanager
async def serving(upstreams: Sequence[Upstream] = ()) -> AsyncGenerator[Served, None]:
    served = Served(upstreams)
    running = asyncio.ensure_future(served.server.run())
    await asyncio.sleep(0)
    try:
        yield served
    finally:
        running.cancel()
        await asyncio.wait([running])
        served.udp.close()
        served.tcp.close()


@contextlib.asynccontextmanager
async def resolver(address: str) -> AsyncGenerator[Upstream, None]:
    """Another server that knows one address for every name."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    loop = asyncio.get_running_loop()

    def answer() -> None:
        data, peer = sock.recvfrom(4096)
        query = DNSRecord.parse(data)
        reply = query.reply()
        reply.header.aa = 0
        reply.add_answer(*RR.fromZone(f"{query.q.qname} 60 IN A {address}"))
        wrong = DNSRecord.parse(data).reply()
        wrong.header.id ^= 1
        sock.sendto(wrong.pack(), peer)
        sock.sendto(reply.pack(), peer)

    loop.add_reader(sock.fileno(), answer)
    try:
        yield sock.getsockname()
    finally:
        loop.remove_reader(sock.fileno())
        sock.close()


NGINX = service("nginx")
NAME = "web-0.nginx.default.svc.cluster.local"


def nginx_slice(*addresses: str) -> dict[str, Any]:
    return endpoint_slice("nginx", *(endpoint(a, f"web-{i}") for i, a in enumerate(addresses)))


async def test_names_fail_softly_until_the_cluster_is_known() -> None:
    async with serving() as served:
        assert (await served.ask(NAME)).header.rcode == 2
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        assert str((await served.ask(NAME)).rr[0].rdata) == "10.128.0.5"


async def test_a_member_that_comes_is_seen_at_once_after_a_denial() -> None:
    async with serving() as served:
        served.fill([NGINX], [])
        assert (await served.ask(NAME)).header.rcode == 3
        assert (await served.ask(NAME)).header.rcode == 3
        served.informers.cache(SLICES).apply("ADDED", nginx_slice("10.128.0.5"))
        assert str((await served.ask(NAME)).rr[0].rdata) == "10.128.0.5"
        served.informers.cache("services").apply("DELETED", NGINX)
        assert (await served.ask(NAME)).header.rcode == 3


async def test_the_letter_case_of_the_question_is_echoed() -> None:
    async with serving() as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5")])
        for name in (NAME, NAME.upper()):
            assert str((await served.ask(name)).q.qname) == f"{name}."


async def test_addresses_take_turns() -> None:
    async with serving() as served:
        served.fill([NGINX], [nginx_slice("10.128.0.5", "10.128.0.6", "10.128.0.7")])
        name = "nginx.default.svc.cluster.local"
        firsts = [str((await served.ask(name)).rr[0].rdata) for _ in range(6)]
        assert set(firsts) == {"10.128.0.5", "10.128.0.6", "10.128.0.7"}


async def test_a_long_answer_is_cut_for_udp_and_whole_over_tcp() -> None:
    addresses = [f"10.128.1.{i}" for i in range(100)]
    name = "nginx.default.svc.cluster.local"
    async with serving() as served:
        served.fill([NGINX], [nginx_slice(*addresses)])
        plain, wide = await served.ask(name), await served.ask(name, payload=4096)
        assert plain.header.tc
        assert wide.header.tc
        assert 0 < len(plain.rr) < len(wide.rr) < 100
        whole = await served.ask(name, tcp=True)
        assert (whole.header.tc, len(whole.rr)) == (0, 100)


async def test_other_names_are_forwarded_and_only_the_right_reply_is_taken() -> None:
    async with resolver("192.0.2.1") as upstream, serving([upstream]) as served:
        served.fill([], [])
        reply = await served.ask("example.org")
        assert [str(r.rdata) for r in reply.rr] == ["192.0.2.1"]


async def test_an_external_name_comes_with_its_addresses() -> None:
    out = service("out", "", type="ExternalName", externalName="example.org")
    async with resolver("192.0.2.1") as upstream, serving([upstream]) as served:
        served.fill([out], [])
        reply = await served.ask("out.default.svc.cluster.local")
        assert [str(r.rdata) for r in reply.rr] == ["example.org.", "192.0.2.1"]


async def test_an_external_name_inside_the_zone_is_followed() -> None:
    out = service("out", "", type="ExternalName", externalName=NAME)
    async with serving() as served:
        served.fill([out, NGINX], [nginx_slice("10.128.0.5")])
        reply = await served.ask("out.default.svc.cluster.local")
        assert [str(r.rdata) for r in reply.rr] == [f"{NAME}.", "10.128.0.5"]


async def test_a_circle_of_external_names_fails() -> None:
    name = "out.default.svc.cluster.local"
    async with serving() as served:
        served.fill([service("out", "", type="ExternalName", externalName=name)], [])
        assert (await served.ask(name)).header.rcode == 2


async def test_without_a_resolver_other_names_fail_at_once() -> None:
    async with serving() as served:
        served.fill([], [])
        assert (await served.ask("example.org")).header.rcode == 2
        assert (await served.ask("example.org", tcp=True)).header.rcode == 2


@pytest.mark.parametrize(
    ("message", "rcode"),
    [
        (b"\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", 1),
        (b"\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", 4),
        (b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x03", 5),
        (b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01", 1),
    ],
)
async def test_odd_messages_are_refused_by_their_code(message: bytes, rcode: int) -> None:
    async with serving() as served:
        served.fill([], [])
        reply = await served.send(message)
        assert reply[:2] == message[:2]
        assert reply[3] & 15 == rcode


def test_resolv_conf_is_read_and_circles_are_left_out(tmp_path: Path) -> None:
    text = "search a b\nnameserver 10.96.0.10\nnameserver 192.0.2.53 # x\nnameserver bad\n"
    assert parse_resolv_conf(text, {"10.96.0.10"}) == [("192.0.2.53", 53)]
    path = tmp_path / "resolv.conf"
    conf = ResolvConf(path)
    assert conf() == []
    path.write_text("nameserver 192.0.2.1\n")
    assert conf() == [("192.0.2.1", 53)]
    path.write_text("nameserver 192.0.2.1\nnameserver ::1\n")
    assert conf() == [("192.0.2.1", 53), ("::1", 53)]
