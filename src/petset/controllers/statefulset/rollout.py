"""Which revision a new pod gets, and which pods a rolling update takes down. Pure.

Rules: workload-semantics 1.10 and 1.14. The partition counts pods, not ordinals: the first
`partition` pods keep the current revision.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api.check import number_of
from petset.api.meta import Obj
from petset.controllers.statefulset import identity, storage
from petset.controllers.statefulset.spec import Spec


@dataclass(frozen=True, slots=True)
class Slot:
    """What a rolling update sees of one ordinal in range, lowest first.

    Attributes:
        stale: a pod is there and has another revision than the update revision.
        available: it is Running, Ready for long enough, and not going.
        terminating: it is going already (or the same plan deletes it).
        primary: it is labelled as the one to be rolled last.
    """

    stale: bool
    available: bool
    terminating: bool
    primary: bool = False


def current_replicas(spec: Spec) -> int:
    """status.currentReplicas as it was read."""
    return int((spec.obj.get("status") or {}).get("currentReplicas") or 0)


def wants_current(spec: Spec, index: int, current_replicas: int) -> bool:
    """Whether a new pod is made from the current revision, not the update one.

    Without the struct `rollingUpdate` the first so many are, as in Kubernetes, but only where a
    roll-out goes from the top down: one that takes a lower pod first (a broken one of a Parallel
    set, or any but the primary) would make that pod anew from the old revision, and take it down
    again, for ever.

    Args:
        index: of the pod's ordinal among those in range.
        current_replicas: status.currentReplicas, as it is when the pod is made.
    """
    if spec.strategy != "RollingUpdate":
        return False
    if spec.rolling_update is None:
        descends = spec.ordered and spec.options.primary is None
        return descends and index < current_replicas
    return index < spec.partition


def budget_of(spec: Spec) -> int:
    """How many pods may be unavailable: a percentage is rounded down, at least one."""
    value = spec.max_unavailable
    if isinstance(value, str):
        if value.endswith("%"):
            return max(1, spec.replicas * number_of(value[:-1]) // 100)
        value = int(value)
    return max(1, value)


def is_outdated(spec: Spec, pod: Obj, update: str) -> bool:
    """Whether the pod has another revision than `update` (a label), or lacks claims of its set."""
    if identity.revision_of(pod) != update:
        return True
    return not storage.has_storage(spec, pod, identity.ordinal_of(pod))


def victims(spec: Spec, slots: Sequence[Slot]) -> list[int]:
    """Indexes of the slots whose pods a rolling update deletes now, in the order of deletion."""
    if spec.strategy != "RollingUpdate" or spec.options.paused:
        return []
    movable = [
        i
        for i in range(len(slots) - 1, spec.partition - 1, -1)
        if slots[i].stale and not slots[i].terminating
    ]
    room = budget_of(spec) - sum(1 for slot in slots if not slot.available)
    if spec.ordered:
        return _primary_last(movable, slots)[: max(0, room)]
    broken = [i for i in movable if not slots[i].available]
    healthy = [i for i in movable if slots[i].available]
    return broken + _primary_last(healthy, slots)[: max(0, room)]


def _primary_last(movable: list[int], slots: Sequence[Slot]) -> list[int]:
    """Without the primary, as long as anything else is to be rolled or is not available."""
    others = [i for i in movable if not slots[i].primary]
    if others or any(not slot.available for slot in slots):
        return others
    return movable
