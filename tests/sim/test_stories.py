"""Random stories: users and failures from a seed. Every seed runs twice and leaves one trace."""

from random import Random

import pytest

from petset.testing.checker import Checker
from petset.testing.clock import run_virtual
from petset.testing.scenario import play, random_story, stateful_set
from petset.testing.world import World


async def live(seed: int) -> list[str]:
    """One story in a world of three nodes, to its quiet end."""
    steps = random_story(Random(seed), length=10)
    async with World(seed=seed, lag_s=0.003) as world:
        checker = Checker(world)
        for obj in stateful_set("web"):
            await world.apply(obj)
        for step in steps:
            await play(world, checker, "web", step)
        for node in world.nodes:
            if not node.up:
                node.start()
        await world.wait_for(lambda: world.ready("statefulsets.apps", "web"), timeout_s=900)
        await world.settle()
        checker.assert_ok()
        replicas = world.get("statefulsets.apps", "web")
        assert replicas is not None
        assert len(world.names("pods")) == replicas["spec"]["replicas"]
        return list(world.trace)


@pytest.mark.parametrize("seed", range(100, 108))
def test_whatever_happens_the_set_ends_whole_and_the_story_repeats(seed: int) -> None:
    first, second = run_virtual(live(seed)), run_virtual(live(seed))
    differing = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    assert not differing[:1]
    assert len(first) == len(second)
