"""Taints, evictions and the end of pods without agent, rule by rule."""

from typing import Any

import pytest

from petset.api.meta import format_time
from petset.controllers.nodelife import taints
from petset.controllers.nodelife.disruption import Disruption
from petset.controllers.nodelife.nodes import ObservedGone, ObservedNode
from petset.controllers.nodelife.plan import plan
from petset.controllers.nodelife.pods import ObservedFinished, ObservedPod
from petset.reconcile.actions import Delete, Emit, Parallel, Patch, Plan, Sequence

NOW = 1_700_000_000.0
NODE = "node.kubernetes.io/"


def node(ready: str = "True", name: str = "n1", marks: Any = (), **spec: Any) -> Any:
    since = format_time(NOW - 100)
    condition = {"type": "Ready", "status": ready, "lastTransitionTime": since}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "3"},
        "spec": {"taints": list(marks), **spec},
        "status": {"conditions": [condition] if ready else []},
    }


def pod(name: str = "p", status: Any = None, metadata: Any = None, **spec: Any) -> Any:
    own = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "9"}
    return {
        "metadata": {**own, **(metadata or {})},
        "spec": {"nodeName": "n1", **spec},
        "status": status or {"phase": "Running"},
    }


def keys(found: Any) -> set[tuple[str, str]]:
    return {(t["key"].removeprefix(NODE), t["effect"]) for t in found}


def flat(made: Plan) -> list[Any]:
    """Every action, whatever groups it."""
    found, rest = [], list(made.actions)
    while rest:
        action = rest.pop(0)
        if isinstance(action, Sequence | Parallel):
            rest[:0] = action.actions
        else:
            found.append(action)
    return found


# -- taints -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        ({"Ready": "True"}, set()),
        ({"Ready": "False"}, {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")}),
        ({"Ready": "Unknown"}, {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}),
        ({}, {("not-ready", "NoSchedule")}),
        ({"Ready": "True", "DiskPressure": "True"}, {("disk-pressure", "NoSchedule")}),
        ({"Ready": "True", "MemoryPressure": "True"}, {("memory-pressure", "NoSchedule")}),
        ({"Ready": "True", "PIDPressure": "True"}, {("pid-pressure", "NoSchedule")}),
        ({"Ready": "True", "MemoryPressure": "Unknown"}, set()),
    ],
)
def test_taints_follow_conditions(statuses: Any, wanted: Any) -> None:
    assert keys(taints.wanted(node(), statuses, NOW)) == wanted


def test_when_a_taint_was_added_is_kept() -> None:
    fresh = taints.wanted(node(unschedulable=True), {"Ready": "Unknown"}, NOW)
    assert {t["timeAdded"] for t in fresh} == {format_time(NOW)}
    assert len(fresh) == 3
    later = taints.wanted(node(unschedulable=True, marks=fresh), {"Ready": "Unknown"}, NOW + 60)
    assert later == fresh


def test_taints_of_others_stay_and_spent_ones_go() -> None:
    foreign = {"key": "example.com/x", "effect": "NoExecute"}
    spent = {"key": f"{NODE}unreachable", "effect": "NoExecute", "timeAdded": "x"}
    assert taints.wanted(node(marks=[foreign, spent]), {"Ready": "True"}, NOW) == [foreign]


def test_a_cordoned_node_is_marked() -> None:
    found = taints.wanted(node(unschedulable=True), {"Ready": "True"}, NOW)
    assert keys(found) == {("unschedulable", "NoSchedule")}


@pytest.mark.parametrize(
    ("word", "before", "after"),
    [
        ("go", (), {"unreachable"}),
        ("hold", (), set()),
        ("hold", ("not-ready",), {"unreachable"}),
        ("spare", ("unreachable",), set()),
    ],
)
def test_pods_of_a_lost_node_leave_when_its_turn_has_come(
    word: Any, before: Any, after: Any
) -> None:
    marks = [{"key": NODE + key, "effect": "NoExecute", "timeAdded": "x"} for key in before]
    found = taints.wanted(node(marks=marks), {"Ready": "Unknown"}, NOW, word)
    assert {key for key, effect in keys(found) if effect == "NoExecute"} == after
    assert ("unreachable", "NoSchedule") in keys(found)


