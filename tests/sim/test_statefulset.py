"""StatefulSets in a whole cluster of fake nodes, from several seeds, with late caches."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from petset.api import meta
from petset.api.meta import Obj
from petset.client.reflector import Informers
from petset.controllers.statefulset.controller import VACANT_S
from petset.testing.checker import Checker
from petset.testing.clock import run_virtual
from petset.testing.fakepod import Script
from petset.testing.scenario import stateful_set
from petset.testing.world import World

SEEDS = (1, 2, 3)
SET = "statefulsets.apps"
CLAIMS = "persistentvolumeclaims"

Story = Callable[[World, Checker], Awaitable[None]]


def tell(story: Story, seed: int, **settings: Any) -> None:
    """Run a story in a world whose caches lag, and check the invariants all the way."""

    async def main() -> None:
        async with World(seed=seed, lag_s=0.004, **settings) as world:
            checker = Checker(world)
            await story(world, checker)
            await world.settle()
            checker.assert_ok()

    run_virtual(main())


async def make(world: World, name: str = "web", **spec: Any) -> None:
    for obj in stateful_set(name, **spec):
        await world.apply(obj)
    await world.wait_for(lambda: world.ready(SET, name))


def starts(world: World) -> list[str]:
    return [h.pod for h in world.runtime.log if h.what == "started"]


def stops(world: World) -> list[str]:
    return [h.pod for h in world.runtime.log if h.what == "stopped"]


def volume_of(world: World, claim: str) -> str:
    found = world.get(CLAIMS, claim)
    assert found is not None
    return str(found["spec"]["volumeName"])


def pod(world: World, name: str) -> dict[str, Any]:
    found = world.get("pods", name)
    assert found is not None
    return found


def renewed(world: World, old: dict[str, Any]) -> bool:
    """Whether the pod of that name is another one by now."""
    found = world.get("pods", meta.name_of(old))
    return found is not None and meta.uid_of(found) != meta.uid_of(old)


@pytest.mark.parametrize("seed", SEEDS)
def test_pods_start_in_order_each_after_the_one_before_is_ready(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        world.script("web-1", Script(ready_s=30.0))
        await make(world)
        assert starts(world) == ["web-0", "web-1", "web-2"]
        assert len({pod(world, f"web-{i}")["spec"]["nodeName"] for i in range(3)}) == 3

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_parallel_set_does_not_wait_for_readiness(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        world.script("web-0", Script(ready_s=None))
        for obj in stateful_set("web", podManagementPolicy="Parallel"):
            await world.apply(obj)
        await world.wait_for(lambda: len(starts(world)) == 3)

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_scaling_down_and_up_keeps_claims_and_finds_them_again(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        before = {i: volume_of(world, f"data-web-{i}") for i in range(3)}
        await world.scale("web", 1)
        await world.wait_for(lambda: world.names("pods") == ["web-0"])
        assert stops(world) == ["web-2", "web-1"]
        await world.settle()
        assert world.names(CLAIMS) == ["data-web-0", "data-web-1", "data-web-2"]
        await world.scale("web", 3)
        await world.wait_for(lambda: world.ready(SET, "web"))
        assert {i: volume_of(world, f"data-web-{i}") for i in range(3)} == before

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pod_that_never_becomes_ready_holds_up_the_rest(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        world.script("web-1", Script(ready_s=None))
        for obj in stateful_set("web"):
            await world.apply(obj)
        await world.wait_for(lambda: "web-1" in starts(world))
        await world.sleep(300)
        assert world.names("pods") == ["web-0", "web-1"]

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_deleted_pod_comes_back_with_its_name_and_claim(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        old, volume = pod(world, "web-1"), volume_of(world, "data-web-1")
        checker.by_hand.add("web-1")
        await world.client.delete("pods", "web-1", "default")
        await world.wait_for(lambda: renewed(world, old))
        await world.wait_for(lambda: world.ready(SET, "web"))
        assert volume_of(world, "data-web-1") == volume
        assert pod(world, "web-1")["status"]["podIP"] != old["status"]["podIP"]

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_roll_out_goes_from_the_top_and_stops_at_the_partition(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, replicas=4)
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        container = {"name": "main", "image": "busybox:2"}
        patch = {
            "spec": {
                "updateStrategy": strategy,
                "template": {"spec": {"containers": [container]}},
            }
        }
        await world.client.patch(SET, "web", patch, "default", kind="strategic")
        await world.wait_for(lambda: images(world).count("busybox:2") == 2)
        await world.settle()
        assert images(world) == ["busybox", "busybox", "busybox:2", "busybox:2"]
        assert stops(world) == ["web-3", "web-2"]
        whole = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}
        await world.client.patch(SET, "web", whole, "default")
        await world.wait_for(lambda: world.ready(SET, "web"))
        assert images(world) == ["busybox:2"] * 4
        assert stops(world) == ["web-3", "web-2", "web-1", "web-0"]
        found = world.get(SET, "web")
        assert found is not None
        assert found["status"]["currentRevision"] == found["status"]["updateRevision"]

    def images(world: World) -> list[str]:
        return [p["spec"]["containers"][0]["image"] for p in world.objects("pods", "default")]

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_node_keeps_its_pod_until_the_node_is_removed(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        volume = volume_of(world, "data-web-1")
        node = pod(world, "web-1")["spec"]["nodeName"]
        await world.node(node).lose()
        await world.wait_for(lambda: not_ready(world, node), timeout_s=120)
        await world.sleep(600)
        held = pod(world, "web-1")
        assert held["spec"]["nodeName"] == node
        assert meta.is_deleting(held)  # evicted by its toleration's end, but nobody confirmed
        await world.client.delete("nodes", node)
        await world.wait_for(
            lambda: world.ready(SET, "web") and pod(world, "web-1")["spec"]["nodeName"] != node
        )
        assert volume_of(world, "data-web-1") == volume

    def not_ready(world: World, node: str) -> bool:
        found = world.get("nodes", node)
        return found is not None and not meta.is_condition_true(found, "Ready")

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_that_comes_back_confirms_and_the_pod_returns(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        old = pod(world, "web-1")
        node = world.node(old["spec"]["nodeName"])
        await node.lose(containers=False)
        await world.wait_for(lambda: meta.is_deleting(pod(world, "web-1")), timeout_s=900)
        assert any(h.pod == "web-1" for h in world.runtime.live.values())
        node.start()
        await world.wait_for(lambda: renewed(world, old))
        await world.wait_for(lambda: world.ready(SET, "web"))

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_agent_that_restarts_takes_its_containers_over(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        before = starts(world)
        for node in world.nodes:
            await node.lose(containers=False)
            node.start()
        await world.settle()
        assert starts(world) == before
        assert stops(world) == []

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_controllers_that_crash_at_any_moment_finish_the_work(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        for obj in stateful_set("web", replicas=4):
            await world.apply(obj)
        for _ in range(12):
            await world.sleep(0.03)
            await world.restart_control()
        await world.wait_for(lambda: world.ready(SET, "web"))
        assert starts(world) == ["web-0", "web-1", "web-2", "web-3"]

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_container_that_ends_is_started_again_in_place(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        world.script("web-0", Script(exit_after_s=5.0, exit_code=1))
        await make(world, replicas=1)
        uid = meta.uid_of(pod(world, "web-0"))
        await world.wait_for(lambda: restarts(world) >= 2)
        assert meta.uid_of(pod(world, "web-0")) == uid

    def restarts(world: World) -> int:
        statuses = pod(world, "web-0")["status"]["containerStatuses"]
        return int(statuses[0]["restartCount"])

    tell(story, seed)


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ({"whenScaled": "Delete", "whenDeleted": "Retain"}, ["data-web-0"]),
        ({"whenScaled": "Retain", "whenDeleted": "Delete"}, []),
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_claims_go_by_the_retention_policy(
    seed: int, policy: dict[str, str], left: list[str]
) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, persistentVolumeClaimRetentionPolicy=policy)
        await world.scale("web", 1)
        await world.wait_for(lambda: world.names("pods") == ["web-0"])
        await world.settle()
        kept = 1 if policy["whenScaled"] == "Delete" else 3
        assert len(world.names(CLAIMS)) == kept
        await world.client.delete(SET, "web", "default")
        await world.wait_for(lambda: world.names("pods") == [])
        await world.settle()
        assert world.names(CLAIMS) == left

    tell(story, seed)


def test_a_name_that_others_freed_rests_but_a_rollout_does_not_wait() -> None:
    """Who waits by name for the end of a pod sees a moment without one."""
    gaps: dict[str, float] = {}

    async def story(world: World, checker: Checker) -> None:
        gone: dict[str, float] = {}
        time = asyncio.get_running_loop().time

        def hear(old: Obj | None, new: Obj | None) -> None:
            if new is None and old is not None:
                gone[meta.name_of(old)] = time()
            elif old is None and new is not None and meta.name_of(new) in gone:
                gaps[meta.name_of(new)] = time() - gone.pop(meta.name_of(new))

        await make(world, replicas=2)
        informers = Informers(world.client)
        informers.cache("pods").add_handler(hear)
        listening = asyncio.create_task(informers.run())
        await informers.wait_synced()
        await world.client.delete("pods", "web-1", "default")
        await world.wait_for(lambda: "web-1" in gaps and world.ready(SET, "web"))
        by_hand = gaps.pop("web-1")
        image = {"spec": {"template": {"metadata": {"labels": {"app": "web", "v": "2"}}}}}
        await world.client.patch(SET, "web", image, "default")
        await world.wait_for(lambda: {"web-0", "web-1"} <= gaps.keys())
        assert by_hand > VACANT_S / 2 > max(gaps.values())
        listening.cancel()

    tell(story, 1)
