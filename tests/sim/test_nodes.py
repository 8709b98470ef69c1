"""Nodes that are lost together, and what nobody may conclude from it."""

from typing import Any

import pytest

from petset.api import meta
from petset.testing.checker import Checker
from petset.testing.world import World
from tests.sim.test_statefulset import SEEDS, SET, make, pod, tell

NODES = ("n1", "n2", "n3")
UNREACHABLE = "node.kubernetes.io/unreachable"


def taints(world: World, name: str) -> set[str]:
    found: Any = world.get("nodes", name) or {}
    return {t["effect"] for t in found["spec"].get("taints") or () if t["key"] == UNREACHABLE}


@pytest.mark.parametrize("seed", SEEDS)
def test_while_no_node_answers_nobody_has_to_leave(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        before = {name: meta.uid_of(pod(world, name)) for name in ("web-0", "web-1", "web-2")}
        for name in NODES:
            await world.node(name).lose(containers=False)
        await world.wait_for(
            lambda: all(taints(world, name) == {"NoSchedule"} for name in NODES), timeout_s=200
        )
        await world.sleep(1200)
        for name, uid in before.items():
            assert meta.uid_of(pod(world, name)) == uid
            assert not meta.is_deleting(pod(world, name))
        for name in NODES:
            world.node(name).start()
        await world.wait_for(lambda: world.ready(SET, "web"))
        assert {name: meta.uid_of(pod(world, name)) for name in before} == before

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_once_one_node_answers_the_others_are_lost_one_after_the_other(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        for name in NODES:
            await world.node(name).lose()
        await world.wait_for(
            lambda: all(taints(world, name) == {"NoSchedule"} for name in NODES), timeout_s=200
        )
        world.node("n2").start()
        both = {"NoSchedule", "NoExecute"}
        await world.wait_for(lambda: not taints(world, "n2"))
        await world.wait_for(
            lambda: both in (taints(world, "n1"), taints(world, "n3")), timeout_s=30
        )
        await world.wait_for(
            lambda: taints(world, "n1") == taints(world, "n3") == both, timeout_s=30
        )

    tell(story, seed)
