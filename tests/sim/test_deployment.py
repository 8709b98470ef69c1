"""Deployments in a whole cluster of fake nodes, from several seeds, with late caches."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from petset.api import meta
from petset.testing.clock import run_virtual
from petset.testing.fakepod import Script
from petset.testing.world import World

SEEDS = (1, 2)
DEPLOYMENTS, SETS = "deployments.apps", "replicasets.apps"

Story = Callable[[World], Awaitable[None]]


def deployment(replicas: int = 4, image: str = "one", **spec: Any) -> dict[str, Any]:
    labels = {"app": "api"}
    containers = [{"name": "c", "image": image}]
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "api"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            **spec,
        },
    }


def tell(story: Story, seed: int, **settings: Any) -> None:
    """Run a story in a world whose caches lag."""

    async def main() -> None:
        async with World(seed=seed, lag_s=0.004, **settings) as world:
            await story(world)

    run_virtual(main())


def ready(world: World) -> bool:
    return world.ready(DEPLOYMENTS, "api")


async def make(world: World, **spec: Any) -> None:
    await world.apply(deployment(**spec))
    await world.wait_for(lambda: ready(world))


async def change(world: World, **spec: Any) -> None:
    await world.client.patch(DEPLOYMENTS, "api", {"spec": spec}, "default")


async def roll(world: World, image: str) -> None:
    containers = [{"name": "c", "image": image}]
    await change(world, template={"spec": {"containers": containers}})


def images(world: World) -> list[str]:
    """Images of the pods that are there and not going."""
    pods = [p for p in world.objects("pods", "default") if not meta.is_deleting(p)]
    return sorted(p["spec"]["containers"][0]["image"] for p in pods)


def sizes(world: World) -> dict[str, int]:
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
        for rs in world.objects(SETS)
    }


def progress(world: World) -> dict[str, Any]:
    found = world.get(DEPLOYMENTS, "api")
    assert found is not None
    return dict(meta.condition_of(found, "Progressing") or {})


class Bounds:
    """Watches that a roll-out neither takes too many pods away nor makes too many."""

    def __init__(self, world: World, least: int, most: int) -> None:
        self._world, self._least, self._most = world, least, most
        self.faults: list[str] = []
        world.store.subscribe("pods/", lambda events: self._look())
        world.store.subscribe(f"{SETS}/", lambda events: self._look())

    def _look(self) -> None:
        pods = [p for p in self._world.objects("pods", "default") if not meta.is_deleting(p)]
        available = sum(meta.is_condition_true(p, "Ready") for p in pods)
        wanted = sum(sizes(self._world).values())
        if available < self._least or wanted > self._most:
            last = self._world.trace[-1]
            self.faults.append(f"{available} available, {wanted} wanted after {last}")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("surge", "unavailable", "least", "most"),
    [("25%", "25%", 3, 5), (0, 1, 3, 4), (2, 0, 4, 6), ("100%", "50%", 2, 8)],
)
def test_a_rolling_update_keeps_to_its_bounds(
    seed: int, surge: int | str, unavailable: int | str, least: int, most: int
) -> None:
    async def story(world: World) -> None:
        room = {"maxSurge": surge, "maxUnavailable": unavailable}
        await make(world, strategy={"type": "RollingUpdate", "rollingUpdate": room})
        bounds = Bounds(world, least, most)
        for image in ("two", "three", "one"):
            await roll(world, image)
            await world.sleep(0.4)  # the next template comes in the midst of it
        await world.wait_for(lambda: ready(world))
        await world.settle()
        assert images(world) == ["one"] * 4
        assert bounds.faults == []

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_broken_image_stops_the_roll_out_is_told_in_time_and_undone(seed: int) -> None:
    async def story(world: World) -> None:
        await make(world, progressDeadlineSeconds=60)
        world.script("*", Script(ready_s=None))
        bounds = Bounds(world, 3, 5)
        began = world.clock.now()
        await roll(world, "broken")
        late = "ProgressDeadlineExceeded"
        await world.wait_for(lambda: progress(world).get("reason") == late)
        assert 60 <= world.clock.now() - began < 70
        assert sizes(world) == {"one": 3, "broken": 2}
        await world.sleep(600)
        assert sizes(world) == {"one": 3, "broken": 2}
        assert progress(world)["message"].endswith("has timed out progressing.")
        world.script("*", Script())
        await roll(world, "one")
        await world.wait_for(lambda: ready(world))
        await world.settle()
        assert images(world) == ["one"] * 4
        assert progress(world)["reason"] == "NewReplicaSetAvailable"
        assert bounds.faults == []

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_min_ready_seconds_slow_a_roll_out_down(seed: int) -> None:
    async def story(world: World) -> None:
        room = {"maxSurge": 1, "maxUnavailable": 0}
        strategy = {"type": "RollingUpdate", "rollingUpdate": room}
        await make(world, replicas=3, minReadySeconds=20, strategy=strategy)
        began = world.clock.now()
        await roll(world, "two")
        await world.wait_for(lambda: available(world) == 3 and images(world) == ["two"] * 3)
        assert world.clock.now() - began >= 57  # times in objects are whole seconds

    def available(world: World) -> int:
        found = world.get(DEPLOYMENTS, "api")
        return int((found or {})["status"].get("availableReplicas") or 0)

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_recreate_never_lets_old_and_new_run_together(seed: int) -> None:
    async def story(world: World) -> None:
        world.script("*", Script(stop_s=3.0))
        await make(world, strategy={"type": "Recreate"})
        old = {h.uid for h in world.runtime.live.values()}
        overlaps: list[str] = []

        def hear(happening: Any) -> None:
            running = {h.uid for h in world.runtime.live.values()}
            if happening.what == "started" and running & old:
                overlaps.append(str(happening))

        world.runtime.listeners.append(hear)
        await roll(world, "two")
        await world.wait_for(lambda: ready(world) and images(world) == ["two"] * 4)
        assert overlaps == []

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_controllers_that_crash_at_any_moment_finish_the_work(seed: int) -> None:
    async def story(world: World) -> None:
        await make(world)
        bounds = Bounds(world, 3, 5)
        rng = Random(seed)
        for image in ("two", "three"):
            await roll(world, image)
            for _ in range(6):
                await world.sleep(rng.choice([0.005, 0.03, 0.1]))
                await world.restart_control()
        await world.wait_for(lambda: ready(world) and images(world) == ["three"] * 4)
        await world.settle()
        assert len(world.names("pods")) == 4
        assert bounds.faults == []

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_pods_of_a_lost_node_are_replaced_elsewhere_under_other_names(seed: int) -> None:
    async def story(world: World) -> None:
        await make(world, replicas=3)
        before = world.names("pods")
        await world.node("n1").lose()
        lost = [p for p in world.objects("pods") if p["spec"]["nodeName"] == "n1"]
        assert lost
        await world.wait_for(lambda: ready(world) and elsewhere(world) == 3, timeout_s=900)
        names = set(world.names("pods"))
        assert {meta.name_of(p) for p in lost} <= names, "they are kept until the node answers"
        assert len(names - set(before)) == len(lost)

    def elsewhere(world: World) -> int:
        pods = [p for p in world.objects("pods") if not meta.is_deleting(p)]
        return sum(p["spec"].get("nodeName") in ("n2", "n3") for p in pods)

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_deleting_a_deployment_takes_sets_and_pods_along_unless_they_are_orphaned(
    seed: int,
) -> None:
    async def story(world: World) -> None:
        await make(world)
        uids = {meta.uid_of(p) for p in world.objects("pods")}
        await world.client.delete(DEPLOYMENTS, "api", "default", propagation="Orphan")
        await world.wait_for(lambda: world.get(DEPLOYMENTS, "api") is None)
        await world.settle()
        assert {meta.uid_of(p) for p in world.objects("pods")} == uids
        await make(world)
        assert {meta.uid_of(p) for p in world.objects("pods")} == uids, "adopted"
        assert len(world.names(SETS)) == 1
        await world.client.delete(DEPLOYMENTS, "api", "default", propagation="Foreground")
        await world.wait_for(lambda: world.get(DEPLOYMENTS, "api") is None)
        assert world.names("pods") == world.names(SETS) == []

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_settled_deployment_is_left_in_peace(seed: int) -> None:
    async def story(world: World) -> None:
        await make(world)
        await roll(world, "two")
        await world.wait_for(lambda: ready(world) and images(world) == ["two"] * 4)
        await world.settle()
        quiet = len(world.trace)
        await world.sleep(3600)
        await world.restart_control()
        await world.sleep(60)
        assert [line for line in world.trace[quiet:] if "/default/" in line] == []

    tell(story, seed)


async def _random_life(seed: int) -> list[str]:
    """A story drawn from a seed, to its quiet end."""
    rng = Random(seed)
    async with World(seed=seed, lag_s=0.003) as world:
        await world.apply(deployment())
        for _ in range(14):
            match rng.choice(["roll", "scale", "pause", "resume", "crash", "delete", "settle"]):
                case "roll":
                    await roll(world, rng.choice(["one", "two", "three"]))
                case "scale":
                    await change(world, replicas=rng.randrange(7))
                case "pause" | "resume" as word:
                    await change(world, paused=word == "pause")
                case "crash":
                    await world.restart_control()
                case "delete":
                    if names := world.names("pods"):
                        await world.client.delete("pods", rng.choice(names), "default")
                case _:
                    await world.sleep(5.0)
            await world.sleep(rng.choice([0.0, 0.02, 0.1, 0.5]))
        await change(world, paused=False, replicas=5)
        await roll(world, "end")
        await world.wait_for(lambda: ready(world) and images(world) == ["end"] * 5)
        await world.settle()
        assert sum(sizes(world).values()) == 5
        return list(world.trace)


@pytest.mark.parametrize("seed", range(200, 206))
def test_whatever_happens_the_deployment_ends_whole_and_the_story_repeats(seed: int) -> None:
    first, second = run_virtual(_random_life(seed)), run_virtual(_random_life(seed))
    differing = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    assert not differing[:1]
    assert len(first) == len(second)
