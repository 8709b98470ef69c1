"""Conditions of a deployment: whether enough pods are there, whether the roll-out gets on. Pure.

Rules: workload-semantics 3.1. A condition of the same status and reason is left as it is, so the
time at which it was last renewed tells of progress and of nothing else.
"""

from collections.abc import Mapping

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.deployment.sets import Sets
from petset.controllers.deployment.spec import Spec

Conditions = tuple[Obj, ...]
Counts = Mapping[str, int]

AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
_DONE, _LATE = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
_PAUSED, _RESUMED = "DeploymentPaused", "DeploymentResumed"


def stored(spec: Spec) -> Conditions:
    """The conditions as they were read."""
    return tuple(spec.status.get("conditions") or ())


def find(conditions: Conditions, kind: str) -> Obj:
    """The condition of a type, {} for none."""
    return next((c for c in conditions if c.get("type") == kind), {})


def without(conditions: Conditions, kind: str) -> Conditions:
    """All but those of a type."""
    return tuple(c for c in conditions if c.get("type") != kind)


def paused(spec: Spec, conditions: Conditions, now: float) -> Conditions:
    """Set Progressing for a roll-out that the user has paused or resumed."""
    reason = find(conditions, PROGRESSING).get("reason")
    if spec.deadline_s is None or reason == _LATE or spec.paused == (reason == _PAUSED):
        return conditions
    words = (
        (_PAUSED, "Deployment is paused") if spec.paused else (_RESUMED, "Deployment is resumed")
    )
    return _set(conditions, _condition(PROGRESSING, "Unknown", *words, now))


def found_new(spec: Spec, conditions: Conditions, name: str, now: float) -> Conditions:
    """Start tracking a set that existed before a progress deadline was set."""
    if spec.deadline_s is None or find(conditions, PROGRESSING):
        return conditions
    message = f'Found new replica set "{name}"'
    return _set(conditions, _condition(PROGRESSING, "True", "FoundNewReplicaSet", message, now))


def created(spec: Spec, conditions: Conditions, name: str, now: float) -> Conditions:
    """A new set was made."""
    if spec.deadline_s is None:
        return conditions
    message = f'Created new replica set "{name}"'
    return _set(conditions, _condition(PROGRESSING, "True", "NewReplicaSetCreated", message, now))


def not_created(spec: Spec, conditions: Conditions, message: str, now: float) -> Conditions:
    """A new set could not be made."""
    if spec.deadline_s is None:
        return conditions
    return _set(conditions, _condition(PROGRESSING, "False", "ReplicaSetCreateError", message, now))


def available(spec: Spec, conditions: Conditions, counts: Counts, now: float) -> Conditions:
    """Whether as many pods are available as the strategy leaves at least."""
    if counts["availableReplicas"] >= spec.min_available:
        reason, message = "MinimumReplicasAvailable", "Deployment has minimum availability."
        return _set(conditions, _condition(AVAILABLE, "True", reason, message, now))
    reason = "MinimumReplicasUnavailable"
    message = "Deployment does not have minimum availability."
    return _set(conditions, _condition(AVAILABLE, "False", reason, message, now))


def estimated(
    spec: Spec, conditions: Conditions, counts: Counts, found: Sets, now: float
) -> Conditions:
    """Tell of the end of a roll-out, of progress, or of its lack for too long."""
    if spec.deadline_s is None:
        return without(conditions, PROGRESSING)
    current = find(conditions, PROGRESSING)
    if counts["replicas"] == counts["updatedReplicas"] and current.get("reason") == _DONE:
        return conditions
    subject = f'Deployment "{spec.name}"'
    if found.new is not None:
        subject = f'ReplicaSet "{found.new.name}"'
    if is_complete(spec, counts):
        message = f"{subject} has successfully progressed."
        return _set(conditions, _condition(PROGRESSING, "True", _DONE, message, now))
    if _has_progressed(spec.status, counts):
        message = f"{subject} is progressing."
        new = _condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now)
        return (*without(conditions, PROGRESSING), _keeping_transition(current, new))
    if _is_late(spec, current, now):
        message = f"{subject} has timed out progressing."
        return _set(conditions, _condition(PROGRESSING, "False", _LATE, message, now))
    return conditions


def with_failures(conditions: Conditions, found: Sets) -> Conditions:
    """Carry over the failure that a set tells of, the new set's first."""
    sets = (*(() if found.new is None else (found.new,)), *found.old)
    told = (find(tuple(rs.status.get("conditions") or ()), FAILURE) for rs in sets)
    failure = next((c for c in told if c), None)
    if failure is None:
        return without(conditions, FAILURE)
    since = failure.get("lastTransitionTime")
    fields = {k: failure[k] for k in ("status", "reason", "message") if k in failure}
    times = {"lastUpdateTime": since, "lastTransitionTime": since} if since else {}
    return _set(conditions, {"type": FAILURE, **fields, **times})


def is_complete(spec: Spec, counts: Mapping[str, int]) -> bool:
    """Whether counters, present or stored ones, tell of a finished roll-out."""
    names = ("updatedReplicas", "replicas", "availableReplicas")
    whole = all((counts.get(name) or 0) == spec.replicas for name in names)
    return whole and (counts.get("observedGeneration") or 0) >= spec.generation


def next_look(spec: Spec, conditions: Conditions, counts: Counts, now: float) -> float | None:
    """Seconds until the deadline has certainly passed; None when none is waited for."""
    current = find(conditions, PROGRESSING)
    since = meta.parse_time(current.get("lastUpdateTime"))
    if spec.deadline_s is None or since is None or current.get("reason") in (_DONE, _LATE):
        return None
    if is_complete(spec, counts):
        return None
    return max(0.0, since + spec.deadline_s - now) + 1.0


def _has_progressed(before: Obj, counts: Counts) -> bool:
    """More new, ready or available pods than were told last, or fewer old ones."""
    was = {name: int(before.get(name) or 0) for name in counts}
    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    old, old_before = (c["replicas"] - c["updatedReplicas"] for c in (counts, was))
    return old < old_before or any(counts[name] > was[name] for name in grown)


def _is_late(spec: Spec, current: Obj, now: float) -> bool:
    if current.get("reason") in (None, _DONE):
        return False
    if current.get("reason") == _LATE:
        return True
    since = meta.parse_time(current.get("lastUpdateTime"))
    return spec.deadline_s is not None and since is not None and since + spec.deadline_s < now


def _condition(kind: str, status: str, reason: str, message: str, now: float) -> Obj:
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": meta.format_time(now),
        "lastTransitionTime": meta.format_time(now),
        "reason": reason,
        "message": message,
    }


def _set(conditions: Conditions, new: Obj) -> Conditions:
    current = find(conditions, str(new["type"]))
    if current.get("status") == new["status"] and current.get("reason") == new.get("reason"):
        return conditions
    return (*without(conditions, str(new["type"])), _keeping_transition(current, new))


def _keeping_transition(current: Obj, new: Obj) -> Obj:
    since = current.get("lastTransitionTime")
    if current.get("status") != new["status"] or since is None:
        return new
    return {**new, "lastTransitionTime": since}
