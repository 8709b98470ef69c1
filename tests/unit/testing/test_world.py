import asyncio
import gc

import pytest

from petset.api import meta
from petset.testing.clock import run_virtual
from petset.testing.fakepod import Script
from petset.testing.scenario import random_story, stateful_set
from petset.testing.world import World


def test_yaml_of_several_documents_is_applied_and_merged_when_applied_again() -> None:
    text = """
kind: ConfigMap
apiVersion: v1
metadata: {name: one}
data: {a: "1"}
---
kind: Namespace
apiVersion: v1
metadata: {name: shop}
"""

    async def main() -> None:
        async with World(nodes=0) as world:
            first, _ = await world.apply(text)
            again, _ = await world.apply(text.replace('{a: "1"}', '{b: "2"}'))
            assert again["data"] == {"a": "1", "b": "2"}
            assert meta.uid_of(again) == meta.uid_of(first)
            assert "shop" in world.names("namespaces")

    run_virtual(main())


def test_a_wait_that_fails_tells_what_happened_last() -> None:
    async def main() -> None:
        async with World(nodes=0) as world:
            with pytest.raises(TimeoutError, match="created namespaces//default"):
                await world.wait_for(lambda: False, timeout_s=5)

    run_virtual(main())


def test_settling_waits_for_what_is_under_way() -> None:
    async def main() -> None:
        async with World(nodes=1) as world:
            world.script("*", Script(start_s=1.0, ready_s=1.5))
            for obj in stateful_set("web", replicas=3):
                await world.apply(obj)
            await world.settle()
            assert world.ready("statefulsets.apps", "web")

    run_virtual(main())


def test_an_agent_that_dies_of_a_bug_is_not_overlooked() -> None:
    def broken(pod: object) -> Script:
        raise ZeroDivisionError(pod)

    async def main() -> None:
        async with World(nodes=1) as world:
            world.node("n1").script_of = broken
            for obj in stateful_set("web", replicas=1):
                await world.apply(obj)
            with pytest.raises(ExceptionGroup):
                await world.settle()

    with pytest.raises(ExceptionGroup):
        run_virtual(main())


async def test_the_same_world_lives_in_real_time() -> None:
    async with World(nodes=1) as world:
        world.script("*", Script(start_s=0.0, ready_s=0.0))
        for obj in stateful_set("web", replicas=2):
            await world.apply(obj)
        await world.wait_for(lambda: world.ready("statefulsets.apps", "web"), timeout_s=30)


def test_stories_depend_on_their_seed_alone() -> None:
    def told(seed: int) -> list[str]:
        return [str(step) for step in random_story(World(seed=seed).ids.rng, length=5)]

    assert told(1) == told(1)
    assert told(1) != told(2)


@pytest.mark.parametrize("turns", range(8))
def test_a_node_may_be_lost_while_pods_come(turns: int) -> None:
    async def story() -> None:
        async with World(nodes=1) as world:
            (node,) = world.nodes
            pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"generateName": "p-"}}
            spec = {"nodeName": node.name, "containers": [{"name": "c", "image": "good:1"}]}
            calls = [world.client.create("pods", {**pod, "spec": spec}, "default") for _ in "12345"]
            coming = [asyncio.ensure_future(call) for call in calls]
            for _ in range(turns):
                await asyncio.sleep(0)
            await node.lose()
            await asyncio.gather(*coming)

    run_virtual(story())
    gc.collect()  # what was made and never begun would be told of now
