"""The budget planner: never allows more evictions than the budget leaves, and then stays quiet."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.disruption.plan import EVICTION_TIMEOUT_S, RESOURCE, Observed, plan
from petset.reconcile.actions import Emit, Plan
from tests.property.world import World

NOW = 1_700_000_000.0


def budget(disrupted: dict[str, str] | None = None, **spec: Any) -> MutableObj:
    return {
        "kind": "PodDisruptionBudget",
        "apiVersion": "policy/v1",
        "metadata": {"name": "b", "namespace": "default", "generation": 2},
        "spec": spec,
        "status": {"disruptedPods": disrupted or {}},
    }


def pod(name: str, state: str) -> MutableObj:
    metadata: MutableObj = {"name": name, "namespace": "default"}
    if state == "going":
        metadata["deletionTimestamp"] = meta.format_time(NOW)
    ready = "False" if state == "unready" else "True"
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def settled(seen: Observed) -> tuple[Obj, Plan]:
    """The status after one plan, and the plan after it."""
    world = World()
    world.put(RESOURCE, seen.budget)
    stored = world.list(RESOURCE)[0]
    world.execute(plan(Observed(stored, seen.pods, seen.scales), NOW))
    stored = world.list(RESOURCE)[0]
    return stored["status"], plan(Observed(stored, seen.pods, seen.scales), NOW)


STATES = st.lists(st.sampled_from(["ready", "unready", "going", "disrupted"]), max_size=8)
BUDGETS = st.one_of(
    st.builds(lambda n: {"minAvailable": n}, st.integers(0, 6)),
    st.builds(lambda n: {"maxUnavailable": n}, st.integers(0, 6)),
    st.builds(lambda n: {"minAvailable": f"{n}%"}, st.integers(0, 100)),
    st.builds(lambda n: {"maxUnavailable": f"{n}%"}, st.integers(0, 100)),
)


@given(STATES, BUDGETS)
def test_evictions_allowed_keep_the_budget_and_the_status_is_written_once(
    states: list[str], spec: dict[str, Any]
) -> None:
    pods = [pod(f"p{i}", state) for i, state in enumerate(states)]
    since = meta.format_time(NOW - 10)
    noted = {f"p{i}": since for i, state in enumerate(states) if state == "disrupted"}
    seen = Observed(budget(noted, **spec), pods, {"u": len(pods)})
    status, again = settled(seen)
    told = [action.reason for action in again.actions if isinstance(action, Emit)]
    assert told == ([] if pods else ["NoPods"])
    assert len(told) == len(again.actions)
    assert again.status is None
    healthy = states.count("ready")
    assert status["currentHealthy"] == healthy
    assert status["observedGeneration"] == 2
    assert status["expectedPods"] == len(pods)
    allowed = status["disruptionsAllowed"]
    assert 0 <= allowed <= healthy
    left = healthy - allowed
    if allowed:
        assert left == status["desiredHealthy"]
        if isinstance(least := spec.get("minAvailable"), int):
            assert left >= least
        if isinstance(most := spec.get("maxUnavailable"), int):
            assert len(pods) - left <= most
    assert again.requeue_after_s == (EVICTION_TIMEOUT_S - 10 if noted else None)


def test_percentages_are_rounded_towards_more_pods_kept() -> None:
    pods = [pod(f"p{i}", "ready") for i in range(3)]
    status, _ = settled(Observed(budget(minAvailable="50%"), pods, {"u": 3}))
    assert (status["desiredHealthy"], status["disruptionsAllowed"]) == (2, 1)


def test_an_eviction_that_never_came_is_given_up_and_told() -> None:
    since = meta.format_time(NOW - EVICTION_TIMEOUT_S - 1)
    seen = Observed(budget({"p0": since}, minAvailable=0), [pod("p0", "ready")], {})
    made = plan(seen, NOW)
    (event,) = made.actions
    assert isinstance(event, Emit)
    assert event.reason == "NotDeleted"
    status, _ = settled(seen)
    assert "disruptedPods" not in status
    assert status["currentHealthy"] == 1
