"""A change of replicas while sets are there, spread over them in proportion. Pure.

Rules: workload-semantics 3.1.
"""

from collections.abc import Sequence

from petset.controllers.deployment import annotations as notes
from petset.controllers.deployment.sets import Rs, Sets
from petset.controllers.deployment.spec import Spec


def is_wanted(spec: Spec, found: Sets) -> bool:
    """Whether replicas have changed since a set with pods was last sized.

    With type Recreate and several such sets there is nothing to spread: the roll-out goes on.
    """
    if not spec.rolling and len(found.active) > 1:
        return False
    marks = (notes.number(rs.annotations, notes.DESIRED) for rs in found.active)
    return any(desired is not None and desired != spec.replicas for desired in marks)


def scaled(spec: Spec, found: Sets) -> Sets:
    """The sets at the sizes that `replicas` asks for."""
    only = _only(found)
    if only is not None:
        return found.with_changed(only.sized(spec, spec.replicas))
    if found.new is not None and _is_saturated(spec, found.new):
        return found.with_changed(*(rs.sized(spec, 0) for rs in found.old if rs.size))
    if spec.rolling and found.active:
        return found.with_changed(*_spread(spec, found))
    return found


def _only(found: Sets) -> Rs | None:
    """The one set that has pods; where none has any, the latest. None where several have."""
    if len(found.active) > 1:
        return None
    if found.active:
        return found.active[0]
    return found.new or (found.old[-1] if found.old else None)


def _is_saturated(spec: Spec, new: Rs) -> bool:
    desired = notes.number(new.annotations, notes.DESIRED)
    return desired == new.size == new.told("availableReplicas") == spec.replicas


def _spread(spec: Spec, found: Sets) -> Sequence[Rs]:
    """Each set keeps its share; what rounding leaves over goes to the largest."""
    allowed = spec.size_max if spec.replicas else 0
    change = allowed - found.total
    by_age = sorted(found.active, key=lambda rs: rs.age, reverse=change > 0)
    ordered = sorted(by_age, key=lambda rs: rs.size, reverse=True)
    shares: list[int] = []
    for rs in ordered:
        left = change - sum(shares)
        share = _share(spec, rs)
        shares.append(max(0, min(share, left)) if change > 0 else min(0, max(share, left)))
    shares[0] += change - sum(shares)
    return [
        rs.sized(spec, max(0, rs.size + share)) for rs, share in zip(ordered, shares, strict=True)
    ]


def _share(spec: Spec, rs: Rs) -> int:
    """By how much the set grows (or shrinks) to keep its part of the whole."""
    if spec.replicas == 0:
        return -rs.size
    was = notes.number(rs.annotations, notes.MAX) or int(spec.status.get("replicas") or 0)
    if was == 0:
        return 0
    return (2 * rs.size * spec.size_max + was) // (2 * was) - rs.size
