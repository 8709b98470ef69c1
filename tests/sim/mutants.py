"""Controllers that break one rule each: what the simulation is there to find.

Each mutant changes the controllers and gives a story that shows it at once, with a word of the
fault. `python -m tests.sim --mutants 200` counts how many random histories it takes to catch each.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from petset.api import meta
from petset.api.apps.v1 import setoptions
from petset.api.meta import Obj
from petset.apiserver.subresources import eviction
from petset.controllers.deployment import rolling
from petset.controllers.endpointslice import controller, endpoint
from petset.controllers.nodelife import pods as nodelife
from petset.controllers.replicaset import plan as replicaset
from petset.controllers.replicaset import victims as removal
from petset.controllers.statefulset import (
    conditions,
    ending,
    identity,
    plan,
    rollout,
    steps,
    storage,
)
from petset.controllers.statefulset.world import World, healthy, is_healthy
from petset.dns import answer, local
from petset.proxy import proxy
from petset.reconcile import podtemplate
from petset.reconcile.actions import Plan
from petset.reconcile.freshness import Freshness
from tests.sim import manifests
from tests.sim.story import Step, Story

Patch = pytest.MonkeyPatch


def a_set(**spec: Any) -> dict[str, list[dict[str, Any]]]:
    """A set of three without anything special, and what is given."""
    service, made = manifests.service("a", unready=False), manifests.of_set(Random(0), "a")[-1]
    notes = spec.pop("annotations", {})
    made = {**made, "metadata": {"name": "a", "annotations": notes}}
    container = {"name": "main", "image": "good:0"}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container]}}
    fields = {"serviceName": "a", "selector": {"matchLabels": {"app": "a"}}, "template": template}
    return {"a": [service, {**made, "spec": {**fields, "replicas": 3, **spec}}]}


def story(*steps: Step, **spec: Any) -> Story:
    """A story of that set."""
    return Story(seed=1, sets=a_set(**spec), steps=(Step("wait", number=30), *steps))


def front_story(*steps: Step, **spec: Any) -> Story:
    """A story of a Deployment of four, beside the set."""
    objects = manifests.of_deployment(Random(0), "front")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    fields = {"replicas": 4, "strategy": strategy, "minReadySeconds": 0, **spec}
    made = {**objects[-1], "spec": {**objects[-1]["spec"], **fields}}
    sets = a_set(replicas=0) | {"front": [objects[0], made]}
    return Story(seed=1, sets=sets, steps=(Step("wait", number=30), *steps))


ROLL = Step("image", "a", text="good:1", wait_s=60.0)
ROLL_FRONT = Step("image_front", "front", text="good:1", wait_s=60.0)
CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


# -- StatefulSets: making and taking down ----------------------------------------------------------


def no_order(patch: Patch) -> Story:
    patch.setattr(steps, "is_healthy", lambda world, pod: True)
    return story(Step("delete_pod", "a", 0), Step("scale", "a", 5, wait_s=30.0))


def going_is_fine(patch: Patch) -> Story:
    """A successor starts while its predecessor is being stopped."""

    def also_going(spec: Any, pods: Any, now: float) -> frozenset[str]:
        return healthy(spec, pods, now) | {
            meta.uid_of(p) for p in pods if podtemplate.is_running_and_ready(p)
        }

    patch.setattr(plan, "healthy", also_going)
    going = Step("delete_pod", "a", 0, wait_s=5.0)
    told = story(Step("wait", number=60), going, Step("scale", "a", 5, wait_s=30.0))
    return replace(told, pace=20.0, seed=4)


def no_min_ready(patch: Patch) -> Story:
    def soon(spec: Any, pods: Any, now: float) -> frozenset[str]:
        return healthy(replace(spec, min_ready_s=0), pods, now)

    patch.setattr(plan, "healthy", soon)
    return story(ROLL, minReadySeconds=15)


def lowest_first(patch: Patch) -> Story:
    patch.setattr(steps, "next_condemned", lambda world: world.condemned[-1])
    return story(Step("scale", "a", 0, wait_s=30.0))


def several_at_once(patch: Patch) -> Story:
    def following(world: World) -> Obj | None:
        return next((p for p in world.condemned if not meta.is_deleting(p)), None)

    patch.setattr(steps, "next_condemned", following)
    return replace(story(Step("scale", "a", 0, wait_s=60.0)), pace=20.0)


def ending_from_below(patch: Patch) -> Story:
    """Ordered deletion of a set takes the lowest first."""

    def stop(spec: Any, pods: Any) -> list[Any]:
        held = setoptions.FINALIZER in ending.finalizers_of(spec)
        if not held or any(map(meta.is_deleting, pods)):
            return []
        return [steps.delete(spec, min(pods, key=identity.ordinal_of))]

    patch.setattr(ending, "stop", stop)
    return story(
        Step("delete_set", "a", text="Foreground", wait_s=60.0),
        annotations={"petset.dev/ordered-deletion": "true"},
    )


# -- StatefulSets: rolling ------------------------------------------------------------------------


def no_budget(patch: Patch) -> Story:
    patch.setattr(rollout, "budget_of", lambda spec: 9)
    patch.setattr(plan, "is_healthy", is_healthy)
    return story(ROLL, podManagementPolicy="Parallel")


def no_partition(patch: Patch) -> Story:
    _change_spec(patch, partition=0)
    rolling_update = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    return story(ROLL, updateStrategy=rolling_update)


def rolls_on_delete(patch: Patch) -> Story:
    _change_spec(patch, strategy="RollingUpdate")
    return story(ROLL, updateStrategy={"type": "OnDelete"})


def rolls_while_paused(patch: Patch) -> Story:
    victims = rollout.victims

    def unpaused(spec: Any, slots: Any) -> list[int]:
        return victims(replace(spec, options=replace(spec.options, paused=False)), slots)

    patch.setattr(rollout, "victims", unpaused)
    return story(ROLL, annotations={"petset.dev/paused": "true"})


def rolls_from_below(patch: Patch) -> Story:
    victims = rollout.victims
    patch.setattr(
        rollout,
        "victims",
        lambda spec, slots: [len(slots) - 1 - i for i in victims(spec, slots[::-1])],
    )
    return story(ROLL)


def rolls_again(patch: Patch) -> Story:
    """Ready pods of the right revision are rolled again and again."""
    victims = plan._victims

    def again(world: World) -> list[Obj]:
        pods = [pod for _, pod in world.slots if pod is not None and is_healthy(world, pod)]
        return victims(world) or (pods[-1:] if len(pods) == len(world.slots) else [])

    patch.setattr(plan, "_victims", again)
    return story(ROLL)


def _change_spec(patch: Patch, **fields: Any) -> None:
    victims = rollout.victims
    patch.setattr(rollout, "victims", lambda spec, slots: victims(replace(spec, **fields), slots))


# -- claims, nodes, status ------------------------------------------------------------------------


def claims_of_all_pods_go(patch: Patch) -> Story:
    wanted = storage.owners_wanted

    def lost(spec: Any, claim: Obj, pod: Obj, *, condemned: bool) -> Any:
        return wanted(replace(spec, retain_on_scale=False), claim, pod, condemned=condemned)

    patch.setattr(storage, "owners_wanted", lost)
    return story(Step("scale", "a", 1, wait_s=60.0), volumeClaimTemplates=[CLAIM])


def forced_from_lost_nodes(patch: Patch) -> Story:
    def forced(pod: Obj, node: Obj) -> Plan:
        return Plan((nodelife._force_delete(pod),))

    patch.setattr(nodelife, "_terminating", forced)
    parted = [Step("part", f"n{i}", wait_s=0.1) for i in (1, 2, 3)]
    return story(*parted, Step("delete_pod", "a", 1, wait_s=60.0))


def restless(patch: Patch) -> Story:
    told = conditions.of

    def of(world: Any) -> Any:
        kept = [c for c in told(world) if c["type"] != "Odd"]
        return (*kept, {"type": "Odd", "status": "True", "reason": f"Minute{world.now // 60:.0f}"})

    patch.setattr(conditions, "of", of)
    patch.setattr(plan, "_next_look", lambda world, pods, vacant: 30.0)
    return story()


def unready_are_named(patch: Patch) -> Story:
    """Services name pods that are not Ready."""
    made = endpoint._endpoint
    patch.setattr(endpoint, "_endpoint", lambda *given: replace(made(*given), ready=True))
    return story(Step("image", "a", text="slow:1", wait_s=100.0))


def evicts_regardless(patch: Patch) -> Story:
    """Budgets are not asked."""

    async def spend(*_: Any) -> None:
        pass

    patch.setattr(eviction, "_spend", spend)
    budget = Step("budget", "a", text='{"minAvailable": 3}', wait_s=5.0)
    return story(Step("wait", number=60), budget, Step("evict", "a", 1, wait_s=30.0))


def plans_from_old_caches(patch: Patch) -> Story:
    """Own writes that the caches have not seen are forgotten."""
    patch.setattr(Freshness, "delay", lambda freshness, key: None)
    stall = Step("stall", "control", 8.0, "pods CLEAN")
    larger = [Step("scale_front", "front", n, wait_s=2.0) for n in (6, 7)]
    return front_story(stall, *larger)


# -- names -----------------------------------------------------------------------------------------


def old_addresses_stay(patch: Patch) -> Story:
    """A pod that has got another address, its node having been lost, is named with the old one."""
    had: dict[str, str] = {}
    made = endpoint._endpoint

    def first(service: Obj, pod: Obj, address: str, zones: Any) -> Any:
        return made(service, pod, had.setdefault(meta.uid_of(pod), address), zones)

    patch.setattr(endpoint, "_endpoint", first)
    lost = [Step("lose", f"n{i}", wait_s=1.0) for i in (1, 2, 3)]
    back = [Step("return", f"n{i}", wait_s=1.0) for i in (1, 2, 3)]
    return story(Step("wait", number=30), *lost, *back, Step("wait", number=60))


def others_hostname(patch: Patch) -> Story:
    """Members are named by the ordinal before theirs."""
    made = endpoint._endpoint

    def named(*given: Any) -> Any:
        found = made(*given)
        parent, ordinal = identity.parse(found.hostname)
        return replace(found, hostname=identity.pod_name(parent, max(0, ordinal - 1)))

    patch.setattr(endpoint, "_endpoint", named)
    return story()


def late_slices(patch: Patch) -> Story:
    """Changes of a few pods wait for more."""
    patch.setattr(controller, "MANY", 1)
    return story(Step("scale", "a", 4, wait_s=30.0))


def selectors_are_kept(patch: Patch) -> Story:
    """A Service goes on with the pods that it selected first."""
    anew = controller.EndpointSlices._select_anew

    def once(self: Any, key: str, service: Obj | None) -> None:
        if key not in self._members:
            anew(self, key, service)

    patch.setattr(controller.EndpointSlices, "_select_anew", once)
    vip = '{"selector": {"app": "nobody"}, "ports": [{"port": 80}]}'
    made = Step("create_service", "vip", text=vip, wait_s=20.0)
    return story(made, Step("service", "vip", text='{"selector": {"app": "a"}}', wait_s=30.0))


def unready_are_answered(patch: Patch) -> Story:
    """DNS answers with members that are not Ready."""
    records = answer.service_records

    def every(service: Obj, slices: Any) -> Any:
        published = {**service["spec"], "publishNotReadyAddresses": True}
        return records({**service, "spec": published}, slices)

    patch.setattr("petset.dns.index.service_records", every)
    return story(Step("image", "a", text="slow:1", wait_s=100.0))


def answers_are_kept(patch: Patch) -> Story:
    """What DNS has once answered stays: a name that was not there is never there."""

    class Kept(dict[Any, Any]):
        def clear(self) -> None:
            pass

    begin = local.LocalAnswers.follow

    def follow(self: local.LocalAnswers) -> None:
        self.cached = Kept()
        begin(self)

    patch.setattr(local.LocalAnswers, "follow", follow)
    return story(Step("delete_pod", "a", 1, wait_s=30.0))


def rules_are_kept(patch: Patch) -> Story:
    """The Service rules do not hear of endpoints that change."""
    patch.setattr(proxy, "_matters", lambda obj: (obj.get("spec"),))
    vip = '{"selector": {"app": "a"}, "ports": [{"port": 80}]}'
    made = Step("create_service", "vip", text=vip, wait_s=20.0)
    return story(made, Step("delete_pod", "a", 1, wait_s=30.0))


# -- Deployments ----------------------------------------------------------------------------------


def no_surge(patch: Patch) -> Story:
    patch.setattr(rolling, "_new_size", lambda spec, found, new: spec.replicas)
    return front_story(ROLL_FRONT)


def no_floor(patch: Patch) -> Story:
    def shrunk(spec: Any, found: Any, new: Any) -> Any:
        return rolling.emptied(spec, found)

    patch.setattr(rolling, "_shrink_old", shrunk)
    return front_story(replace(ROLL_FRONT, text="slow:1"))


def no_recreate(patch: Patch) -> Story:
    patch.setattr(rolling, "has_old_pods", lambda found, pods: False)
    recreate = {"type": "Recreate"}
    return replace(front_story(ROLL_FRONT, strategy=recreate), pace=20.0)


def one_too_few(patch: Patch) -> Story:
    def victims(pods: Any, related: Any, count: int, now: float) -> list[Obj]:
        return removal.victims(pods, related, count + 1, now)

    patch.setattr(replicaset, "victims", victims)
    return front_story(Step("scale_front", "front", 2, wait_s=30.0))


MUTANTS: dict[Callable[[Patch], Story], str] = {
    no_order: "is not Ready",
    going_is_fine: "is not Ready",
    no_min_ready: "is not Ready",
    lowest_first: "is there",
    several_at_once: "is there",
    ending_from_below: "is there",
    no_budget: "the budget is 1",
    no_partition: "below the partition",
    rolls_on_delete: "is rolled by hand",
    rolls_while_paused: "is paused",
    rolls_from_below: "is to be rolled first",
    rolls_again: "has the wanted template",
    claims_of_all_pods_go: "which no policy wants",
    forced_from_lost_nodes: "is forced away although its node is there",
    restless: "writes at rest",
    unready_are_named: "which is not Ready, as ready",
    no_surge: "are allowed",
    no_floor: "available pods are left",
    no_recreate: "is there, with Recreate",
    evicts_regardless: "an eviction left 2 healthy pods where 3 are wanted",
    plans_from_old_caches: "makes a pod, has 6 and wants 6",
    one_too_few: "are left of",
    old_addresses_stay: "do not follow",
    others_hostname: "which has never had it",
    late_slices: "do not follow",
    selectors_are_kept: "do not follow",
    unready_are_answered: "its DNS says",
    answers_are_kept: "its DNS says",
    rules_are_kept: "the ready endpoints are",
}
"""Each mutant, and a word of the fault that tells it."""
