"""What counts as a roll-out that misses its deadline, and what a missing member waits for."""

import pytest

from petset.api import meta
from petset.testing.checker import Checker
from petset.testing.fakepod import Script
from petset.testing.scenario import stateful_set
from petset.testing.world import World
from tests.sim.test_statefulset_traps import (
    BROKEN,
    CLAIMS,
    SEEDS,
    SET,
    SOUND,
    condition,
    images,
    make,
    resize,
    roll,
    sizes,
    tell,
    told,
    web,
    whole,
    written,
)

OPTIONS = {"rollback": "auto", "progress-deadline-seconds": "120"}


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_template_whose_pods_are_refused_is_put_back(seed: int, policy: str) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, OPTIONS, podManagementPolicy=policy)
        template = {"spec": {"priorityClassName": "none-of-that-name"}}
        await world.client.patch(SET, "web", {"spec": {"template": template}}, "default")
        await world.sleep(100)
        assert condition(world, "RolloutStuck") == ("True", "FailedCreate")
        assert told(world, "RolledBack") == []
        await world.sleep(100)
        assert len(told(world, "RolledBack")) == 1
        await whole(world)
        assert "priorityClassName" not in web(world)["spec"]["template"]["spec"]
        assert condition(world, "Progressing") == ("True", "RolloutComplete")

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pod_that_gets_ready_again_and_again_misses_the_deadline_as_well(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, OPTIONS, minReadySeconds=30)
        await world.sleep(60)
        world.script("web-2", Script(exit_after_s=5.0, exit_code=1, restart_s=50.0))
        await roll(world, "broken")
        await world.wait_for(lambda: images(world)[2:] == ["broken"])
        await world.sleep(100)
        assert told(world, "RolledBack") == []
        await world.wait_for(lambda: told(world, "RolledBack") != [], timeout_s=200)
        world.script("web-2", Script())
        await whole(world)
        assert images(world) == ["busybox"] * 3

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_member_that_waits_for_the_end_of_its_claim_is_told_of(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, replicas=2)
        await world.scale("web", 1)
        await world.settle()
        held = {"metadata": {"finalizers": ["example.org/backup"]}}
        await world.client.patch(CLAIMS, "data-web-1", held, "default")
        await world.client.delete(CLAIMS, "data-web-1", "default")
        await world.settle()
        await world.scale("web", 2)
        await world.sleep(700)
        assert condition(world, "RolloutStuck") == ("True", "ClaimTerminating")
        messages = [c["message"] for c in web(world)["status"]["conditions"] if "message" in c]
        why = "Pod web-1 waits until claim data-web-1 of before is gone"
        assert messages[0] == f"1 of 2 replicas are available: {why}"
        free = {"metadata": {"finalizers": None}}
        await world.client.patch(CLAIMS, "data-web-1", free, "default")
        await whole(world)
        assert condition(world, "RolloutStuck") == ("False", "NotStuck")

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_member_on_a_lost_node_is_told_of_with_the_node_that_has_to_confirm(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        node = (world.get("pods", "web-1") or {})["spec"]["nodeName"]
        await world.node(node).lose()
        await world.sleep(100)
        stored = meta.condition_of(web(world), "Available") or {}
        why = f"Pod web-1 is not Ready: node {node} is silent"
        assert stored["message"] == f"2 of 3 replicas are available: {why}"
        await world.sleep(400)
        stored = meta.condition_of(web(world), "Available") or {}
        why = f"Pod web-1 is being deleted: node {node} does not confirm its end"
        assert stored["message"] == f"2 of 3 replicas are available: {why}"

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_set_that_is_deleted_in_order_tells_whom_it_waits_for(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, {"ordered-deletion": "true"})
        node = (world.get("pods", "web-2") or {})["spec"]["nodeName"]
        await world.node(node).lose()
        await world.client.delete(SET, "web", "default")
        await world.sleep(300)
        assert condition(world, "Progressing") == ("True", "DeletingInOrder")
        stored = meta.condition_of(web(world), "Progressing") or {}
        assert stored["message"] == (
            "pods left to be stopped, last ordinal first: 3; "
            f"Pod web-2 is being deleted: node {node} does not confirm its end"
        )
        before = written(world)
        await world.sleep(600)
        assert written(world) == before
        await world.client.delete("nodes", node)
        await world.wait_for(lambda: world.get(SET, "web") is None)
        assert world.names("pods") == []

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_claims_that_cannot_grow_are_told_of_once_for_each_edit_of_their_templates(
    seed: int,
) -> None:
    async def story(world: World, checker: Checker) -> None:
        await world.apply(
            {
                "kind": "StorageClass",
                "apiVersion": "storage.k8s.io/v1",
                "metadata": {"name": "fixed"},
                "provisioner": "petset.dev/directory",
            }
        )
        for obj in stateful_set("web", replicas=2):
            for template in obj["spec"].get("volumeClaimTemplates") or ():
                template["spec"]["storageClassName"] = "fixed"
            await world.apply(obj)
        await whole(world)
        await resize(world, "2Gi")
        await world.settle()
        assert refusals(world) == {"data-web-0": 1, "data-web-1": 1}
        await world.scale("web", 3)
        await whole(world)
        assert sizes(world) == ["1Gi", "1Gi", "2Gi"]
        assert refusals(world) == {"data-web-0": 1, "data-web-1": 1}
        await resize(world, "3Gi")
        await world.settle()
        assert refusals(world) == {"data-web-0": 2, "data-web-1": 2, "data-web-2": 1}

    def refusals(world: World) -> dict[str, int]:
        found = (e for e in world.objects("events") if e["reason"] == "VolumeExpansionNotAllowed")
        return {e["message"].split()[1]: e["count"] for e in found}

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_claims_grow_once_their_class_allows_it(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, replicas=2)
        classes = "storageclasses.storage.k8s.io"
        await world.client.patch(classes, "standard", {"allowVolumeExpansion": False})
        await world.settle()
        await resize(world, "2Gi")
        await world.sleep(60)
        assert sizes(world) == ["1Gi", "1Gi"]
        await world.client.patch(classes, "standard", {"allowVolumeExpansion": True})
        await world.wait_for(lambda: sizes(world) == ["2Gi", "2Gi"])

    tell(story, seed)


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_broken_pod_below_a_partition_that_was_raised_is_replaced(seed: int, policy: str) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, podManagementPolicy=policy)
        world.script("web-1", BROKEN)
        await roll(world, "broken")
        await world.wait_for(lambda: images(world)[1:] == ["broken", "broken"])
        await world.sleep(5)
        rolling = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}
        await world.client.patch(SET, "web", {"spec": rolling}, "default")
        world.script("web-1", SOUND)
        await roll(world, "mended")
        await world.wait_for(lambda: condition(world, "Available")[0] == "True")
        assert len(told(world, "ReplacingBrokenPod")) == 1
        await world.wait_for(lambda: images(world)[1:] == ["busybox", "mended"])

    tell(story, seed)
