"""The Deployment planner with the ReplicaSet planner in a small world."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.deployment import sets
from petset.controllers.deployment import spec as specs
from petset.controllers.deployment.plan import Observed, plan
from petset.controllers.replicaset.plan import is_active
from petset.reconcile import podtemplate
from petset.reconcile.actions import Create, Delete, Plan
from tests.property.test_plan_replicaset import PODS, SETS, PodWorld
from tests.property.world import flatten

DEPLOYMENTS = "deployments.apps"
BROKEN = "nginx:9"
"""Pods of this image never become ready."""


def template(number: int) -> MutableObj:
    containers = [{"name": "c", "image": f"nginx:{number}"}]
    return {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": containers}}


def make_deployment(**spec: Any) -> MutableObj:
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "api", "namespace": "default", "generation": 1},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "api"}},
            "template": template(1),
            **spec,
        },
    }


def rolling(surge: int | str, unavailable: int | str) -> MutableObj:
    room = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"type": "RollingUpdate", "rollingUpdate": room}


class RollWorld(PodWorld):
    """A world with one deployment."""

    def __init__(self, **spec: Any) -> None:
        super().__init__()
        self.put(DEPLOYMENTS, make_deployment(**spec))

    @property
    def deployment(self) -> MutableObj:
        found = self.get(DEPLOYMENTS, "api")
        assert found is not None
        return found

    def set_spec(self, **spec: Any) -> None:
        self.change(DEPLOYMENTS, "api", {"spec": spec})

    def observe(self) -> Observed:
        mine = [rs for rs in self.list(SETS) if _is_controlled(rs, self.deployment)]
        pods = tuple(p for rs in mine for p in self.owned(rs))
        beside = {meta.name_of(rs): rs for rs in self.list(SETS)}
        return Observed(self.deployment, beside, pods, may_adopt=True)

    def sync(self, cut: int | None = None) -> Plan:
        """Plan, check the plan, do it (or the first `cut` writes of it)."""
        seen = self.observe()
        made = plan(seen, self.now)
        assert made == plan(seen, self.now), "equal inputs, equal plan"
        before = self.sizes()
        for action in flatten(made.actions):
            if isinstance(action, Delete):
                assert action.resource == SETS, "pods are the sets' business"
                assert before[action.name] == 0
            if isinstance(action, Create):
                assert action.resource == SETS
        self.execute(made, cut=cut)
        self.check_sizes(before, self.sizes())
        return made

    def check_sizes(self, before: dict[str, int], after: dict[str, int]) -> None:
        """A plan grows no further than the strategy allows."""
        spec = specs.read(self.deployment)
        total, was = sum(after.values()), sum(before.values())
        if spec.rolling and spec.replicas:
            assert total <= max(was, spec.size_max)

    def sizes(self) -> dict[str, int]:
        return {meta.name_of(rs): rs["spec"]["replicas"] for rs in self.list(SETS)}

    def sync_sets(self) -> bool:
        """Sync every set; whether one of them waits for time to pass."""
        made = [self.sync_set(name) for name in self.sizes()]
        return any(plan.requeue_after_s is not None for plan in made)

    def serve(self, pod: Obj) -> None:
        if pod["spec"]["containers"][0]["image"] != BROKEN or meta.is_deleting(pod):
            super().serve(pod)

    def settle(self) -> None:
        """Run until nothing is planned any more."""
        for _ in range(300):
            before = self.revision
            self.sync()
            waiting = self.sync_sets()
            self.kubelet()
            self.now += 5.0
            if self.revision == before and not waiting:
                return
        raise AssertionError(f"does not settle: {self.writes[-20:]}")

    @property
    def active(self) -> list[MutableObj]:
        return [p for p in self.list(PODS) if is_active(p)]

    @property
    def available(self) -> int:
        return sum(podtemplate.is_available(p, 0, self.now) for p in self.active)

    def disturb(self, kind: str, number: int, cut: int) -> None:
        names, pods = list(self.sizes()), self.list(PODS)
        match kind:
            case "sync":
                self.sync(cut)
            case "sync set" if names:
                self.sync_set(names[number % len(names)], cut)
            case "kubelet":
                self.kubelet()
            case "time":
                self.now += 7.0
            case "scale":
                self.set_spec(replicas=number % 6)
            case "template":
                self.set_spec(template=template(1 + number % 3))
            case "pause":
                self.set_spec(paused=bool(number % 2))
            case "strategy":
                strategies = [rolling(number % 3, 1), rolling("30%", 0), {"type": "Recreate"}]
                self.set_spec(strategy=None)
                self.set_spec(strategy=strategies[number % 3])
            case "orphan set" if names:
                self.change(
                    SETS, names[number % len(names)], {"metadata": {"ownerReferences": None}}
                )
            case "resize set" if names:
                self.change(SETS, names[number % len(names)], {"spec": {"replicas": number % 4}})
            case _ if pods:
                self.to_pod(kind, pods[number % len(pods)], number)
            case _:
                pass


def _is_controlled(obj: Obj, owner: Obj) -> bool:
    return (meta.controller_of(obj) or {}).get("uid") == meta.uid_of(owner)


USERS = ("scale", "template", "pause", "strategy", "orphan set", "resize set")
KUBELET = ("ready", "unready", "fail", "bind", "delete", "gone")
MOVES = st.tuples(
    st.sampled_from(
        [*("sync",) * 6, *("sync set",) * 6, *("kubelet",) * 3, "time", *USERS, *KUBELET]
    ),
    st.integers(0, 9),
    st.integers(0, 5),
)
STRATEGIES = st.one_of(
    st.just({"type": "Recreate"}),
    st.builds(rolling, st.sampled_from([0, 1, 2, "25%"]), st.sampled_from([1, 2, "25%", "50%"])),
    st.builds(rolling, st.sampled_from([1, 3, "10%"]), st.just(0)),
)


@settings(max_examples=250, deadline=None)
@given(
    STRATEGIES,
    st.sampled_from([0, 4]),
    st.integers(0, 2),
    st.lists(MOVES, max_size=30),
)
def test_any_history_settles_with_one_whole_set_and_then_nothing_is_planned(
    strategy: MutableObj, min_ready_s: int, limit: int, moves: Sequence[tuple[str, int, int]]
) -> None:
    world = RollWorld(strategy=strategy, minReadySeconds=min_ready_s, revisionHistoryLimit=limit)
    for move in moves:
        world.disturb(*move)
    world.set_spec(paused=False)
    world.settle()
    found = world.deployment
    wanted = found["spec"]["replicas"]
    new = [rs for rs in world.list(SETS) if sets.has_template(rs, found["spec"]["template"])]
    assert sum(rs["spec"]["replicas"] for rs in world.list(SETS)) == wanted
    assert sum(rs["spec"]["replicas"] for rs in new) == wanted
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    assert [p["spec"]["containers"][0]["image"] for p in world.active] == [image] * wanted
    assert plan(world.observe(), world.now) == Plan(status_if_failed=None)
    check_status(found, wanted)
    check_history(world, limit)


def check_status(found: Obj, wanted: int) -> None:
    status = found["status"]
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    assert [status.get(name) or 0 for name in names] == [wanted] * 4
    assert not status.get("unavailableReplicas")
    assert status["observedGeneration"] == found["metadata"]["generation"]
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


def check_history(world: RollWorld, limit: int) -> None:
    assert len(world.list(SETS)) <= limit + 1
    numbers = [
        int(rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
        for rs in world.list(SETS)
    ]
    assert len(set(numbers)) == len(numbers)
    mine = world.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    assert int(mine) == max(numbers)


ROLLING = st.tuples(
    st.sampled_from([0, 1, 2, "25%", "60%"]), st.sampled_from([0, 1, 2, "25%", "60%"])
).filter(lambda room: room != (0, 0))
STEPS = st.lists(
    st.tuples(st.sampled_from(["sync", "sync set", "one pod", "template"]), st.integers(0, 9)),
    max_size=80,
)


@settings(max_examples=250, deadline=None)
@given(st.integers(1, 7), ROLLING, STEPS)
def test_a_roll_out_keeps_to_its_bounds_whoever_comes_late(
    replicas: int, room: tuple[int | str, int | str], steps: Sequence[tuple[str, int]]
) -> None:
    """Template 9 is broken for good; sets and pods act when they get to it."""
    world = RollWorld(replicas=replicas, strategy=rolling(*room))
    world.settle()
    spec = specs.read(world.deployment)
    images = (1, 2, 3, 9)
    for kind, number in steps:
        names, pods = list(world.sizes()), world.list(PODS)
        if kind == "sync":
            world.sync()
        elif kind == "sync set":
            world.sync_set(names[number % len(names)])
        elif kind == "template":
            world.set_spec(template=template(images[number % 4]))
        elif pods:
            world.serve(pods[number % len(pods)])
        assert world.available >= spec.min_available
        assert sum(world.sizes().values()) <= spec.size_max
        assert len(world.active) <= spec.size_max + drift(world)
    world.set_spec(template=template(2))
    world.settle()
    assert world.available == replicas


def drift(world: RollWorld) -> int:
    """Pods that a set has yet to remove."""
    found = ((rs, len([p for p in world.owned(rs) if is_active(p)])) for rs in world.list(SETS))
    return sum(max(0, count - rs["spec"]["replicas"]) for rs, count in found)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 8), st.integers(0, 12), ROLLING, st.integers(0, 25))
def test_scaling_in_the_midst_of_a_paused_roll_out_spreads_over_the_sets(
    replicas: int, scale: int, room: tuple[int | str, int | str], syncs: int
) -> None:
    world = RollWorld(replicas=replicas, strategy=rolling(*room))
    world.settle()
    world.set_spec(template=template(2))
    for _ in range(syncs):
        world.sync()
        world.sync_sets()
        world.kubelet()
    before = world.sizes()
    world.set_spec(paused=True, replicas=scale)
    world.sync()
    after = world.sizes()
    spec = specs.read(world.deployment)
    active = [name for name, size in before.items() if size]
    if len(active) > 1 and scale != replicas:
        assert sum(after.values()) == (spec.size_max if scale else 0)
        shares = [(before[name], after[name]) for name in active]
        grown = sum(after.values()) > sum(before.values())
        assert all(a >= b if grown else a <= b for b, a in shares), "all move the same way"
    world.sync()  # the new set may have turned out to be enough
    assert world.sync().actions == (), "then it is done"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(0, 3))
def test_going_back_uses_the_old_set_again_under_a_new_number(
    templates: Sequence[int], limit: int
) -> None:
    world = RollWorld(replicas=2, revisionHistoryLimit=limit)
    world.settle()
    for number in templates:
        known = {meta.name_of(rs): rs for rs in world.list(SETS)}
        world.set_spec(template=template(number))
        before = world.deployment
        expected = [n for n, rs in known.items() if sets.has_template(rs, template(number))]
        world.settle()
        (new,) = [rs for rs in world.list(SETS) if rs["spec"]["replicas"]]
        assert expected in ([], [meta.name_of(new)])
        if before["spec"]["template"] != template(number):
            assert int(new["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) > 1
        check_history(world, limit)
