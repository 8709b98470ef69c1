"""Out of the traps: what petset does for StatefulSets beyond Kubernetes, in a whole cluster."""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from petset.api import meta
from petset.api.errors import StatusError
from petset.controllers.statefulset import heal
from petset.testing.checker import Checker
from petset.testing.clock import run_virtual
from petset.testing.fakepod import Script
from petset.testing.scenario import stateful_set
from petset.testing.world import World

SEEDS = (1, 2)
SET, CLAIMS, REVISIONS = "statefulsets.apps", "persistentvolumeclaims", "controllerrevisions.apps"
BROKEN, SOUND = Script(ready_s=None), Script()

Story = Callable[[World, Checker], Awaitable[None]]


def tell(story: Story, seed: int, **settings: Any) -> None:
    """Run a story in a world whose caches lag, and check the invariants all the way."""

    async def main() -> None:
        async with World(seed=seed, lag_s=0.004, **settings) as world:
            checker = Checker(world)
            await story(world, checker)
            checker.assert_ok()

    run_virtual(main())


async def start(world: World, options: Mapping[str, str] | None = None, **spec: Any) -> None:
    """Make the set `web` and do not wait for it."""
    for obj in stateful_set("web", **spec):
        if obj["kind"] == "StatefulSet":
            annotations = {f"petset.dev/{k}": v for k, v in (options or {}).items()}
            obj["metadata"]["annotations"] = annotations
        await world.apply(obj)


async def make(world: World, options: Mapping[str, str] | None = None, **spec: Any) -> None:
    await start(world, options, **spec)
    await whole(world)


async def whole(world: World, **more: float) -> None:
    await world.wait_for(lambda: world.ready(SET, "web"), **more)
    await world.settle()


