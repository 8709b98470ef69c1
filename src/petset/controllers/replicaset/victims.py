"""Which pods go first when there are too many. Pure.

Rules: workload-semantics 3.2. The first rule in which two pods differ decides. Ages are compared
by the power of two of their nanoseconds, so that among pods of about the same age chance (the uid)
decides, not a second more or less.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from petset.api import meta
from petset.api.meta import Obj
from petset.reconcile import podtemplate

COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
_COST = re.compile(r"-?(0|[1-9][0-9]{0,9})")
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rules look at.

    Attributes:
        plain: the rules that just compare: assigned to a node, phase, ready, deletion cost, and
            how few pods of its owner share its node; smaller goes first.
        ready_since: when it became ready (seconds since the epoch), None if it is not ready.
        restarts: most restarts of a container, and of a sidecar.
    """

    pod: Obj
    uid: str
    plain: tuple[bool, int, bool, int, int]
    ready_since: float | None
    restarts: tuple[int, int]
    created: float


def victims(pods: Iterable[Obj], related: Iterable[Obj], count: int, now: float) -> list[Obj]:
    """The `count` pods that go first.

    Args:
        related: active pods of all sets with the same owner, which share nodes with these.
    """
    crowds = Counter(_node_of(pod) for pod in related)
    candidates = [_candidate(pod, crowds[_node_of(pod)]) for pod in pods]

    def order(one: Candidate, other: Candidate) -> int:
        return compare(one, other, now)

    candidates.sort(key=functools.cmp_to_key(order))
    return [candidate.pod for candidate in candidates[:count]]


def compare(one: Candidate, other: Candidate, now: float) -> int:
    """Less than 0 when `one` goes before `other`."""
    if one.plain != other.plain:
        return -1 if one.plain < other.plain else 1
    order = 0
    if one.ready_since is not None and other.ready_since is not None:
        order = _by_age(one, other, now - one.ready_since, now - other.ready_since)
    if order:
        return order
    if one.restarts != other.restarts:
        return -1 if one.restarts > other.restarts else 1
    return _by_age(one, other, now - one.created, now - other.created)


def _by_age(one: Candidate, other: Candidate, age_s: float, other_age_s: float) -> int:
    """The younger first, by magnitude; the same magnitude by uid; the same age: undecided."""
    if age_s == other_age_s:
        return 0
    difference = _magnitude(age_s) - _magnitude(other_age_s)
    return difference or (-1 if one.uid < other.uid else 1)


def _magnitude(age_s: float) -> int:
    return -1 if age_s <= 0 else int(math.log2(age_s * 1e9))


def _candidate(pod: Obj, crowd: int) -> Candidate:
    ready = podtemplate.is_ready(pod)
    metadata = pod.get("metadata") or {}
    plain = (
        bool(_node_of(pod)),
        _PHASES.get(podtemplate.phase_of(pod), 0),
        ready,
        deletion_cost(pod),
        -crowd,
    )
    return Candidate(
        pod=pod,
        uid=meta.uid_of(pod),
        plain=plain,
        ready_since=_ready_since(pod) if ready else None,
        restarts=_restarts(pod),
        created=meta.parse_time(metadata.get("creationTimestamp")) or 0.0,
    )


def deletion_cost(pod: Obj) -> int:
    """The annotation's number; 0 where it is absent or not a 32-bit decimal number."""
    text = meta.annotations_of(pod).get(COST_ANNOTATION, "")
    cost = int(text) if _COST.fullmatch(text) else 0
    return cost if -(2**31) <= cost < 2**31 else 0


def _node_of(pod: Obj) -> str:
    return (pod.get("spec") or {}).get("nodeName") or ""


def _ready_since(pod: Obj) -> float:
    condition = meta.condition_of(pod, "Ready") or {}
    return meta.parse_time(condition.get("lastTransitionTime")) or 0.0


def _restarts(pod: Obj) -> tuple[int, int]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    inits = spec.get("initContainers") or ()
    sidecars = {c.get("name") for c in inits if c.get("restartPolicy") == "Always"}
    beside = [s for s in status.get("initContainerStatuses") or () if s.get("name") in sidecars]
    return _most(status.get("containerStatuses") or ()), _most(beside)


def _most(statuses: Iterable[Any]) -> int:
    return max((int(s.get("restartCount") or 0) for s in statuses), default=0)
