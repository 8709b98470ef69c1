import asyncio
from collections.abc import Mapping
from typing import Any

from petset.base.http import Identity, Reply, Request
from petset.client.client import Client
from petset.client.local import Local
from petset.client.reflector import Informers
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
