"""Which routes a node keeps to the pods of the others."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from petset.client.cache import Cache
from petset.node.network import node as network
from petset.node.peers import HELD_S, OUT_OF_SERVICE, Peers
from petset.testing.clock import run_virtual

WHERE = network.NodeNetwork(Path("/nowhere"), "", "p", "172.29.0.11", "172.29.0.1", "10.128.1.0/24")
Routes = dict[str, str]
OTHERS = {"10.128.2.0/24": "172.29.0.12", "10.128.3.0/24": "172.29.0.13"}


def node(number: int, *taints: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"n{number}", "resourceVersion": str(number), "uid": f"u{number}"},
        "spec": {
            "podCIDR": f"10.128.{number}.0/24",
            "taints": [{"key": key, "effect": "NoSchedule"} for key in taints],
        },
        "status": {"addresses": [{"type": "InternalIP", "address": f"172.29.0.{10 + number}"}]},
    }


class Told:
    """A node n1 whose routes are noted instead of set."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.routes: list[Routes] = []
        patch.setattr(network, "set_peer_routes", self._set)
        self.cache = Cache("nodes")
        self.cache.replace([node(1), node(2), node(3)], "3")
        self.peers = Peers(self.cache, "n1", WHERE)

    def _set(self, netns: Path, old: Routes, new: Routes) -> None:
        assert old == (self.routes[-1] if self.routes else {})
        self.routes.append(new)

    async def settle(self, seconds: float) -> Routes:
        await asyncio.sleep(seconds)
        return self.routes[-1]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


def play(told: Told, story: Any) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(told.peers.run())
            assert await told.settle(1) == OTHERS
            await story()
            running.cancel()

    run_virtual(main())


def test_a_deleted_node_keeps_its_route_while_its_pods_stay(told: Told) -> None:
    async def story() -> None:
        told.cache.replace([node(1), node(3)], "4")
        assert await told.settle(HELD_S - 1) == OTHERS
        assert await told.settle(2) == {"10.128.3.0/24": "172.29.0.13"}

    play(told, story)


def test_a_node_that_comes_back_in_time_never_loses_its_route(told: Told) -> None:
    async def story() -> None:
        told.cache.replace([node(1), node(3)], "4")
        await told.settle(HELD_S - 1)
        told.cache.replace([node(1), node(2), node(3)], "5")
        assert await told.settle(HELD_S * 2) == OTHERS
        assert told.routes == [OTHERS]

    play(told, story)


def test_a_node_that_is_known_to_be_off_loses_its_route_at_once(told: Told) -> None:
    async def story() -> None:
        off = node(2, OUT_OF_SERVICE)
        off["metadata"]["resourceVersion"] = "4"
        told.cache.replace([node(1), off, node(3)], "4")
        told.cache.replace([node(1), node(3)], "5")
        assert await told.settle(1) == {"10.128.3.0/24": "172.29.0.13"}

    play(told, story)


def test_a_network_that_another_node_has_got_leads_there(told: Told) -> None:
    async def story() -> None:
        heir = {**node(2), "metadata": {"name": "heir", "resourceVersion": "9", "uid": "h"}}
        heir["status"] = {"addresses": [{"type": "InternalIP", "address": "172.29.0.99"}]}
        told.cache.replace([node(1), node(3), heir], "9")
        assert await told.settle(1) == {**OTHERS, "10.128.2.0/24": "172.29.0.99"}

    play(told, story)
