"""Which revision a new pod gets, and which pods a rolling update takes down. Pure.

Rules: workload-semantics 1.10 and 1.14. The partition counts pods, not ordinals: the first
`partition` pods keep the current revision.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.controllers.statefulset.spec import Spec


@dataclass(frozen=True, slots=True)
class Slot:
    """What a rolling update sees of one ordinal in range, lowest first.

    Attributes:
        stale: a pod is there and has another revision than the update revision.
        available: it is Running, Ready for long enough, and not going.
        terminating: it is going already (or the same plan deletes it).
    """

    stale: bool
    available: bool
    terminating: bool


def wants_current(spec: Spec, ordinal: int, current_replicas: int) -> bool:
    """Whether a new pod of `ordinal` is made from the current revision, not the update one.

    Args:
        current_replicas: status.currentReplicas as it was read.
    """
    if spec.strategy != "RollingUpdate":
        return False
    if spec.rolling_update is None:
        return ordinal < spec.start + current_replicas
    return ordinal < spec.start + spec.partition


def budget_of(spec: Spec) -> int:
    """How many pods may be unavailable: a percentage is rounded down, at least one."""
    value = spec.max_unavailable
    if isinstance(value, str):
        if value.endswith("%"):
            return max(1, spec.replicas * int(value[:-1]) // 100)
        value = int(value)
    return max(1, value)


def victims(spec: Spec, slots: Sequence[Slot]) -> list[int]:
    """Indexes of the slots whose pods a rolling update deletes now, in the order of deletion."""
    if spec.strategy != "RollingUpdate":
        return []
    movable = [
        i
        for i in range(len(slots) - 1, spec.partition - 1, -1)
        if slots[i].stale and not slots[i].terminating
    ]
    room = budget_of(spec) - sum(1 for slot in slots if not slot.available)
    if spec.ordered:
        return movable[: max(0, room)]
    broken = [i for i in movable if not slots[i].available]
    healthy = [i for i in movable if slots[i].available]
    return broken + healthy[: max(0, room)]
