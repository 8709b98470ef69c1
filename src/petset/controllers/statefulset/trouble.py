"""Why a pod is not Ready, in words that stay the same while the reason does. Pure.

Invariant: no text here holds a count, a time or somebody else's message, so a status that quotes it
is not written again while nothing changes; but for the scheduler's words, which change with nodes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from petset.api import meta
from petset.api.meta import Obj
from petset.reconcile import podtemplate

NOT_READY = "PodNotReady"
TERMINATING = "PodTerminating"
UNSCHEDULABLE = "Unschedulable"
UNCLAIMED = "WaitingForClaims"
TAKEN = "NameTaken"
CLAIM_GOING = "ClaimTerminating"
CRASHING = "CrashLoopBackOff"
FAILING = "PodFailing"
OVERDUE_S = 60.0
"""How long after its grace period a pod may need until it is gone."""

_WAITING = {
    "ErrImagePull": "ImagePullBackOff",
    "ImagePullBackOff": "ImagePullBackOff",
    "ErrImageNeverPull": "ErrImageNeverPull",
    "InvalidImageName": "InvalidImageName",
    "ImageInspectError": "ImageInspectError",
    "CreateContainerConfigError": "CreateContainerConfigError",
    "CreateContainerError": "CreateContainerError",
    "RunContainerError": "RunContainerError",
    "CrashLoopBackOff": CRASHING,
}
"""What a container may wait for that does not come by itself; an image that could not be pulled is
in one of two states by turns."""


_STARTING = "ContainerCreating"
"""It is started; for another time if it has ended before."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pod from being Ready.

    Attributes:
        reason: one word; a container's reason where it tells one.
        message: names the pod.
        hopeless: it says of itself that it will not get Ready as it is.
        since: when it ceased to be Ready (or was made, or was to be gone); None when not known.
        detail: more words, for when it takes too long (`overdue`); every pod that starts has them
            for a moment.
    """

    reason: str
    message: str
    hopeless: bool
    since: float | None
    detail: str = ""


def of_pod(pod: Obj) -> Trouble | None:
    """The trouble of a pod; None when it is Ready and stays."""
    name = meta.name_of(pod)
    if meta.is_deleting(pod):
        gone_by = meta.parse_time(pod["metadata"].get("deletionTimestamp"))
        return Trouble(TERMINATING, f"Pod {name} is being deleted", False, gone_by, _unended(pod))
    if podtemplate.is_running_and_ready(pod):
        return None
    reason, why = _why(pod)
    hopeless = reason not in (NOT_READY, UNCLAIMED) and not podtemplate.is_finished(pod)
    detail = _unready(pod) if reason == NOT_READY else _unclaimed(pod, reason)
    return Trouble(reason, f"Pod {name} {why}", hopeless, since_of(pod), detail)


def overdue(trouble: Trouble) -> Trouble:
    """The trouble in all its words."""
    return replace(trouble, message=trouble.message + trouble.detail, detail="")


def is_late(trouble: Trouble, deadline_s: float, now: float) -> bool:
    """Whether it takes too long, by `next_look`'s measure."""
    at = _limit(trouble, deadline_s)
    return at is not None and at <= now


def words_of(trouble: Trouble, deadline_s: float, now: float) -> str:
    """Its message, in all its words once it takes too long."""
    return overdue(trouble).message if is_late(trouble, deadline_s, now) else trouble.message


def next_look(troubles: Iterable[Trouble], deadline_s: float, now: float) -> float | None:
    """Seconds until the first of them takes too long; None when none is waited for."""
    times = (_limit(trouble, deadline_s) for trouble in troubles)
    return min((at - now for at in times if at is not None and at > now), default=None)


def _limit(trouble: Trouble, deadline_s: float) -> float | None:
    if trouble.since is None:
        return None
    return trouble.since + (OVERDUE_S if trouble.reason == TERMINATING else deadline_s)


def _why(pod: Obj) -> tuple[str, str]:
    if podtemplate.is_finished(pod):
        return f"Pod{podtemplate.phase_of(pod)}", "has ended"
    scheduled = meta.condition_of(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == UNSCHEDULABLE:
        words = (scheduled.get("message") or "").rstrip(".")
        if "persistentvolumeclaim" in words.lower():
            return UNCLAIMED, "waits for its claims"  # as each one does until they are bound
        return UNSCHEDULABLE, f"fits on no node: {words}" if words else "fits on no node"
    status = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or ():
            if reason := _reason_of(container):
                return reason, f"is not Ready: container {container.get('name')}: {reason}"
    if (meta.condition_of(pod, "Ready") or {}).get("reason") == "NodeNotReady":
        return NOT_READY, f"is not Ready: node {(pod.get('spec') or {}).get('nodeName')} is silent"
    return NOT_READY, "is not Ready"


def _unended(pod: Obj) -> str:
    """Who has to confirm that its containers have ended."""
    node = (pod.get("spec") or {}).get("nodeName")
    return f": node {node} does not confirm its end" if node else ""


def _unclaimed(pod: Obj, reason: str) -> str:
    """What the scheduler says of its claims."""
    words = (meta.condition_of(pod, "PodScheduled") or {}).get("message") or ""
    return f": {words.rstrip('.')}" if reason == UNCLAIMED and words else ""


def _unready(pod: Obj) -> str:
    """Which container runs and is not ready."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        if "running" in (container.get("state") or {}) and not container.get("ready"):
            probe = "startup" if container.get("started") is False else "readiness"
            return f": container {container.get('name')} runs, its {probe} probe does not succeed"
    return ""


def _reason_of(container: Obj) -> str:
    """Why a container does not run, or not for long; "" when that is not known."""
    state = container.get("state") or {}
    waiting = (state.get("waiting") or {}).get("reason")
    if waiting and waiting != _STARTING:
        return _WAITING.get(waiting, "")
    ended = state.get("terminated") or {}
    if ended and ended.get("exitCode"):
        return CRASHING
    before = (container.get("lastState") or {}).get("terminated") or {}
    again = waiting == _STARTING or ("running" in state and not container.get("ready"))
    return CRASHING if again and before.get("exitCode") else ""


def since_of(pod: Obj) -> float | None:
    """When its readiness became what it is, or when it was made; None when not known."""
    ready = meta.condition_of(pod, "Ready")
    told = ready.get("lastTransitionTime") if ready is not None else None
    created = (pod.get("metadata") or {}).get("creationTimestamp")
    return meta.parse_time(told) or meta.parse_time(created)
