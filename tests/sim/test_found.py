"""Bugs that histories have found, each as the shortest story that showed it."""

import asyncio
import copy
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from petset.client.transport import TransportError
from petset.testing.breakable import BreakableWorld
from petset.testing.clock import run_virtual
from petset.testing.scenario import stateful_set
from petset.testing.world import World
from tests.sim import mutants
from tests.sim.history import Outcome, live
from tests.sim.story import Step, draw, draw_sets


def as_found(seed: int) -> Outcome:
    """The history of a seed as it was before nodes had DNS and Services were edited."""
    return live(draw_sets(seed), names=False)


def tell(story: Callable[[BreakableWorld], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with BreakableWorld(nodes=0, **settings) as world:
            await story(world)
            assert not world.losses

    run_virtual(main())


def test_a_patch_that_changes_nothing_is_not_answered_with_what_power_loss_takes_back() -> None:
    """Seed 4: the answer showed another client's write that was not on the disk yet."""

    async def story(world: BreakableWorld) -> None:
        await world.apply("{kind: ConfigMap, apiVersion: v1, metadata: {name: one}}")
        world._spindle.delay_max_s = 1.0
        patch = {"data": {"a": "1"}}
        calls = [world.client.patch("configmaps", "one", patch, "default") for _ in range(2)]
        writing = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.sleep(1e-3)
        world.disk_s = 0.0
        world.crash_server(back_s=0.1)
        assert [type(answer) for answer in await writing] == [TransportError, TransportError]
        await world.back()
        found = world.get("configmaps", "one")
        assert found is not None
        assert "data" not in found

    tell(story, disk_s=0.0)


@pytest.mark.parametrize("seed", range(3))
def test_writes_and_those_that_change_nothing_are_durable_when_they_are_answered(seed: int) -> None:
    async def story(world: BreakableWorld) -> None:
        await world.apply("{kind: ConfigMap, apiVersion: v1, metadata: {name: one}}")
        patches = [{"data": {"a": str(i // 4)}} for i in range(24)]
        calls = [world.client.patch("configmaps", "one", p, "default") for p in patches]
        await asyncio.gather(*calls)

    tell(story, seed=seed, disk_s=0.5)


def test_a_set_that_takes_over_pods_without_its_claims_rolls_them() -> None:
    """Seed 4499: the pods' volumes are immutable, and the set tried to change them for ever."""

    async def story() -> None:
        async with World(nodes=1) as world:
            service, with_claims = stateful_set("web", replicas=2)
            for container in with_claims["spec"]["template"]["spec"]["containers"]:
                container.pop("volumeMounts", None)  # one template, so that only claims differ
            bare = copy.deepcopy(with_claims)
            del bare["spec"]["volumeClaimTemplates"]
            await world.apply(service)
            await world.apply(bare)
            await world.wait_for(lambda: world.ready("statefulsets.apps", "web"))
            await world.client.delete("statefulsets.apps", "web", "default", propagation="Orphan")
            await world.wait_for(lambda: world.get("statefulsets.apps", "web") is None)
            await world.apply(with_claims)
            await world.wait_for(lambda: len(world.names("persistentvolumeclaims")) == 2)
            await world.wait_for(lambda: world.ready("statefulsets.apps", "web"))
            volumes = [pod["spec"]["volumes"] for pod in world.objects("pods")]
            assert all("persistentVolumeClaim" in mounted[0] for mounted in volumes)

    run_virtual(story())


def test_a_set_in_foreground_deletion_waits_for_the_claims_of_a_pod_that_it_had_released() -> None:
    """Seed 20677: the set never went, and no story could end; a hand has to take the pod away."""
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    told = mutants.story(
        Step("release", "a", number=1, wait_s=60.0),
        Step("delete_set", "a", text="Foreground", wait_s=60.0),
        volumeClaimTemplates=[template],
        persistentVolumeClaimRetentionPolicy=policy,
        annotations={"petset.dev/ordered-deletion": "true"},
    )
    outcome = live(told)
    assert outcome.faults == []
    assert any(line.endswith("deleted statefulsets.apps/default/a") for line in outcome.trace)


def test_an_eviction_that_power_loss_cut_in_half_is_forgotten_by_its_budget() -> None:
    """The budget had counted the pod off, which was never deleted: for two minutes it may."""
    assert as_found(300991).faults == []


def test_no_pod_is_made_from_a_cache_that_lags_behind_the_deletion_of_a_lower_one() -> None:
    """Seed 407765: a-0 was taken down, the watch was cut for 10 s, a-1 was made in the meantime."""
    assert as_found(407765).faults == []


def test_claims_get_the_owners_of_a_new_policy_though_a_lower_pod_fits_on_no_node() -> None:
    """Seed 610113: deleted in the meantime, the set would have taken the claims with it."""
    assert as_found(610113).faults == []


def test_a_late_request_leaves_no_revision_with_the_number_of_the_newest() -> None:
    """Seed 658506: the old one got its number again when nobody looked any more."""
    outcome = as_found(658506)
    assert outcome.faults == []
    written = re.findall(r"set controllerrevisions.apps/default/(b-\w+)", "\n".join(outcome.trace))
    assert written[-2:] == ["b-7bc9df98f4", "b-6cb75476f6"]


def test_pods_begin_on_a_node_that_came_back_only_when_it_is_known_again() -> None:
    """Seed 800155: it registered too late, and its pods had begun again elsewhere as well."""
    assert live(draw(800155)).faults == []


def test_a_removed_node_that_hears_nothing_may_begin_what_was_given_up_on_it() -> None:
    """Seed 812083: told of its pods late, as of their end a moment after. The judge was wrong."""
    assert live(draw(812083)).faults == []