async def roll(world: World, image: str) -> None:
    containers = [{"name": "main", "image": image}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    await world.client.patch(SET, "web", patch, "default", kind="strategic")


async def choose(world: World, option: str, value: str | None) -> None:
    patch = {"metadata": {"annotations": {f"petset.dev/{option}": value}}}
    await world.client.patch(SET, "web", patch, "default")


def web(world: World) -> dict[str, Any]:
    found = world.get(SET, "web")
    assert found is not None
    return found


def condition(world: World, kind: str) -> tuple[str, str]:
    found = meta.condition_of(web(world), kind) or {}
    return found.get("status", ""), found.get("reason", "")


def images(world: World) -> list[str]:
    return [p["spec"]["containers"][0]["image"] for p in world.objects("pods", "default")]


def happened(world: World, what: str) -> list[str]:
    return [h.pod for h in world.runtime.log if h.what == what]


def told(world: World, reason: str) -> list[str]:
    return [e["message"] for e in world.objects("events") if e.get("reason") == reason]


def written(world: World) -> int:
    """How many changes of the set and of what belongs to it there were."""
    keys = (SET, "pods/", CLAIMS, REVISIONS)
    return sum(any(key in line for key in keys) for line in world.trace)


@pytest.mark.parametrize("seed", SEEDS)
def test_putting_the_template_back_replaces_the_pod_that_never_gets_ready(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        world.script("web-2", BROKEN)
        await roll(world, "broken")
        await world.wait_for(lambda: "broken" in images(world))
        await world.sleep(60)
        assert images(world) == ["busybox", "busybox", "broken"]
        world.script("web-2", SOUND)
        await roll(world, "busybox")
        await whole(world)
        assert images(world) == ["busybox"] * 3
        assert happened(world, "stopped") == ["web-2", "web-2"]
        assert len(told(world, "ReplacingBrokenPod")) == 1

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mended_template_goes_on_from_the_broken_pod(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        world.script("web-1", BROKEN)
        await roll(world, "broken")
        await world.wait_for(lambda: images(world) == ["busybox", "broken", "broken"])
        await world.sleep(60)
        world.script("web-1", SOUND)
        await roll(world, "mended")
        await whole(world)
        assert images(world) == ["mended"] * 3
        assert happened(world, "stopped")[2:] == ["web-1", "web-2", "web-0"]

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_set_that_never_was_whole_is_mended_as_well(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        world.script("web-1", BROKEN)
        await start(world)
        await world.wait_for(lambda: "web-1" in happened(world, "started"))
        await world.sleep(60)
        world.script("web-1", SOUND)
        await roll(world, "mended")
        await whole(world)
        assert images(world) == ["mended"] * 3

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_switched_off_the_broken_pod_is_waited_for_as_upstream_does(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, {"heal-rollout": "false"})
        world.script("web-2", BROKEN)
        await roll(world, "broken")
        await world.wait_for(lambda: happened(world, "started")[3:] == ["web-2"])
        world.script("web-2", SOUND)
        await roll(world, "busybox")
        await world.sleep(1200)
        assert images(world) == ["busybox", "busybox", "broken"]
        await choose(world, "heal-rollout", None)
        await whole(world)
        assert images(world) == ["busybox"] * 3

    tell(story, seed)


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_roll_out_that_misses_its_deadline_goes_back_by_itself(seed: int, policy: str) -> None:
    async def story(world: World, checker: Checker) -> None:
        options = {"rollback": "auto", "progress-deadline-seconds": "120"}
        await make(world, options, podManagementPolicy=policy)
        world.script("web-2", BROKEN)
        await roll(world, "broken")
        await world.wait_for(lambda: "broken" in images(world))
        await world.sleep(100)
        assert images(world) == ["busybox", "busybox", "broken"]
        world.script("web-2", SOUND)  # for the pod to come; the one that is there stays broken
        await world.wait_for(lambda: told(world, "RolledBack") != [])
        await whole(world)
        assert images(world) == ["busybox"] * 3
        assert web(world)["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox"
        assert condition(world, "Progressing") == ("True", "RolloutComplete")
        await world.sleep(1200)
        assert len(told(world, "RolledBack")) == 1

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_conditions_tell_what_is_stuck_and_an_idle_set_is_not_written(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        assert condition(world, "Available") == ("True", "AllReplicasAvailable")
        assert condition(world, "Progressing") == ("True", "RolloutComplete")
        assert condition(world, "RolloutStuck") == ("False", "NotStuck")
        world.script("web-2", BROKEN)
        await roll(world, "broken")
        await world.wait_for(lambda: "broken" in images(world))
        await world.settle()
        assert condition(world, "Available") == ("False", "ReplicasUnavailable")
        assert condition(world, "Progressing") == ("True", "RollingOut")
        await world.sleep(700)
        assert condition(world, "Progressing") == ("False", "ProgressDeadlineExceeded")
        assert condition(world, "RolloutStuck") == ("True", "PodNotReady")
        stuck = meta.condition_of(web(world), "RolloutStuck") or {}
        why = "container main runs, its readiness probe does not succeed"
        assert stuck["message"] == f"Pod web-2 is not Ready: {why}"
        before = written(world)
        await world.sleep(1800)
        assert written(world) == before
        assert len(told(world, "RolloutStuck")) == 1

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_settled_set_is_written_no_more_whatever_time_passes(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, minReadySeconds=10)
        await world.sleep(60)
        before = written(world)
        await world.sleep(1800)
        await world.restart_control()
        await world.sleep(1800)
        assert written(world) == before

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_pods_that_the_server_refuses_are_told_of_in_its_words(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await start(world)
        template = {"spec": {"priorityClassName": "high"}}
        await world.client.patch(SET, "web", {"spec": {"template": template}}, "default")
        await world.wait_for(lambda: condition(world, "RolloutStuck")[0] == "True")
        assert condition(world, "RolloutStuck")[1] == "FailedCreate"
        stuck = meta.condition_of(web(world), "RolloutStuck") or {}
        assert stuck["message"].startswith("Pod web-0 cannot be created: ")
        assert "no PriorityClass with name high was found" in stuck["message"]
        assert stuck["message"] in (meta.condition_of(web(world), "Available") or {})["message"]
        await world.sleep(700)
        assert condition(world, "Progressing") == ("False", "ProgressDeadlineExceeded")
        before = written(world)
        await world.sleep(600)
        assert written(world) == before
        priority = {"kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "value": 5}
        await world.apply({**priority, "metadata": {"name": "high"}})
        await whole(world)
        assert condition(world, "RolloutStuck") == ("False", "NotStuck")

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_set_rolled_by_hand_completes(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, updateStrategy={"type": "OnDelete"})
        await roll(world, "new")
        await world.settle()
        assert condition(world, "Progressing") == ("True", "WaitingForDeletion")
        for name in ("web-0", "web-1", "web-2"):
            checker.by_hand.add(name)
            await world.client.delete("pods", name, "default")
            await world.settle()
        await whole(world)
        status = web(world)["status"]
        assert status["currentRevision"] == status["updateRevision"]
        assert status["currentReplicas"] == status["updatedReplicas"] == 3
        assert condition(world, "Progressing") == ("True", "RolloutComplete")

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_paused_roll_out_stands_still_and_goes_on_when_resumed(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        await choose(world, "paused", "true")
        await roll(world, "new")
        await world.settle()
        assert images(world) == ["busybox"] * 3
        assert condition(world, "Progressing") == ("Unknown", "RolloutPaused")
        checker.by_hand.add("web-1")
        await world.client.delete("pods", "web-1", "default")
        await world.wait_for(lambda: len(happened(world, "started")) == 4)
        await world.scale("web", 4)
        await world.settle()
        assert images(world) == ["busybox"] * 4
        await choose(world, "paused", None)
        await whole(world)
        assert images(world) == ["new"] * 4
        assert len(told(world, "RolloutResumed")) == 1

    tell(story, seed)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_whole_set_is_stopped_last_ordinal_first(seed: int, propagation: str) -> None:
    async def story(world: World, checker: Checker) -> None:
        world.script("*", Script(stop_s=5.0))
        await make(world, {"ordered-deletion": "true"})
        await world.client.delete(SET, "web", "default", propagation=propagation)
        await world.sleep(7)
        assert happened(world, "stopped") == ["web-2"]
        assert world.get(SET, "web") is not None
        await world.restart_control()
        await world.wait_for(lambda: world.get(SET, "web") is None)
        assert happened(world, "stopped") == ["web-2", "web-1", "web-0"]
        await world.settle()
        assert world.names("pods") == []
        assert len(world.names(CLAIMS)) == 3

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_orphaning_an_ordered_set_leaves_its_pods(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, {"ordered-deletion": "true"})
        await world.client.delete(SET, "web", "default", propagation="Orphan")
        await world.wait_for(lambda: world.get(SET, "web") is None)
        await world.settle()
        assert world.names("pods") == ["web-0", "web-1", "web-2"]
        assert happened(world, "stopped") == []

    tell(story, seed)


async def resize(world: World, size: str, **metadata: Any) -> None:
    templates = web(world)["spec"]["volumeClaimTemplates"]
    templates[0]["spec"]["resources"]["requests"]["storage"] = size
    templates[0]["metadata"] |= metadata
    patch = {"spec": {"volumeClaimTemplates": templates}}
    await world.client.patch(SET, "web", patch, "default")


def sizes(world: World) -> list[str]:
    return [claim["status"]["capacity"]["storage"] for claim in world.objects(CLAIMS)]


@pytest.mark.parametrize("seed", SEEDS)
def test_volumes_grow_with_the_template_one_member_after_the_other(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        await resize(world, "2Gi", labels={"tier": "db"})
        await world.wait_for(lambda: sizes(world) == ["2Gi"] * 3)
        await world.settle()
        assert [meta.labels_of(c)["tier"] for c in world.objects(CLAIMS)] == ["db"] * 3
        assert happened(world, "stopped") == []
        await world.scale("web", 4)
        await whole(world)
        assert sizes(world) == ["2Gi"] * 4
        assert len(told(world, "SuccessfulUpdate")) == 3
        with pytest.raises(StatusError, match="updates to statefulset spec for fields other than"):
            await resize(world, "1Gi")

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_claim_that_was_there_before_stays_as_it_is_until_the_template_is_edited(
    seed: int,
) -> None:
    async def story(world: World, checker: Checker) -> None:
        claim = stateful_set("web")[1]["spec"]["volumeClaimTemplates"][0]
        claim = {**claim, "kind": "PersistentVolumeClaim", "apiVersion": "v1"}
        claim["spec"]["resources"]["requests"]["storage"] = "500Mi"
        await world.apply({**claim, "metadata": {"name": "data-web-0"}})
        await make(world)
        assert sizes(world) == ["500Mi", "1Gi", "1Gi"]
        await resize(world, "2Gi")
        await world.wait_for(lambda: sizes(world) == ["2Gi"] * 3)

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_primary_is_rolled_last(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, {"primary-label": "role=primary"})
        patch = {"metadata": {"labels": {"role": "primary"}}}
        await world.client.patch("pods", "web-2", patch, "default")
        await world.settle()
        await roll(world, "new")
        await whole(world)
        assert happened(world, "stopped") == ["web-1", "web-0", "web-2"]

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_reserved_ordinals_get_no_pod_and_a_member_can_be_sent_away(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, {"reserved-ordinals": "1,3"})
        assert world.names("pods") == ["web-0", "web-2", "web-4"]
        await choose(world, "reserved-ordinals", "0-1,3")
        await world.wait_for(lambda: world.names("pods") == ["web-2", "web-4", "web-5"])
        await whole(world)
        assert "data-web-0" in world.names(CLAIMS)
        await world.scale("web", 1)
        await world.wait_for(lambda: world.names("pods") == ["web-2"])
        with pytest.raises(StatusError, match="must be ordinals and ranges"):
            await choose(world, "reserved-ordinals", "one")

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_pods_that_fail_at_once_are_made_again_after_growing_pauses(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, replicas=1)
        made = []
        for _ in range(4):
            await fail_and_wait(world)
            made.append(world.clock.now())
        pauses = [later - earlier for earlier, later in itertools.pairwise(made)]
        assert [round(pause, -1) for pause in pauses] == [10, 20, 40]
        assert len(told(world, "BackOff")) == 3
        await whole(world)
        await world.sleep(700)
        began = world.clock.now()
        await fail_and_wait(world)
        assert world.clock.now() - began < 2

    async def fail_and_wait(world: World) -> None:
        uid = meta.uid_of(world.get("pods", "web-0") or {})
        status = {"status": {"phase": "Failed", "reason": "Evicted"}}
        await world.client.patch("pods", "web-0", status, "default", subresource="status")
        await world.wait_for(lambda: is_renewed(world, uid))

    def is_renewed(world: World, uid: str) -> bool:
        pod = world.get("pods", "web-0")
        running = pod is not None and meta.is_condition_true(pod, "Ready")
        return running and meta.uid_of(pod or {}) != uid

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_set_with_the_longest_name_runs_and_rolls(seed: int) -> None:
    name = "a" * 62 + "b"

    async def story(world: World, checker: Checker) -> None:
        for obj in stateful_set(name, replicas=2):
            await world.apply(obj)
        await world.wait_for(lambda: world.ready(SET, name))
        hostnames = [p["spec"]["hostname"] for p in world.objects("pods", "default")]
        assert all(len(h) <= 63 for h in hostnames)
        assert [h.rpartition("-")[2] for h in hostnames] == ["0", "1"]
        image = {"template": {"spec": {"containers": [{"name": "main", "image": "new"}]}}}
        await world.client.patch(SET, name, {"spec": image}, "default", kind="strategic")
        await world.wait_for(lambda: images(world) == ["new"] * 2 and world.ready(SET, name))
        await world.settle()
        status = (world.get(SET, name) or {})["status"]
        assert status["currentRevision"] == status["updateRevision"]
        assert status["currentReplicas"] == 2
        before = written(world)
        await world.sleep(1200)
        assert written(world) == before

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_revision_that_was_whole_is_noted_once(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        (revision,) = world.objects(REVISIONS)
        assert meta.annotations_of(revision)[heal.PROVEN] == "true"
        await roll(world, "new")
        await whole(world)
        marks = [meta.annotations_of(r).get(heal.PROVEN) for r in world.objects(REVISIONS)]
        assert marks == ["true", "true"]

    tell(story, seed)
