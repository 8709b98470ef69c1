"""What every cluster has, and what is put back when it is gone."""

import asyncio
from typing import Any

from petset.testing.clock import run_virtual
from tests.unit.apiserver.harness import SERVICES, serving

DEFAULT = "/api/v1/namespaces/default"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
WAYS = tuple(f"{path}/kubernetes" for path in (SERVICES, f"{DEFAULT}/endpoints", SLICES))


def shape(found: dict[str, Any]) -> dict[str, Any]:
    """All but the metadata."""
    return {key: value for key, value in found.items() if key != "metadata"}


def test_what_pods_find_the_server_by_is_put_back() -> None:
    async def main() -> None:
        async with serving() as server:
            before = [shape((await server.get(way)).body) for way in WAYS]
            for way in WAYS:
                assert (await server.ask("DELETE", way)).status == 200
                assert (await server.get(way)).status == 404
            await asyncio.sleep(10)
            assert [shape((await server.get(way)).body) for way in WAYS] == before
            revision = server.store.revision
            await asyncio.sleep(60)
            assert server.store.revision == revision, "nothing is written while all is there"

    run_virtual(main())


def test_what_somebody_writes_over_the_servers_address_is_undone() -> None:
    async def main() -> None:
        async with serving() as server:
            right = (await server.get(WAYS[1])).body["subsets"]
            wrong = [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 1}]}]
            assert (await server.patch(WAYS[1], {"subsets": wrong})).status == 200
            await asyncio.sleep(10)
            assert (await server.get(WAYS[1])).body["subsets"] == right

    run_virtual(main())


def test_an_address_that_somebody_took_meanwhile_is_waited_for() -> None:
    async def main() -> None:
        async with serving() as server:
            address = (await server.get(WAYS[0])).body["spec"]["clusterIP"]
            await server.ask("DELETE", WAYS[0])
            thief = {
                "metadata": {"name": "t"},
                "spec": {"clusterIP": address, "ports": [{"port": 1}]},
            }
            await server.make(SERVICES, thief)
            await asyncio.sleep(10)
            assert (await server.get(WAYS[0])).status == 404
            await server.ask("DELETE", f"{SERVICES}/t")
            await asyncio.sleep(10)
            assert (await server.get(WAYS[0])).body["spec"]["clusterIP"] == address

    run_virtual(main())
