"""How Pods print: the status that people see, made of phase, conditions and containers."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from petset.api.ages import human
from petset.api.check import child, items
from petset.api.core.v1.container import is_restartable
from petset.api.kind import Column, Table
from petset.api.meta import (
    MutableObj,
    Obj,
    condition_of,
    is_condition_true,
    is_deleting,
    name_of,
    parse_time,
)
from petset.api.table import AGE, NAME, age_of

_DONE = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


class Summary(NamedTuple):
    """The cells of a Pod that are made together.

    Attributes:
        restarted_at: epoch seconds of the latest restart, 0 when unknown.
    """

    status: str
    ready: int
    total: int
    restarts: int
    restarted_at: float


class _Init(NamedTuple):
    reason: str
    """What holds the init containers up, "" when they are through."""
    ready: int
    restarts: int
    restarted_at: float
    sidecar_restarts: int
    sidecar_restarted_at: float


def summary(pod: Obj) -> Summary:
    """Status, readiness and restarts of a pod."""
    status = child(pod, "status")
    reason = status.get("reason") or status.get("phase") or ""
    scheduled = condition_of(pod, "PodScheduled") or {}
    if scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    init = _init(pod)
    restarts, restarted_at, ready = init.restarts, init.restarted_at, init.ready
    if init.reason:
        reason = init.reason
    if not init.reason or is_condition_true(pod, "Initialized"):
        reason, running = _main(items(status, "containerStatuses"), reason)
        ready += running
        if reason == "Completed" and running:
            reason = "Running" if is_condition_true(pod, "Ready") else "NotReady"
        restarts, restarted_at = _restarts(items(status, "containerStatuses"))
        restarts += init.sidecar_restarts
        restarted_at = max(restarted_at, init.sidecar_restarted_at)
    total = len(items(child(pod, "spec"), "containers")) + len(_sidecars(pod))
    return Summary(_deleting(pod, reason), ready, total, restarts, restarted_at)


def _sidecars(pod: Obj) -> set[str]:
    return {
        c.get("name") or ""
        for c in items(child(pod, "spec"), "initContainers")
        if is_restartable(c)
    }


def _deleting(pod: Obj, reason: str) -> str:
    status = child(pod, "status")
    if not is_deleting(pod):
        return reason
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return reason if status.get("phase") in _DONE else "Terminating"


def _init(pod: Obj) -> _Init:
    """The init containers: the first that is not through decides the status."""
    statuses = items(child(pod, "status"), "initContainerStatuses")
    sidecars = _sidecars(pod)
    ready, reason, seen = 0, "", []
    for i, one in enumerate(statuses):
        seen.append(one)
        sidecar = one.get("name") in sidecars
        state = child(one, "state")
        terminated = state.get("terminated")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if sidecar and one.get("started"):
            ready += bool(one.get("ready"))
            continue
        reason = _init_reason(state, i, len(items(child(pod, "spec"), "initContainers")))
        break
    restarts, at = _restarts(seen)
    own, own_at = _restarts(s for s in seen if s.get("name") in sidecars)
    return _Init(reason, ready, restarts, at, own, own_at)


def _init_reason(state: Obj, index: int, total: int) -> str:
    terminated, waiting = state.get("terminated"), child(state, "waiting")
    if terminated is not None:
        return f"Init:{terminated.get('reason') or _exit(terminated)}"
    if waiting.get("reason") and waiting["reason"] != "PodInitializing":
        return f"Init:{waiting['reason']}"
    return f"Init:{index}/{total}"


def _exit(terminated: Obj) -> str:
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _main(statuses: Iterable[Any], reason: str) -> tuple[str, int]:
    """The reason of the first container that has one, and how many run and are ready."""
    ready = 0
    for one in reversed(list(statuses)):
        state = child(one, "state")
        terminated = state.get("terminated")
        if child(state, "waiting").get("reason"):
            reason = state["waiting"]["reason"]
        elif terminated is not None:
            reason = terminated.get("reason") or _exit(terminated)
        elif one.get("ready") and state.get("running") is not None:
            ready += 1
    return reason, ready


def _restarts(statuses: Iterable[Any]) -> tuple[int, float]:
    count, latest = 0, 0.0
    for one in statuses:
        count += one.get("restartCount") or 0
        finished = child(one, "lastState", "terminated").get("finishedAt")
        latest = max(latest, parse_time(finished) or 0.0)
    return count, latest


def _restart_cell(pod: Summary, now: float) -> str:
    if pod.restarts and pod.restarted_at:
        return f"{pod.restarts} ({human(now - pod.restarted_at)} ago)"
    return str(pod.restarts)


def _gates_cell(pod: Obj) -> str:
    gates = items(child(pod, "spec"), "readinessGates")
    if not gates:
        return "<none>"
    met = sum(is_condition_true(pod, g.get("conditionType") or "") for g in gates)
    return f"{met}/{len(gates)}"


def _cells(pod: Obj, now: float) -> list[Any]:
    made, status = summary(pod), child(pod, "status")
    ips = items(status, "podIPs")
    return [
        name_of(pod),
        f"{made.ready}/{made.total}",
        made.status,
        _restart_cell(made, now),
        age_of(pod, now),
        (ips[0].get("ip") if ips else status.get("podIP")) or "<none>",
        child(pod, "spec").get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _gates_cell(pod),
    ]


def _conditions(pod: Obj) -> list[MutableObj]:
    phase = child(pod, "status").get("phase")
    if phase not in _DONE:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _DONE[phase]}]


TABLE = Table(
    (
        NAME,
        Column("Ready", description="Containers that are ready, of all."),
        Column("Status", description="What the pod is doing, or why it is not running."),
        Column("Restarts", description="Restarts of its containers, and when the last one was."),
        AGE,
        Column("IP", priority=1),
        Column("Node", priority=1),
        Column("Nominated Node", priority=1),
        Column("Readiness Gates", priority=1),
    ),
    _cells,
    _conditions,
)
