"""The simulation finds what it is there to find: controllers that break one rule are caught."""

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from petset.api.meta import Obj
from petset.controllers.nodelife import pods as nodelife
from petset.controllers.statefulset import conditions, plan, rollout, steps, storage
from petset.controllers.statefulset.world import is_healthy
from petset.reconcile.actions import Plan
from petset.testing.breakable import BreakableWorld
from petset.testing.clock import run_virtual
from petset.testing.disk import Disk
from tests.sim import manifests
from tests.sim.history import live
from tests.sim.shrink import shortest
from tests.sim.story import Step, Story, draw

Patch = pytest.MonkeyPatch


def a_set(**spec: Any) -> dict[str, list[dict[str, Any]]]:
    service, made = manifests.of_set(Random(0), "a")[-2:]
    made = {**made, "metadata": {"name": "a"}}
    container = {"name": "main", "image": "good:0"}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container]}}
    fields = {"serviceName": "a", "selector": {"matchLabels": {"app": "a"}}, "template": template}
    return {"a": [service, {**made, "spec": {**fields, "replicas": 3, **spec}}]}


def story(*steps: Step, **spec: Any) -> Story:
    return Story(seed=1, sets=a_set(**spec), steps=(Step("wait", number=30), *steps))


ROLL = Step("image", "a", text="good:1", wait_s=60.0)
CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def no_order(patch: Patch) -> Story:
    patch.setattr(steps, "is_healthy", lambda world, pod: True)
    return story(Step("delete_pod", "a", 0), Step("scale", "a", 5, wait_s=30.0))


def no_budget(patch: Patch) -> Story:
    patch.setattr(rollout, "budget_of", lambda spec: 9)
    patch.setattr(plan, "is_healthy", is_healthy)
    return story(ROLL, podManagementPolicy="Parallel")


def no_partition(patch: Patch) -> Story:
    victims = rollout.victims
    patch.setattr(
        rollout, "victims", lambda spec, slots: victims(replace(spec, partition=0), slots)
    )
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    return story(ROLL, updateStrategy=rolling)


def lowest_first(patch: Patch) -> Story:
    patch.setattr(steps, "next_condemned", lambda world: world.condemned[-1])
    return story(Step("scale", "a", 0, wait_s=30.0))


def forced_from_lost_nodes(patch: Patch) -> Story:
    def forced(pod: Obj, node: Obj) -> Plan:
        return Plan((nodelife._force_delete(pod),))

    patch.setattr(nodelife, "_terminating", forced)
    parted = [Step("part", f"n{i}", wait_s=0.1) for i in (1, 2, 3)]
    return story(*parted, Step("delete_pod", "a", 1, wait_s=60.0))


def claims_of_all_pods_go(patch: Patch) -> Story:
    wanted = storage.owners_wanted

    def lost(spec: Any, claim: Obj, pod: Obj, *, condemned: bool) -> Any:
        return wanted(replace(spec, retain_on_scale=False), claim, pod, condemned=condemned)

    patch.setattr(storage, "owners_wanted", lost)
    return story(Step("scale", "a", 1, wait_s=60.0), volumeClaimTemplates=[CLAIM])


def restless(patch: Patch) -> Story:
    told = conditions.of

    def of(world: Any) -> Any:
        kept = [c for c in told(world) if c["type"] != "Odd"]
        return (*kept, {"type": "Odd", "status": "True", "reason": f"Minute{world.now // 60:.0f}"})

    patch.setattr(conditions, "of", of)
    patch.setattr(plan, "_next_look", lambda world, pods, vacant: 30.0)
    return story()


MUTANTS: dict[Callable[[Patch], Story], str] = {
    no_order: "is not Ready",
    no_budget: "the budget is 1",
    no_partition: "below the partition",
    lowest_first: "a-2 is there",
    forced_from_lost_nodes: "is forced away although its node is there",
    claims_of_all_pods_go: "which no policy wants",
    restless: "writes at rest",
}


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
