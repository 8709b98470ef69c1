import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any

from petset.base.http import Identity, Reply, Request
from petset.client.client import Client
from petset.client.local import Local
from petset.client.reflector import Informers
from petset.proxy.nftables import COLLECTIONS
from petset.proxy.proxy import SLICES, Proxy
from petset.proxy.rules import Place, Target
from tests.unit.proxy.test_rules import endpoint, service, slice_of


async def unused(request: Request) -> Reply:
    raise AssertionError(request)


class Nft:
    """Takes transactions; refuses the first `failures` ones."""

    def __init__(self, failures: int = 0) -> None:
        self.texts: list[str] = []
        self.failures = failures
        self.news = asyncio.Event()

    async def __call__(self, text: str) -> None:
        self.texts.append(text)
        self.news.set()
        if len(self.texts) <= self.failures:
            raise OSError("no")

    async def next(self) -> str:
        async with asyncio.timeout(10):
            await self.news.wait()
        self.news.clear()
        return self.texts[-1]


def versioned(obj: dict[str, Any], version: str, **metadata: Any) -> dict[str, Any]:
    names = {"name": "web", "namespace": "default", "resourceVersion": version, **metadata}
    return {**obj, "metadata": names}


async def test_only_differences_are_applied_after_the_first_time() -> None:
    informers = Informers(Client(Local(unused, Identity("t")), manager="t"))
    nft = Nft()
    proxy = Proxy(informers, "n1", nft)
    running = asyncio.ensure_future(proxy.run())
    services, slices = informers.cache("services"), informers.cache(SLICES)
    services.replace([versioned(service(), "1")], "1")
    slices.replace([], "1")
    assert "delete table ip petset" in await nft.next()
    labels = {"kubernetes.io/service-name": "web"}
    slices.apply("ADDED", versioned(slice_of(endpoint("10.128.0.9")), "2", labels=labels))
    text = await nft.next()
    assert "delete table" not in text
    assert "10.128.0.9:8080" in text
    services.apply("MODIFIED", versioned(service(), "3", labels={}))
    slices.apply("MODIFIED", versioned(slice_of(endpoint("10.128.0.8")), "4", labels=labels))
    await nft.next()
    assert len(nft.texts) == 3
    running.cancel()
    await asyncio.wait([running])


async def test_after_a_failure_the_whole_table_is_applied() -> None:
    informers = Informers(Client(Local(unused, Identity("t")), manager="t"))
    nft = Nft(failures=1)
    running = asyncio.ensure_future(Proxy(informers, "n1", nft).run())
    informers.cache("services").replace([versioned(service(), "1")], "1")
    informers.cache(SLICES).replace([], "1")
    first = await nft.next()
    assert await nft.next() == first
    running.cancel()
    await asyncio.wait([running])


async def test_what_an_earlier_agent_left_is_tried_once_and_then_replaced() -> None:
    hooks = ("pre", "out", "post", "gone", "refuse_in", "refuse_forward", "refuse_out")
    objects: list[Any] = [{"chain": {"name": name, "hook": "input"}} for name in hooks]
    objects += [{"set": {"name": name}} for name in (*COLLECTIONS, "aff/old", "aff/kept")]
    objects += [{"chain": {"name": "svc/old"}}]

    async def read() -> str:
        return json.dumps({"nftables": objects})

    informers = Informers(Client(Local(unused, Identity("t")), manager="t"))
    nft = Nft(failures=1)
    running = asyncio.ensure_future(Proxy(informers, "n1", nft, read=read).run())
    informers.cache("services").replace([versioned(service(), "1")], "1")
    informers.cache(SLICES).replace([], "1")
    kept = await nft.next()
    assert "delete table" not in kept
    assert "delete chain ip petset svc/old" in kept
    assert "delete set ip petset aff/old" in kept
    assert "delete table ip petset" in await nft.next()
    running.cancel()
    await asyncio.wait([running])


class Ports:
    """Listens on loopback for any port of the node; refuses the first `taken` asks."""

    def __init__(self, taken: int = 0) -> None:
        self.taken = taken
        self.open: dict[int, socket.socket] = {}

    def __call__(self, port: int) -> socket.socket:
        if self.taken:
            self.taken -= 1
            raise OSError("Address already in use")
        self.open[port] = socket.create_server(("127.0.0.1", 0))
        self.open[port].setblocking(False)
        return self.open[port]

    async def ask(self, port: int) -> tuple[str, dict[str, str], Any]:
        """Status, headers and body of what is said at the node's `port`."""
        async with asyncio.timeout(10):
            while port not in self.open:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(*self.open[port].getsockname())
            writer.write(b"GET /any HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n\r\n")
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
            writer.close()
        first, *lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return first.split(" ", 2)[1], headers, json.loads(body)


