"""What to do next for one PodDisruptionBudget: its status. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from petset.api import meta, selectors
from petset.api.check import number_of
from petset.api.meta import MutableObj, Obj
from petset.reconcile import conditions, podtemplate
from petset.reconcile.actions import Action, Emit, Plan, Update

RESOURCE = "poddisruptionbudgets.policy"
EVICTION_TIMEOUT_S = 120.0
"""An evicted pod that is not being deleted after so long counts again."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a budget.

    Attributes:
        pods: the pods that its selector matches.
        scales: wanted number of pods of each controller of these pods, by uid.
        unmanaged: whether some of these pods have no controller at all.
        unknown: name of a pod whose controller is not there or has no size, "" for none.
    """

    budget: Obj
    pods: Sequence[Obj]
    scales: Mapping[str, int]
    unmanaged: bool = False
    unknown: str = ""


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen` at wall-clock time `now`."""
    if _counts_controllers(seen.budget) and seen.unknown:
        return _safe(seen, now)
    disrupted, expired, next_s = _disrupted(seen, now)
    healthy = sum(1 for pod in seen.pods if _is_healthy(pod, disrupted))
    expected, desired = _expected(seen)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    metadata = seen.budget["metadata"]
    status: MutableObj = {
        **(seen.budget.get("status") or {}),
        "observedGeneration": int(metadata.get("generation") or 0),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
    }
    status.pop("disruptedPods", None)
    if disrupted:
        status["disruptedPods"] = disrupted
    told = conditions.with_condition(seen.budget, _condition(allowed, metadata), now)
    if told is not None:
        status["conditions"] = told
    events = (*(_not_deleted(seen.budget, name) for name in expired), *_remarks(seen))
    if status == (seen.budget.get("status") or {}):
        return Plan(events, requeue_after_s=next_s)
    write = Update(RESOURCE, {**seen.budget, "status": status}, subresource="status")
    return Plan(events, status=write, requeue_after_s=next_s)


def _counts_controllers(budget: Obj) -> bool:
    """Whether the budget is a share of what the pods' controllers want."""
    spec = budget.get("spec") or {}
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def _safe(seen: Observed, now: float) -> Plan:
    """The number of expected pods cannot be told: nothing may be evicted."""
    words = f'found no controllers for pod "{seen.unknown}"'
    metadata = seen.budget["metadata"]
    condition = {**_condition(0, metadata), "reason": "SyncFailed", "message": words}
    told = conditions.with_condition(seen.budget, condition, now)
    old = seen.budget.get("status") or {}
    if told is None and not old.get("disruptionsAllowed"):
        return Plan()
    status = {
        **old,
        "observedGeneration": int(metadata.get("generation") or 0),
        "disruptionsAllowed": 0,
        **({} if told is None else {"conditions": told}),
    }
    message = f"Failed to calculate the number of expected pods: {words}"
    event = _emit(seen.budget, "Warning", "CalculateExpectedPodCountFailed", message)
    write = Update(RESOURCE, {**seen.budget, "status": status}, subresource="status")
    return Plan((event,), status=write)


def _remarks(seen: Observed) -> list[Action]:
    """What its owner should know of the pods that a budget has."""
    if not seen.pods:
        return [_emit(seen.budget, "Normal", "NoPods", "No matching pods found")]
    if not seen.unmanaged or not _counts_controllers(seen.budget):
        return []
    selector = selectors.from_object((seen.budget.get("spec") or {}).get("selector"))
    message = (
        f"Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be "
        "unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
        "result in undefined behavior. To account for these pods please set "
        '".spec.minAvailable" field of the PDB to an integer value.'
    )
    return [_emit(seen.budget, "Warning", "UnmanagedPods", message)]


def _is_healthy(pod: Obj, disrupted: Mapping[str, str]) -> bool:
    gone = meta.is_deleting(pod) or meta.name_of(pod) in disrupted
    return podtemplate.is_ready(pod) and not gone


def _disrupted(seen: Observed, now: float) -> tuple[dict[str, str], list[str], float | None]:
    """Evicted pods that are not being deleted yet; those given up; seconds to the next."""
    present = (seen.budget.get("status") or {}).get("disruptedPods") or {}
    waiting = {meta.name_of(p) for p in seen.pods if not meta.is_deleting(p)}
    kept: dict[str, str] = {}
    expired: list[str] = []
    left: list[float] = []
    for name, since in present.items():
        if name not in waiting:
            continue
        rest = (meta.parse_time(since) or 0.0) + EVICTION_TIMEOUT_S - now
        if rest <= 0:
            expired.append(name)
        else:
            kept[name] = since
            left.append(rest)
    return kept, expired, min(left, default=None)


def _expected(seen: Observed) -> tuple[int, int]:
    """(expected pods, pods that have to stay healthy)."""
    spec = seen.budget.get("spec") or {}
    most = spec.get("maxUnavailable")
    least = spec.get("minAvailable")
    if most is not None:
        scale = sum(seen.scales.values())
        return scale, max(0, scale - _amount(most, scale))
    if isinstance(least, str):
        scale = sum(seen.scales.values())
        return scale, _amount(least, scale)
    if least is None:  # neither is set: nothing may be evicted
        return 0, 0
    return len(seen.pods), int(least)


def _amount(value: int | str, scale: int) -> int:
    """A number, or a percentage of `scale`, rounded up."""
    if isinstance(value, str):
        return -(-scale * number_of(value.removesuffix("%")) // 100)
    return value


def _condition(allowed: int, metadata: Obj) -> MutableObj:
    return {
        "type": "DisruptionAllowed",
        "status": "True" if allowed > 0 else "False",
        "reason": "SufficientPods" if allowed > 0 else "InsufficientPods",
        "message": "",
        "observedGeneration": int(metadata.get("generation") or 0),
    }


def _not_deleted(budget: Obj, pod: str) -> Emit:
    message = f"Pod {pod} was expected by PDB to be deleted but it wasn't"
    return _emit(budget, "Warning", "NotDeleted", message)


def _emit(budget: Obj, kind: Literal["Normal", "Warning"], reason: str, message: str) -> Emit:
    involved = meta.reference_to(
        {**budget, "kind": "PodDisruptionBudget", "apiVersion": "policy/v1"}
    )
    return Emit(involved, kind, reason, message)
