"""Taints that follow from a node's conditions, and how long a pod tolerates taints. Pure."""

from collections.abc import Iterable, Sequence

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.api.tolerations import tolerates
from petset.controllers.nodelife.disruption import Word

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
NO_SCHEDULE = "NoSchedule"
NO_EXECUTE = "NoExecute"

_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_READY = {"False": NOT_READY, "Unknown": UNREACHABLE}
_MANAGED = frozenset(
    [(key, NO_SCHEDULE) for key in (*_PRESSURES.values(), NOT_READY, UNREACHABLE, UNSCHEDULABLE)]
    + [(NOT_READY, NO_EXECUTE), (UNREACHABLE, NO_EXECUTE)]
)


def of(node: Obj) -> Sequence[Obj]:
    """The taints that a node has."""
    return (node.get("spec") or {}).get("taints") or ()


def wanted(node: Obj, statuses: dict[str, str], now: float, word: Word = "go") -> list[MutableObj]:
    """The taints that a node should have: others' are kept, ours follow its conditions.

    Args:
        statuses: status of each condition by type, as it will be.
        word: whether the pods of a node that is not ready have to leave.
    """
    keys = [(key, NO_SCHEDULE) for kind, key in _PRESSURES.items() if statuses.get(kind) == "True"]
    if (node.get("spec") or {}).get("unschedulable"):
        keys.append((UNSCHEDULABLE, NO_SCHEDULE))
    ready = statuses.get("Ready")
    if ready is None:
        keys.append((NOT_READY, NO_SCHEDULE))
    elif key := _READY.get(ready):
        keys.append((key, NO_SCHEDULE))
        leaving = {(NOT_READY, NO_EXECUTE), (UNREACHABLE, NO_EXECUTE)} & set(map(_pair, of(node)))
        if word == "go" or (word == "hold" and leaving):
            keys.append((key, NO_EXECUTE))
    kept = [dict(t) for t in of(node) if _pair(t) not in _MANAGED or _pair(t) in keys]
    present = {_pair(t) for t in kept}
    since = meta.format_time(now)
    added = [
        {"key": key, "effect": effect, "timeAdded": since}
        for key, effect in keys
        if (key, effect) not in present
    ]
    return kept + added


def evicted_at(pod: Obj, node_taints: Iterable[Obj], now: float) -> float | None:
    """When the pod has to leave because of NoExecute taints; None: never.

    Seconds since the epoch; `now` or earlier means at once.
    """
    taints = [t for t in node_taints if t.get("effect") == NO_EXECUTE]
    tolerations = (pod.get("spec") or {}).get("tolerations") or ()
    times: list[float] = []
    for taint in taints:
        tolerating = [t for t in tolerations if tolerates(t, taint)]
        if not tolerating:
            return now
        since = meta.parse_time(taint.get("timeAdded"))
        limits = [float(s) for t in tolerating if (s := t.get("tolerationSeconds")) is not None]
        if limits:
            times.append((now if since is None else since) + max(0.0, min(limits)))
    return min(times, default=None)


def _pair(taint: Obj) -> tuple[str, str]:
    return taint.get("key") or "", taint.get("effect") or ""