async def test_balancers_are_told_whether_the_node_has_endpoints() -> None:
    informers = Informers(Client(Local(unused, Identity("t")), manager="t"))
    nft, ports = Nft(), Ports(taken=1)
    running = asyncio.ensure_future(Proxy(informers, "n1", nft, listen=ports).run())
    services, slices = informers.cache("services"), informers.cache(SLICES)
    services.replace([versioned(service(healthCheckNodePort=30800), "1")], "1")
    labels = {"kubernetes.io/service-name": "web"}
    slices.replace([versioned(slice_of(endpoint("10.128.0.9")), "1", labels=labels)], "1")
    status, headers, body = await ports.ask(30800)
    assert status == "200"
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-load-balancing-endpoint-weight"] == "1"
    assert body == {
        "service": {"namespace": "default", "name": "web"},
        "localEndpoints": 1,
        "serviceProxyHealthy": True,
    }
    moved = slice_of(endpoint("10.128.1.9", "n2"))
    slices.apply("MODIFIED", versioned(moved, "2", labels=labels))
    async with asyncio.timeout(10):
        while (said := await ports.ask(30800))[0] != "503":
            await asyncio.sleep(0.01)
    assert said[2]["localEndpoints"] == 0
    services.apply("MODIFIED", versioned(service(), "3"))
    async with asyncio.timeout(10):
        while ports.open[30800].fileno() >= 0:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])


async def test_a_proxy_whose_rules_are_refused_is_not_healthy() -> None:
    informers = Informers(Client(Local(unused, Identity("t")), manager="t"))
    nft, ports = Nft(), Ports()
    running = asyncio.ensure_future(Proxy(informers, "n1", nft, listen=ports).run())
    services, slices = informers.cache("services"), informers.cache(SLICES)
    labels = {"kubernetes.io/service-name": "web"}
    services.replace([versioned(service(healthCheckNodePort=30800), "1")], "1")
    slices.replace([versioned(slice_of(endpoint("10.128.0.9")), "1", labels=labels)], "1")
    assert (await ports.ask(30800))[0] == "200"
    nft.failures = 1000
    slices.apply("MODIFIED", versioned(slice_of(endpoint("10.128.0.8")), "2", labels=labels))
    async with asyncio.timeout(10):
        while (said := await ports.ask(30800))[0] != "503":
            await asyncio.sleep(0.01)
    assert said[2]["serviceProxyHealthy"] is False
    running.cancel()
    await asyncio.wait([running])


async def test_flows_of_udp_are_forgotten_where_endpoints_changed_and_only_there() -> None:
    informers = Informers(Client(Local(unused, Identity("t")), manager="t"))
    nft, told = Nft(), asyncio.Queue[Mapping[Place, frozenset[Target]]]()
    proxy = Proxy(informers, "n1", nft, forget=told.put)
    running = asyncio.ensure_future(proxy.run())
    ports = [{"name": "http", "port": 53, "protocol": "UDP"}]
    informers.cache("services").replace([versioned(service(ports=ports), "1")], "1")
    slices = informers.cache(SLICES)

    def part(address: str, version: str) -> dict[str, Any]:
        made = slice_of(endpoint(address))
        made["ports"] = [{"name": "http", "port": 53, "protocol": "UDP"}]
        labels = {"kubernetes.io/service-name": "web"}
        return versioned(made, version, labels=labels)

    slices.replace([part("10.128.0.9", "1")], "1")
    async with asyncio.timeout(10):
        place = ("10.96.0.20", 53)
        assert await told.get() == {place: {Target("10.128.0.9", 53)}}
        informers.cache("services").apply("ADDED", versioned(service("tcp"), "2", name="tcp"))
        slices.apply("MODIFIED", part("10.128.0.8", "3"))
        assert await told.get() == {place: {Target("10.128.0.8", 53)}}
        informers.cache("services").apply("DELETED", versioned(service(ports=ports), "4"))
        assert await told.get() == {place: frozenset()}
    running.cancel()
    await asyncio.wait([running])
