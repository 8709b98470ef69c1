"""The sizes that a roll-out gives to the sets. Pure.

Rules: workload-semantics 3.1. Growing and shrinking alternate: a step does one of the two, and the
next step starts from what that came to.
"""

from collections.abc import Iterable

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.deployment.sets import Rs, Sets
from petset.controllers.deployment.spec import Spec
from petset.reconcile import podtemplate


def first_size(spec: Spec, found: Sets) -> int:
    """The size that a new set starts with."""
    if not spec.rolling:
        return spec.replicas
    return max(0, min(spec.size_max - found.total, spec.replicas))


def step(spec: Spec, found: Sets) -> Sets:
    """The next step of a rolling update."""
    if found.new is None:
        return found
    size = _new_size(spec, found, found.new)
    if size != found.new.size:
        return found.with_changed(found.new.sized(spec, size))
    return _shrink_old(spec, found, found.new)


def _new_size(spec: Spec, found: Sets, new: Rs) -> int:
    if new.size >= spec.replicas:
        return spec.replicas
    room = max(0, spec.size_max - found.total)
    return new.size + min(room, spec.replicas - new.size)


def _shrink_old(spec: Spec, found: Sets, new: Rs) -> Sets:
    """Take away what old sets do not need: broken pods first, then available ones to spare."""
    starting = new.size - new.lasting
    room = found.total - spec.min_available - starting
    if room <= 0:
        return found
    cleaned = found.with_changed(*_without_broken(spec, found.old, room))
    spare = sum(rs.lasting for rs in cleaned.all) - spec.min_available
    return cleaned.with_changed(*_smaller(spec, cleaned.old, spare))


def _without_broken(spec: Spec, old: Iterable[Rs], room: int) -> Iterable[Rs]:
    for rs in old:
        broken = min(room, rs.size - rs.healthy)
        if broken > 0:
            room -= broken
            yield rs.sized(spec, rs.size - broken)


def _smaller(spec: Spec, old: Iterable[Rs], spare: int) -> Iterable[Rs]:
    for rs in old:
        fewer = min(spare, rs.size)
        if fewer > 0:
            spare -= fewer
            yield rs.sized(spec, rs.size - fewer)


def emptied(spec: Spec, found: Sets) -> Sets:
    """Every old set at size 0."""
    return found.with_changed(*(rs.sized(spec, 0) for rs in found.old if rs.size))


def whole(spec: Spec, found: Sets) -> Sets:
    """The new set at full size."""
    if found.new is None or found.new.size == spec.replicas:
        return found
    return found.with_changed(found.new.sized(spec, spec.replicas))


def has_old_pods(found: Sets, pods: Iterable[Obj]) -> bool:
    """Whether a pod of an old set may still run; one that has ended does not count.

    Args:
        pods: pods that sets of the deployment control.
    """
    if any(rs.told("replicas") for rs in found.old):
        return True
    old = {meta.uid_of(rs.obj) for rs in found.old}
    owners = (meta.controller_of(pod) or {} for pod in pods if not podtemplate.is_finished(pod))
    return any(owner.get("uid") in old for owner in owners)
