"""The simulation finds what it is there to find: controllers that break one rule are caught."""

import json
from typing import Any

import pytest

from petset.testing.breakable import BreakableWorld
from petset.testing.clock import run_virtual
from petset.testing.disk import Disk
from tests.sim.history import live
from tests.sim.mutants import MUTANTS
from tests.sim.shrink import shortest
from tests.sim.story import Story, draw

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__name__)
def test_a_controller_that_breaks_a_rule_is_caught(mutant: Any, monkeypatch: Patch) -> None:
    told = mutant(monkeypatch)
    assert any(MUTANTS[mutant] in fault for fault in live(told).faults)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__name__)
def test_the_same_story_is_fine_with_the_real_controllers(mutant: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        told = mutant(patch)
    assert live(told).faults == []


def test_a_disk_that_only_says_that_it_has_synced_is_caught() -> None:
    async def losses(*, honest: bool) -> list[str]:
        async with BreakableWorld(nodes=1, disk=Disk(honest=honest)) as world:
            for number in range(20):
                name = {"name": f"c{number}"}
                await world.apply({"kind": "ConfigMap", "apiVersion": "v1", "metadata": name})
            world.crash_server(back_s=1.0)
            await world.back()
            return world.losses

    assert run_virtual(losses(honest=True)) == []
    assert any("is lost" in loss for loss in run_virtual(losses(honest=False)))


def test_a_failing_story_is_made_as_short_as_it_can_be() -> None:
    found = next(s for s in map(draw, range(100)) if any(x.kind == "power" for x in s.steps))

    def fails(other: Story) -> bool:
        return any(step.kind == "power" for step in other.steps)

    short = shortest(found, fails)
    assert [step.kind for step in short.steps] == ["power"]
    assert short.nodes == 1
    assert json.loads(json.dumps(short.sets)) == short.sets
