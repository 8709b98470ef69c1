"""The checker finds what it is there to find."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from petset.testing.checker import Checker
from petset.testing.clock import run_virtual
from petset.testing.scenario import stateful_set
from petset.testing.world import World

Obj = dict[str, Any]


def faults_of(story: Callable[[World], Awaitable[None]], *, nodes: int = 0) -> list[str]:
    """What the checker says after `story` in a world without any controller."""

    async def main() -> list[str]:
        async with World(nodes=nodes, controllers=()) as world:
            checker = Checker(world)
            await story(world)
            await asyncio.sleep(0)
            if checker.faults:
                with pytest.raises(AssertionError):
                    checker.assert_ok()
            return [fault.partition(" ")[2] for fault in checker.faults]

    return run_virtual(main())


def member(name: str, uid: str, claim: str = "") -> Obj:
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    owner = {"kind": "StatefulSet", "name": "web", "uid": "s", "controller": True}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": uid, "ownerReferences": [owner]},
        "spec": {"volumes": volumes},
    }


def test_two_pods_of_one_name_are_found() -> None:
    async def story(world: World) -> None:
        world.runtime.note("started", "n1", member("web-0", "a"))
        world.runtime.note("started", "n2", member("web-0", "b"))

    assert faults_of(story) == ["default/web-0 runs on n1 and on n2"]


def test_the_next_pod_of_a_name_is_fine_once_the_first_is_gone() -> None:
    async def story(world: World) -> None:
        world.runtime.note("started", "n1", member("web-0", "a"))
        world.runtime.note("stopped", "n1", member("web-0", "a"))
        world.runtime.note("started", "n2", member("web-0", "b"))

    assert faults_of(story) == []


def test_a_claim_that_changes_hands_is_found() -> None:
    async def story(world: World) -> None:
        world.runtime.note("started", "n1", member("web-0", "a", "data-web-0"))
        world.runtime.note("stopped", "n1", member("web-0", "a", "data-web-0"))
        world.runtime.note("started", "n1", member("web-1", "b", "data-web-0"))

    assert faults_of(story) == ["default/web-1 got the claim data-web-0 of web-0"]


async def _set_with(world: World, *ordinals: int, replicas: int = 3) -> None:
    for obj in stateful_set("web", replicas=replicas):
        await world.apply(obj)
    await world.apply(
        {
            "kind": "ServiceAccount",
            "apiVersion": "v1",
            "metadata": {"name": "default", "namespace": "default"},
        }
    )
    parent = world.get("statefulsets.apps", "web")
    assert parent is not None
    for ordinal in ordinals:
        pod = member(f"web-{ordinal}", "")
        pod["metadata"]["ownerReferences"][0] |= {
            "uid": parent["metadata"]["uid"],
            "apiVersion": "apps/v1",
        }
        spec = {"containers": [{"name": "main", "image": "busybox"}]}
        pod["metadata"].pop("uid")
        await world.apply({"kind": "Pod", "apiVersion": "v1", **pod, "spec": spec})


def test_a_start_out_of_order_is_found() -> None:
    async def story(world: World) -> None:
        await _set_with(world, 1)

    assert faults_of(story) == ["default/web-1 was made although web-0 is not Ready"]


def test_shrinking_from_the_wrong_end_is_found() -> None:
    async def story(world: World) -> None:
        await world.client.patch("nodes", "n1", {"spec": {"taints": None}})
        await _set_with(world, 0)
        await world.wait_for(lambda: bool(world.runtime.live))
        await world.settle()
        await _set_with(world, 1)
        await world.settle()
        await world.scale("web", 0)
        await world.client.delete("pods", "web-0", "default")

    assert faults_of(story, nodes=1) == ["default/web-0 goes before web-1 is gone"]