def test_a_node_that_comes_and_one_that_goes_are_told() -> None:
    involved = {"kind": "Node", "apiVersion": "v1", "name": "n1", "uid": "uid-n1"}
    come = ObservedNode(node(), (), silence_s=0.0, grace_s=40.0, is_new=True)
    (told,) = flat(plan(come, NOW))
    words = "Node n1 event: Registered Node n1 in Controller"
    assert told == Emit(involved, "Normal", "RegisteredNode", words)
    known = ObservedNode(node(), (), silence_s=0.0, grace_s=40.0)
    assert flat(plan(known, NOW)) == []
    words = "Node n1 event: Removing Node n1 from Controller"
    gone = plan(ObservedGone("n1", "uid-n1"), NOW)
    assert flat(gone) == [Emit(involved, "Normal", "RemovingNode", words)]


# -- how many nodes are lost --------------------------------------------------------------------


def cluster(ready: int, lost: int, zone: str = "") -> Disruption:
    made = Disruption()
    add(made, ready, lost, zone)
    return made


def add(made: Disruption, ready: int, lost: int, zone: str = "") -> None:
    for number in range(ready + lost):
        name = f"{zone}n{number}"
        found = node("Unknown" if number < lost else "True", name)
        found["metadata"]["labels"] = {"topology.kubernetes.io/zone": zone} if zone else {}
        made.note(name, found)


def test_one_lost_node_of_several_goes_at_once_and_the_next_ten_seconds_later() -> None:
    made = cluster(ready=3, lost=2)
    assert made.word("n0", 0.0) == ("go", None)
    assert made.word("n1", 0.0) == ("hold", 10.0)
    assert made.word("n0", 1.0) == ("go", None)
    assert made.word("n1", 10.0) == ("go", None)


def test_nobody_leaves_while_no_node_answers() -> None:
    made = cluster(ready=0, lost=3)
    assert made.word("n0", 0.0) == ("spare", None)
    before = made.picture
    made.note("n2", node("True", "n2"))
    assert made.picture != before
    assert made.lost == ["n0", "n1"]
    assert made.word("n0", 0.0) == ("go", None)


def test_a_silent_node_is_lost_whatever_it_last_said() -> None:
    made = cluster(ready=1, lost=0)
    made.note("n0", node("True", "n0"), silent=True)
    assert made.word("n0", 0.0) == ("spare", None)


def test_in_a_small_torn_zone_nobody_leaves() -> None:
    made = cluster(ready=2, lost=3)
    assert made.word("n0", 0.0) == ("hold", None)
    made.note("n4", None)
    made.note("n3", None)
    assert made.word("n0", 0.0) == ("spare", None)


def test_in_a_large_torn_zone_nodes_go_slowly() -> None:
    made = cluster(ready=20, lost=40)
    assert made.word("n0", 0.0) == ("go", None)
    assert made.word("n1", 0.0) == ("hold", 100.0)


def test_a_zone_that_is_lost_whole_goes_as_others_answer() -> None:
    made = cluster(ready=3, lost=0, zone="a")
    add(made, 0, 3, "b")
    assert made.word("bn0", 0.0) == ("go", None)


def test_a_node_that_came_back_has_to_wait_for_its_turn_again() -> None:
    made = cluster(ready=3, lost=1)
    assert made.word("n0", 0.0) == ("go", None)
    made.note("n0", node("True", "n0"))
    made.note("n0", node("Unknown", "n0"))
    assert made.word("n0", 1.0) == ("hold", 9.0)


# -- nodes --------------------------------------------------------------------------------------


def test_a_node_is_looked_at_again_when_its_silence_gets_too_long() -> None:
    made = plan(ObservedNode(node(), (), silence_s=15.0, grace_s=40.0), NOW)
    assert made == Plan(requeue_after_s=25.0)


