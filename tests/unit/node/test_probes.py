"""When probes are tried, and what their answers mean."""

from petset.node import probes
from petset.node.probes import Progress

RULE = probes.rule_of("readinessProbe", {"periodSeconds": 10, "failureThreshold": 3})


def test_tries_before_the_first_success_come_early_and_double() -> None:
    progress, waits = Progress(), []
    for _ in range(12):
        progress = probes.after(RULE, progress, success=False, now=0.0)
        waits.append(probes.next_try_s(RULE, progress))
    assert waits[:4] == [0.02, 0.04, 0.08, 0.16]
    assert waits[-1] == 10.0
    ready = probes.after(RULE, progress, success=True, now=9.0)
    assert ready.passed
    assert probes.next_try_s(RULE, ready) == 10.0


def test_early_tries_do_not_count_as_failures() -> None:
    rule = probes.rule_of("startupProbe", {"periodSeconds": 10, "failureThreshold": 2})
    progress = Progress()
    for now in (1.0, 1.02, 1.06, 5.0):
        progress = probes.after(rule, progress, success=False, now=now)
    assert progress.bad == 1
    progress = probes.after(rule, progress, success=False, now=11.0)
    assert probes.has_failed(rule, progress)


def test_thresholds_after_success() -> None:
    progress = probes.after(RULE, Progress(), success=True, now=0.0)
    for count in (1, 2):
        progress = probes.after(RULE, progress, success=False, now=10.0 * count)
        assert progress.passed
    assert not probes.after(RULE, progress, success=False, now=30.0).passed
    assert probes.after(RULE, progress, success=True, now=30.0).bad == 0


def test_success_threshold_must_be_met_in_a_row() -> None:
    rule = probes.rule_of("readinessProbe", {"successThreshold": 2})
    once = probes.after(rule, Progress(), success=True, now=0.0)
    assert not once.passed
    broken = probes.after(rule, once, success=False, now=10.0)
    again = probes.after(rule, broken, success=True, now=20.0)
    assert not again.passed
    assert probes.after(rule, again, success=True, now=30.0).passed


def test_readiness_counts_only_once_started() -> None:
    progress = {"startupProbe": Progress(), "readinessProbe": Progress(passed=True)}
    found = probes.summary({}, progress, "")
    assert (found.started, found.ready) == (False, False)
    progress["startupProbe"] = Progress(passed=True)
    assert probes.summary({}, progress, "").ready
    assert not probes.summary({}, progress, "failed").ready
    assert probes.summary({}, {}, "").ready
