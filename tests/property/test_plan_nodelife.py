"""The node-life planners: taints follow conditions, evictions follow tolerations, nothing else."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.api.tolerations import tolerates
from petset.controllers.nodelife import taints
from petset.controllers.nodelife.nodes import ObservedNode, plan_node
from petset.controllers.nodelife.pods import (
    ObservedFinished,
    ObservedPod,
    plan_finished,
    plan_pod,
)
from petset.reconcile import podtemplate
from petset.reconcile.actions import Delete, Plan
from tests.property.world import World, flatten

NOW = 1_700_000_000.0


def node(ready: str | None, **spec: Any) -> MutableObj:
    conditions = [] if ready is None else [condition(ready)]
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": "n1"},
        "spec": spec,
        "status": {"conditions": conditions},
    }


def condition(status: str) -> MutableObj:
    since = meta.format_time(NOW - 100)
    return {"type": "Ready", "status": status, "lastTransitionTime": since}


def pod(name: str = "web-0", *, ready: bool = True, **more: Any) -> MutableObj:
    found: MutableObj = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", **more.pop("metadata", {})},
        "spec": {"nodeName": "n1", **more.pop("spec", {})},
        "status": {"phase": "Running", "conditions": [condition("True" if ready else "False")]},
    }
    found["status"] |= more
    return found


class NodeWorld(World):
    def observe(self, silence_s: float) -> ObservedNode:
        found = self.get("nodes", "n1", "")
        assert found is not None
        return ObservedNode(found, self.list("pods"), silence_s, 40.0)

    def sync(self, silence_s: float) -> Plan:
        made = plan_node(self.observe(silence_s), self.now)
        self.execute(made)
        return made

    @property
    def taints(self) -> set[tuple[str, str]]:
        found = self.get("nodes", "n1", "") or {}
        return {(t["key"].rpartition("/")[2], t["effect"]) for t in taints.of(found)}


@settings(deadline=None)
@given(
    st.sampled_from(["True", "False", "Unknown", None]),
    st.floats(0, 100),
    st.booleans(),
    st.lists(st.sampled_from(["not-ready", "unreachable", "unschedulable", "foreign"])),
)
def test_one_plan_brings_a_node_in_order_and_the_next_has_nothing_to_write(
    ready: str | None, silence_s: float, cordoned: bool, present: list[str]
) -> None:
    world = NodeWorld()
    given_taints = [
        {"key": f"node.kubernetes.io/{key}", "effect": "NoSchedule"} for key in sorted({*present})
    ]
    world.put("nodes", node(ready, taints=given_taints, unschedulable=cordoned))
    world.put("pods", pod())
    world.sync(silence_s)
    again = plan_node(world.observe(silence_s), world.now)
    assert again.actions == ()
    lost = silence_s >= 40
    final = "Unknown" if lost else ready
    expected = {("foreign", "NoSchedule")} if "foreign" in present else set()
    if cordoned:
        expected.add(("unschedulable", "NoSchedule"))
    if final == "Unknown":
        expected |= {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
    if final == "False":
        expected |= {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")}
    if final is None:
        expected.add(("not-ready", "NoSchedule"))
    assert world.taints == expected
    assert (again.requeue_after_s is None) == lost
    (seen,) = world.list("pods")
    assert podtemplate.is_ready(seen) == (final != "Unknown")


def test_a_node_that_comes_back_loses_the_taints_and_a_pod_ready_since_stays_ready() -> None:
    world = NodeWorld()
    world.put("nodes", node("True"))
    world.put("pods", pod())
    world.sync(41)
    assert ("unreachable", "NoExecute") in world.taints
    world.now += 10
    later = {**condition("True"), "lastTransitionTime": meta.format_time(world.now)}
    world.change("pods", "web-0", {"status": {"conditions": [later]}})
    assert world.sync(0).actions == ()
    world.change("nodes", "n1", {"status": {"conditions": [condition("True")]}}, "")
    world.sync(0)
    assert world.taints == set()


TAINT = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["a", "b"]),
        "effect": st.sampled_from(["NoExecute", "NoSchedule"]),
        "timeAdded": st.integers(-100, 0).map(lambda s: meta.format_time(NOW + s)),
    }
)
TOLERATION = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["a", "b", ""]),
        "operator": st.just("Exists"),
        "effect": st.sampled_from(["NoExecute", "", "NoSchedule"]),
    },
    optional={"tolerationSeconds": st.integers(-5, 200)},
)


@settings(max_examples=200, deadline=None)
@given(st.lists(TAINT, max_size=3), st.lists(TOLERATION, max_size=3))
def test_a_pod_is_evicted_when_a_taint_is_not_tolerated_any_more_and_not_before(
    present: list[Obj], tolerations: list[Obj]
) -> None:
    seen = ObservedPod(
        pod(spec={"tolerations": tolerations}), node("True", taints=present), 0.0, False, 0.5
    )

    def tolerated(taint: Obj, at: float) -> bool:
        since = meta.parse_time(taint["timeAdded"])
        assert since is not None
        covering = [t for t in tolerations if tolerates(t, taint)]
        limits = [t["tolerationSeconds"] for t in covering if "tolerationSeconds" in t]
        return bool(covering) and all(at < since + max(0, limit) for limit in limits)

    executing = [t for t in present if t["effect"] == "NoExecute"]
    made = plan_pod(seen, NOW)
    stays = all(tolerated(t, NOW) for t in executing)
    assert bool(made.actions) is not stays
    if made.requeue_after_s is not None:
        at = NOW + made.requeue_after_s
        assert plan_pod(seen, at).actions
        assert not plan_pod(seen, at - 0.5).actions


def orphan(missing_s: float, *, gone: bool, **more: Any) -> Plan:
    return plan_pod(ObservedPod(pod(**more), None, missing_s, gone, 0.5), NOW)


def test_pods_of_a_node_that_is_gone_fail_and_are_deleted_after_the_quarantine() -> None:
    assert orphan(0.2, gone=False) == Plan(requeue_after_s=0.3)
    assert orphan(0.6, gone=False) == Plan()
    world = World()
    world.put("pods", pod(metadata={"uid": "u1"}))
    seen = ObservedPod(world.list("pods")[0], None, 0.6, True, 0.5)
    made = plan_pod(seen, NOW)
    patch, delete = flatten(made.actions)
    assert isinstance(delete, Delete)
    assert (delete.grace_s, delete.uid) == (0, "u1")
    world.act(patch)
    (failed,) = world.list("pods")
    assert failed["status"]["phase"] == "Failed"
    target = meta.condition_of(failed, "DisruptionTarget")
    assert target is not None
    assert target["reason"] == "DeletionByPodGC"
    world.act(delete)
    assert world.list("pods") == []


def test_a_terminating_pod_is_only_forced_where_the_node_is_out_of_service() -> None:
    going = pod(metadata={"deletionTimestamp": meta.format_time(NOW), "uid": "u1"})
    mark = {"key": taints.OUT_OF_SERVICE, "effect": "NoExecute", "value": "nodeshutdown"}

    def actions(found: Obj) -> int:
        return len(plan_pod(ObservedPod(going, found, 0.0, False, 0.5), NOW).actions)

    assert actions(node("Unknown")) == 0
    assert actions(node("True", taints=[mark])) == 0
    assert actions(node("Unknown", taints=[mark])) == 2


def test_a_terminating_pod_without_node_is_removed() -> None:
    going = pod(metadata={"deletionTimestamp": meta.format_time(NOW), "uid": "u1"})
    going["spec"] = {}
    (delete,) = plan_pod(ObservedPod(going, None, 0.0, False, 0.5), NOW).actions
    assert isinstance(delete, Delete)
    assert delete.grace_s == 0


@given(st.integers(0, 6), st.integers(0, 6))
def test_only_the_oldest_finished_pods_beyond_the_limit_go(count: int, kept: int) -> None:
    done = [
        pod(f"p{i}", metadata={"creationTimestamp": meta.format_time(NOW + i)}, phase="Succeeded")
        for i in range(count)
    ]
    made = plan_finished(ObservedFinished([pod("alive"), *done], kept))
    gone = [a.name for a in flatten(made.actions) if isinstance(a, Delete)]
    assert gone == [f"p{i}" for i in range(max(0, count - kept))]