def test_a_silent_node_and_its_ready_pods_are_told_not_ready() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(NOW - 50)}
    later = {**ready, "lastTransitionTime": format_time(NOW + 50)}
    pods = [
        pod("a", {"conditions": [ready]}),
        pod("later", {"conditions": [later]}),
        pod("unready", {"conditions": [{**ready, "status": "False"}]}),
    ]
    made = flat(plan(ObservedNode(node(), pods, silence_s=40.0, grace_s=40.0), NOW))
    patches = [a for a in made if isinstance(a, Patch)]
    assert [(a.resource, a.name) for a in patches] == [
        ("nodes", "n1"),
        ("nodes", "n1"),
        ("pods", "a"),
    ]
    conditions = patches[0].patch["status"]["conditions"]
    assert {c["type"]: (c["status"], c["reason"]) for c in conditions} == {
        "Ready": ("Unknown", "NodeStatusUnknown"),
        "MemoryPressure": ("Unknown", "NodeStatusNeverUpdated"),
        "DiskPressure": ("Unknown", "NodeStatusNeverUpdated"),
        "PIDPressure": ("Unknown", "NodeStatusNeverUpdated"),
    }
    told = [(a.kind, a.reason, a.message) for a in made if isinstance(a, Emit)]
    assert told == [
        ("Normal", "NodeNotReady", "Node n1 status is now: NodeNotReady"),
        ("Warning", "NodeNotReady", "Node is not ready"),
    ]


# -- evictions ----------------------------------------------------------------------------------


def tainted(added: float = NOW - 10, key: str = "unreachable") -> Any:
    mark = {"key": NODE + key, "effect": "NoExecute", "timeAdded": format_time(added)}
    return node("Unknown", marks=[mark])


def tolerating(seconds: int | None = None, **more: Any) -> Any:
    own = {"key": f"{NODE}unreachable", "operator": "Exists", "effect": "NoExecute", **more}
    return own if seconds is None else {**own, "tolerationSeconds": seconds}


@pytest.mark.parametrize(
    ("tolerations", "at"),
    [
        ([], 0.0),
        ([tolerating()], None),
        ([tolerating(300)], 290.0),
        ([tolerating(10)], 0.0),
        ([tolerating(-5)], -10.0),
        ([tolerating(300), tolerating(60)], 50.0),
        ([tolerating(), tolerating(60)], 50.0),
        ([tolerating(effect="NoSchedule")], 0.0),
        ([{"operator": "Exists"}], None),
        ([{"key": f"{NODE}unreachable", "value": "x"}], 0.0),
    ],
)
def test_how_long_a_pod_may_stay(tolerations: Any, at: Any) -> None:
    found = taints.evicted_at(pod(tolerations=tolerations), taints.of(tainted()), NOW)
    assert found == (None if at is None else NOW + at)


def test_a_pod_whose_time_is_up_is_told_why_and_deleted() -> None:
    seen = ObservedPod(pod(), tainted(), 0.0, node_gone=False, quarantine_s=1.0)
    told, mark, gone = flat(plan(seen, NOW))
    assert (told.reason, told.message) == (
        "TaintManagerEviction",
        "Marking for deletion Pod default/p",
    )
    (condition,) = mark.patch["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == (
        "DisruptionTarget",
        "DeletionByTaintManager",
    )
    assert gone == Delete("pods", "default", "p", uid="uid-p")


def test_a_pod_that_may_stay_a_while_is_looked_at_then() -> None:
    patient = pod(tolerations=[tolerating(300)])
    seen = ObservedPod(patient, tainted(), 0.0, node_gone=False, quarantine_s=1.0)
    assert plan(seen, NOW) == Plan(requeue_after_s=290.0)


def test_a_pod_that_need_not_leave_any_more_is_told_so() -> None:
    relieved = ObservedPod(pod(), node(), 0.0, node_gone=False, quarantine_s=1.0, relieved=True)
    (told,) = flat(plan(relieved, NOW))
    assert (told.kind, told.reason) == ("Normal", "TaintManagerEviction")
    assert told.message == "Cancelling deletion of Pod default/p"
    still = ObservedPod(
        pod(tolerations=[tolerating(300)]), tainted(), 0.0, node_gone=False, quarantine_s=1.0
    )
    assert flat(plan(still, NOW)) == []


def test_finished_pods_are_not_evicted() -> None:
    done = pod(status={"phase": "Succeeded"})
    assert plan(ObservedPod(done, tainted(), 0.0, node_gone=False, quarantine_s=1.0), NOW) == Plan()


# -- pods without agent -------------------------------------------------------------------------

