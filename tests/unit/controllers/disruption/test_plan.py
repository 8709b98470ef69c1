"""How many pods of a budget may go."""

from typing import Any

import pytest

from petset.api.meta import format_time
from petset.controllers.disruption.plan import Observed, plan
from petset.reconcile.actions import Emit, Update

NOW = 1_700_000_000.0


def pod(number: int, *, ready: bool = True, dying: bool = False) -> Any:
    metadata: dict[str, Any] = {"name": f"p{number}", "namespace": "default", "uid": f"u{number}"}
    if dying:
        metadata["deletionTimestamp"] = format_time(NOW)
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": metadata, "spec": {}, "status": {"conditions": conditions}}


def pods(ready: int, unready: int = 0, dying: int = 0) -> list[Any]:
    made = [pod(n) for n in range(ready)]
    made += [pod(10 + n, ready=False) for n in range(unready)]
    return made + [pod(20 + n, dying=True) for n in range(dying)]


def budget(status: Any = None, **spec: Any) -> Any:
    metadata = {"name": "b", "namespace": "default", "uid": "b1", "generation": 2}
    selector = {"matchLabels": {"app": "x"}}
    return {"metadata": metadata, "spec": {"selector": selector, **spec}, "status": status or {}}


def status_of(made: Any) -> Any:
    assert isinstance(made.status, Update)
    return made.status.obj["status"]


def reasons(made: Any) -> list[str]:
    return [a.reason for a in made.actions if isinstance(a, Emit)]


@pytest.mark.parametrize(
    ("spec", "there", "scale", "wanted"),
    [
        ({"minAvailable": 2}, pods(3), 3, (1, 3, 2, 3)),
        ({"minAvailable": 2}, pods(2), 3, (0, 2, 2, 2)),
        ({"minAvailable": 0}, pods(2), 2, (2, 2, 0, 2)),
        ({}, pods(2), 2, (0, 2, 0, 0)),
        ({"minAvailable": "50%"}, pods(3), 3, (1, 3, 2, 3)),
        ({"minAvailable": "100%"}, pods(3), 3, (0, 3, 3, 3)),
        ({"maxUnavailable": 1}, pods(3), 3, (1, 3, 2, 3)),
        ({"maxUnavailable": 1}, pods(2, unready=1), 3, (0, 2, 2, 3)),
        ({"maxUnavailable": 1}, pods(2, dying=1), 3, (0, 2, 2, 3)),
        ({"maxUnavailable": 0}, pods(3), 3, (0, 3, 3, 3)),
        ({"maxUnavailable": "34%"}, pods(3), 3, (2, 3, 1, 3)),
        ({"maxUnavailable": 9}, pods(3), 3, (3, 3, 0, 3)),
    ],
)
def test_counts(spec: Any, there: Any, scale: int, wanted: Any) -> None:
    found = status_of(plan(Observed(budget(**spec), there, {"set": scale}), NOW))
    names = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    assert tuple(found[name] for name in names) == wanted
    assert found["observedGeneration"] == 2
    (condition,) = found["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        ("DisruptionAllowed", "True", "SufficientPods")
        if wanted[0]
        else ("DisruptionAllowed", "False", "InsufficientPods")
    )


def test_what_is_settled_is_not_written_again() -> None:
    seen = Observed(budget(minAvailable=1), pods(2), {"set": 2})
    done = {**seen.budget, "status": status_of(plan(seen, NOW))}
    made = plan(Observed(done, seen.pods, seen.scales), NOW + 50)
    assert made.status is None
    assert made.actions == ()


def test_an_evicted_pod_counts_as_gone_until_it_is_or_two_minutes_have_passed() -> None:
    evicted = budget({"disruptedPods": {"p0": format_time(NOW - 20)}}, minAvailable=1)
    made = plan(Observed(evicted, pods(2), {"set": 2}), NOW)
    assert status_of(made)["disruptedPods"] == {"p0": format_time(NOW - 20)}
    assert status_of(made)["disruptionsAllowed"] == 0
    assert made.requeue_after_s == 100.0
    made = plan(Observed(evicted, pods(2), {"set": 2}), NOW + 100)
    assert "disruptedPods" not in status_of(made)
    assert status_of(made)["disruptionsAllowed"] == 1
    assert reasons(made) == ["NotDeleted"]
    made = plan(Observed(evicted, pods(0, dying=1), {"set": 2}), NOW)
    assert "disruptedPods" not in status_of(made)


def test_a_budget_without_pods_says_so() -> None:
    made = plan(Observed(budget(minAvailable=1), [], {}), NOW)
    assert reasons(made) == ["NoPods"]
    assert status_of(made)["disruptionsAllowed"] == 0


@pytest.mark.parametrize("spec", [{"maxUnavailable": 1}, {"minAvailable": "50%"}])
def test_shares_of_pods_that_nobody_manages_are_remarked_on(spec: Any) -> None:
    made = plan(Observed(budget(**spec), pods(2), {}, unmanaged=True), NOW)
    assert reasons(made) == ["UnmanagedPods"]
    assert status_of(made)["disruptionsAllowed"] == 0
    plain = plan(Observed(budget(minAvailable=1), pods(2), {}, unmanaged=True), NOW)
    assert reasons(plain) == []
    assert status_of(plain)["disruptionsAllowed"] == 1


def test_nothing_may_go_while_the_wanted_number_is_unknown() -> None:
    before = {"disruptionsAllowed": 1, "expectedPods": 3}
    seen = Observed(budget(before, maxUnavailable=1), pods(3), {}, unknown="p1")
    made = plan(seen, NOW)
    assert reasons(made) == ["CalculateExpectedPodCountFailed"]
    found = status_of(made)
    assert (found["disruptionsAllowed"], found["expectedPods"]) == (0, 3)
    (condition,) = found["conditions"]
    assert (condition["reason"], condition["message"]) == (
        "SyncFailed",
        'found no controllers for pod "p1"',
    )
    again = Observed({**seen.budget, "status": found}, seen.pods, {}, unknown="p1")
    assert plan(again, NOW).status is None
