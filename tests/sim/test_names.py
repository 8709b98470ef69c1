"""DNS of nodes in the simulation: what is told when, through caches over a wire that is late."""

from typing import Any

from petset.api import meta
from petset.dns import wire
from petset.testing.breakable import BreakableWorld
from petset.testing.clock import run_virtual
from petset.testing.fakepod import Script
from petset.testing.judge import Judge
from petset.testing.nodenames import ZONE, NodeNames
from petset.testing.wire import Cut
from tests.sim import manifests

LAG_S = 0.01
MEMBER, SERVICE = f"a-0.a.default.svc.{ZONE}", f"a.default.svc.{ZONE}"


def a_pod() -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i"}], "hostname": "a-0", "subdomain": "a"}
    metadata = {"name": "a-0", "labels": {"app": "a"}}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec}


def told(names: NodeNames, name: str) -> tuple[int, set[str]]:
    reply = names.ask(name, wire.A)
    assert reply is not None
    return reply.rcode, set(reply.texts)


def address(world: BreakableWorld) -> str:
    pod = world.get("pods", "a-0")
    return str(((pod or {}).get("status") or {}).get("podIP"))


def is_ready(world: BreakableWorld) -> bool:
    return meta.is_condition_true(world.get("pods", "a-0") or {}, "Ready")


def test_a_name_that_was_denied_is_answered_once_its_member_is_ready() -> None:
    faults: list[str] = []

    async def story() -> None:
        async with BreakableWorld(nodes=0, lag_s=LAG_S) as world:
            judge = Judge(world, faults)
            for _ in range(2):
                judge.names.follow(world.add_node())
            world.script("a-0", Script(ready_s=5.0))
            await world.apply(manifests.service("a", unready=False))
            await world.wait_for(lambda: all(names.ready for names in judge.names.nodes))
            await world.apply(a_pod())
            await world.wait_for(lambda: address(world) != "None")
            await world.sleep(1.0)
            for names in judge.names.nodes:
                assert told(names, MEMBER) == told(names, SERVICE) == (wire.NXDOMAIN, set())
            await world.wait_for(lambda: is_ready(world))
            await world.sleep(20 * LAG_S)
            for names in judge.names.nodes:
                assert told(names, MEMBER) == told(names, SERVICE)
                assert told(names, MEMBER) == (wire.NOERROR, {address(world)})

    run_virtual(story())
    assert faults == []


def test_a_node_whose_watch_was_cut_catches_up_with_a_member_that_is_gone() -> None:
    faults: list[str] = []

    async def story() -> None:
        async with BreakableWorld(nodes=0, lag_s=LAG_S) as world:
            judge = Judge(world, faults)
            judge.names.follow(world.add_node())
            (names,) = judge.names.nodes
            await world.apply(manifests.service("a", unready=False))
            await world.apply(a_pod())
            await world.wait_for(lambda: is_ready(world))
            await world.sleep(1.0)
            assert told(names, MEMBER)[0] == wire.NOERROR
            world.wires["n1"].stall("endpointslices", 5.0)
            await world.client.delete("pods", "a-0", "default")
            await world.wait_for(lambda: world.get("pods", "a-0") is None)
            assert told(names, MEMBER)[0] == wire.NOERROR
            world.wires["n1"].cut("endpointslices", Cut.BROKEN)
            await world.sleep(6.0)
            assert told(names, MEMBER) == (wire.NXDOMAIN, set())

    run_virtual(story())
    assert faults == []