DYING = {"deletionTimestamp": format_time(NOW), "deletionGracePeriodSeconds": 30}
SERVED = {"key": f"{NODE}out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
FORCED = Delete("pods", "default", "p", uid="uid-p", grace_s=0)


def of_pod(found: Any, where: Any, missing_s: float = 0.0, *, gone: bool = False) -> Any:
    seen = ObservedPod(found, where, missing_s, node_gone=gone, quarantine_s=40.0)
    return plan(seen, NOW)


def test_a_pod_of_a_missing_node_waits_for_the_quarantine_and_a_live_look() -> None:
    assert of_pod(pod(), None, 10.0) == Plan(requeue_after_s=30.0)
    assert of_pod(pod(), None, 40.0) == Plan()
    mark, gone = flat(of_pod(pod(), None, 40.0, gone=True))
    assert mark.patch["status"]["phase"] == "Failed"
    (condition,) = mark.patch["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("DisruptionTarget", "True")
    assert condition["reason"] == "DeletionByPodGC"
    assert condition["message"] == "PodGC: node no longer exists"
    assert gone == FORCED


def test_a_pod_that_has_ended_goes_with_its_node_as_it_is() -> None:
    done = pod(status={"phase": "Succeeded"})
    assert flat(of_pod(done, None, 40.0, gone=True)) == [FORCED]


def test_what_disrupts_a_pod_is_told_once() -> None:
    mark, _ = flat(of_pod(pod(), None, 40.0, gone=True))
    told = pod(status={**mark.patch["status"], "phase": "Running"})
    again, _ = flat(of_pod(told, None, 40.0, gone=True))
    assert again.patch == {"status": {"phase": "Failed"}}
    evicted = ObservedPod(pod(), tainted(), 0.0, node_gone=False, quarantine_s=1.0)
    _, mark, _ = flat(plan(evicted, NOW))
    told = pod(status={"phase": "Running", **mark.patch["status"]})
    seen = ObservedPod(told, tainted(), 0.0, node_gone=False, quarantine_s=1.0)
    assert [type(a) for a in flat(plan(seen, NOW))] == [Emit, Delete]


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({**DYING, "finalizers": ["x"]}, True),
        ({**DYING, "deletionGracePeriodSeconds": 0}, True),
        ({**DYING, "deletionGracePeriodSeconds": 0, "finalizers": ["x"]}, False),
    ],
)
def test_force_is_used_once_where_a_finalizer_holds_the_pod(metadata: Any, wanted: Any) -> None:
    """A deletion without grace changes nothing any more for a pod that is held."""
    for found in (of_pod(pod(metadata=metadata), None, 40.0, gone=True),
                  of_pod(pod(metadata=metadata), node("Unknown", marks=[SERVED]))):  # fmt: skip
        assert (FORCED in flat(found)) is wanted


def test_a_terminating_pod_of_a_lost_node_stays_until_somebody_declares_it_out_of_service() -> None:
    dying = pod(metadata=DYING)
    assert of_pod(dying, tainted()) == Plan()
    mark, gone = flat(of_pod(dying, node("Unknown", marks=[SERVED])))
    assert mark.patch == {"status": {"phase": "Failed"}}
    assert gone == FORCED


def test_out_of_service_means_nothing_while_the_node_is_ready() -> None:
    assert of_pod(pod(metadata=DYING), node("True", marks=[SERVED])) == Plan()


def test_a_pod_that_was_deleted_before_it_had_a_node_goes() -> None:
    nowhere = pod(metadata=DYING)
    nowhere["spec"] = {}
    assert flat(of_pod(nowhere, None)) == [FORCED]
    held = pod(metadata={**DYING, "deletionGracePeriodSeconds": 0, "finalizers": ["x"]})
    held["spec"] = {}
    assert of_pod(held, None) == Plan()


def test_of_the_finished_the_evicted_and_then_the_oldest_go_first() -> None:
    def done(name: str, day: int, reason: str = "") -> Any:
        status = {"phase": "Failed", "reason": reason}
        return pod(name, status, {"creationTimestamp": f"2026-01-0{day}T00:00:00Z"})

    pods = [done("old", 1), done("new", 3), done("evicted", 4, "Evicted"), pod("running")]
    made = flat(plan(ObservedFinished(pods, kept=1), NOW))
    assert [a.name for a in made] == ["evicted", "old"]
    for kept in (3, 4):
        assert plan(ObservedFinished(pods, kept=kept), NOW) == Plan()
