"""What an agent tells of its node, and how it takes what others do to the Node object."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from petset.api import meta
from petset.api.errors import StatusError
from petset.node import nodeobject
from petset.node.machine import Machine
from petset.node.nodeobject import NodeFacts
from tests.unit.node.rig import Rig, played, ready

LEASES = "leases.coordination.k8s.io"
LEASE_NAMESPACE = "kube-node-lease"
FACTS = NodeFacts("n1", "172.29.0.10", "10.128.0.0/24", "fake://1", "v1")


def machine(**fields: Any) -> Machine:
    plain = {"cpus": 2, "memory": 8 << 30, "memory_free": 4 << 30, "disk": 100, "disk_free": 50}
    return Machine(**{**plain, "info": {"architecture": "amd64", "bootID": "b1"}, **fields})


def node_of(here: Rig) -> Any:
    return here.client.get("nodes", "n1")


async def soon(condition: Callable[[], Any], within_s: float = 1.0) -> None:
    """Wait until an awaited condition holds; well before the next beat would be due."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.01)


async def lease_owner(here: Rig) -> str:
    try:
        lease = await here.client.get(LEASES, "n1", LEASE_NAMESPACE)
    except StatusError:
        return ""
    return str(lease["metadata"]["ownerReferences"][0]["uid"])


def test_the_start_of_a_node_is_told_in_events(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await asyncio.sleep(1)
        told = await here.events("Node")
        assert [(e["reason"], e["message"]) for e in told] == [
            ("Starting", "Starting kubelet."),
            ("NodeHasSufficientMemory", "Node n1 status is now: NodeHasSufficientMemory"),
            ("NodeHasNoDiskPressure", "Node n1 status is now: NodeHasNoDiskPressure"),
            ("NodeHasSufficientPID", "Node n1 status is now: NodeHasSufficientPID"),
            ("NodeReady", "Node n1 status is now: NodeReady"),
        ]
        assert {e["type"] for e in told} == {"Normal"}
        assert {e["source"]["component"] for e in told} == {"kubelet"}
        assert {e["involvedObject"]["uid"] for e in told} == {"n1"}  # as kubectl describe looks

    played(tmp_path, story)


def test_the_next_agent_tells_of_its_start_only(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await asyncio.sleep(1)
        before = len(await here.events("Node"))
        await here.stop()
        await here.start()
        await asyncio.sleep(1)
        told = await here.events("Node")
        assert [e["reason"] for e in told[before:]] == ["Starting"]

    played(tmp_path, story)


def test_a_cordon_is_told(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await asyncio.sleep(1)
        for value, reason in ((True, "NodeNotSchedulable"), (None, "NodeSchedulable")):
            await here.client.patch("nodes", "n1", {"spec": {"unschedulable": value}})
            await asyncio.sleep(1)
            assert (await here.events("Node"))[-1]["reason"] == reason

    played(tmp_path, story)


def test_a_node_that_was_taken_for_dead_says_at_once_that_it_is_not(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await asyncio.sleep(1)
        conditions = [dict(c) for c in (await node_of(here))["status"]["conditions"]]
        for condition in conditions:
            condition["status"] = "Unknown"
        status = {"status": {"conditions": conditions}}
        await here.client.patch("nodes", "n1", status, subresource="status")

        async def is_ready() -> bool:
            return meta.is_condition_true(await node_of(here), "Ready")

        await soon(is_ready)
        assert (await here.events("Node"))[-1]["reason"] == "NodeReady"

    played(tmp_path, story)


def test_a_deleted_node_is_not_made_again_and_its_lease_neither(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.create()
        await here.until(ready)
        await here.client.delete("nodes", "n1")
        await here.client.delete(LEASES, "n1", LEASE_NAMESPACE)
        await asyncio.sleep(700)  # longer than any beat
        assert not (await here.client.list("nodes")).items
        assert not (await here.client.list(LEASES, LEASE_NAMESPACE)).items
        assert here.running() == ["c"], "the end of its pods is decided elsewhere"

    played(tmp_path, story)


def test_a_node_that_somebody_makes_again_is_reported_to_at_once(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await asyncio.sleep(3)
        await here.client.delete("nodes", "n1")
        await here.client.delete(LEASES, "n1", LEASE_NAMESPACE)
        await asyncio.sleep(60)
        empty = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1"}}
        made = await here.client.create("nodes", empty)

        async def reported() -> bool:
            return await lease_owner(here) == meta.uid_of(made)

        await soon(reported)
        node = await node_of(here)
        assert meta.is_condition_true(node, "Ready")
        assert node["spec"]["podCIDR"] == "10.128.0.0/24"
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
        assert meta.uid_of(node) == meta.uid_of(made)

    played(tmp_path, story)


def test_a_deleted_lease_is_made_again_with_its_owner(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await asyncio.sleep(3)
        await here.client.delete(LEASES, "n1", LEASE_NAMESPACE)
        await asyncio.sleep(10)  # one renewal
        assert await lease_owner(here) == meta.uid_of(await node_of(here))

    played(tmp_path, story)


def test_conditions_that_turn_are_told_by_their_reasons() -> None:
    before = nodeobject.status(FACTS, machine(), {}, 0.0)
    short = machine(memory_free=1 << 20, disk_free=1)
    after = nodeobject.status(FACTS, short, before, 10.0)
    assert nodeobject.news(before, before) == []
    assert nodeobject.news(before, after) == ["NodeHasInsufficientMemory", "NodeHasDiskPressure"]
    words = {c["type"]: c["message"] for c in after["conditions"]}
    assert words["MemoryPressure"] == "kubelet has insufficient memory available"
    assert words["DiskPressure"] == "kubelet has disk pressure"
    down = nodeobject.status(NodeFacts(*_with_problem()), machine(), before, 10.0)
    assert nodeobject.news(before, down) == ["NodeNotReady"]


def _with_problem() -> tuple[Any, ...]:
    return "n1", "172.29.0.10", "10.128.0.0/24", "fake://1", "v1", 0, "node is shutting down"


def test_another_boot_is_told_and_a_first_one_is_not() -> None:
    before = nodeobject.status(FACTS, machine(), {}, 0.0)
    again = machine(info={"architecture": "amd64", "bootID": "b2"})
    after = nodeobject.status(FACTS, again, before, 10.0)
    assert nodeobject.rebooted(before, after) == "b2"
    assert nodeobject.rebooted(before, before) == ""
    assert nodeobject.rebooted({}, after) == ""
