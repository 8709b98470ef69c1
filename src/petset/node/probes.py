"""When to probe a container, and what the answers mean. Pure.

Until the first success a probe is tried sooner than its period, so that a pod is known to be ready
as soon as it is: at once, then after 20 ms, doubling up to the period. Failures count towards the
threshold only at the pace of the period, so that being early never kills a slow starter.
"""

from dataclasses import dataclass, replace

from petset.api.meta import Obj
from petset.node.seen import Probed

EAGER_FIRST_S = 0.02
KINDS = ("startupProbe", "livenessProbe", "readinessProbe")
WORDS = {"startupProbe": "Startup", "livenessProbe": "Liveness", "readinessProbe": "Readiness"}
TITLES = {"startupProbe": "startup", "livenessProbe": "liveness"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One probe's figures; times in seconds."""

    kind: str
    delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    successes: int = 1
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """What a probe has found so far.

    Attributes:
        passed: its present verdict: readiness and liveness as it stands, startup once for all.
        tries: tries without a success since the beginning; 0 after the first success.
        good, bad: answers of the same kind in a row.
        counted_at: when a failure was last counted.
    """

    passed: bool = False
    tries: int = 0
    good: int = 0
    bad: int = 0
    counted_at: float = 0.0
    ever: bool = False


def rule_of(kind: str, spec: Obj) -> Rule:
    """The figures of a probe as specified."""
    return Rule(
        kind=kind,
        delay_s=float(spec.get("initialDelaySeconds") or 0),
        period_s=float(spec.get("periodSeconds") or 10),
        timeout_s=float(spec.get("timeoutSeconds") or 1),
        successes=int(spec.get("successThreshold") or 1),
        failures=int(spec.get("failureThreshold") or 3),
    )


def next_try_s(rule: Rule, progress: Progress) -> float:
    """Seconds to wait after a try before the next one."""
    if progress.ever:
        return rule.period_s
    return float(min(EAGER_FIRST_S * 2.0 ** min(max(0, progress.tries - 1), 20), rule.period_s))


def after(rule: Rule, progress: Progress, *, success: bool, now: float) -> Progress:
    """The progress after one more answer at `now` (seconds on any steady clock)."""
    if success:
        good = progress.good + 1
        passed = progress.passed or good >= rule.successes
        return replace(progress, passed=passed, tries=0, good=good, bad=0, ever=True)
    tries = progress.tries + 1
    if not _counts(rule, progress, now):
        return replace(progress, tries=tries, good=0)
    bad = progress.bad + 1
    passed = progress.passed and bad < rule.failures
    return replace(progress, passed=passed, tries=tries, good=0, bad=bad, counted_at=now)


def unknown(rule: Rule, progress: Progress, *, now: float) -> Progress:
    """The progress after a try at `now` that could not be made: it counts neither way."""
    counted_at = now if _counts(rule, progress, now) else progress.counted_at
    return replace(progress, tries=progress.tries + 1, counted_at=counted_at)


def _counts(rule: Rule, progress: Progress, now: float) -> bool:
    """Whether a failure counts: it does not between two periods, before the first success."""
    if progress.ever or not progress.counted_at:
        return True
    return now - progress.counted_at >= rule.period_s * 0.999


def has_failed(rule: Rule, progress: Progress) -> bool:
    """Whether the failure threshold is reached."""
    return progress.bad >= rule.failures


def summary(container: Obj, progress: dict[str, Progress], failed: str) -> Probed:
    """What all probes of a running container say together."""
    startup = progress.get("startupProbe")
    started = startup is None or startup.passed
    readiness = progress.get("readinessProbe")
    ready = started and (readiness is None or readiness.passed)
    del container
    return Probed(started=started, ready=ready and not failed, failed=failed)


def kill_message(name: str, kind: str) -> str:
    """What the Killing event says of a container whose probe failed for good."""
    return f"Container {name} failed {TITLES[kind]} probe, will be restarted"
