"""The status of a deployment: counters over its sets, and whether it has to be written. Pure.

Rules: workload-semantics 3.1.
"""

from typing import Any

from petset.controllers.deployment.progress import Conditions, Counts, stored
from petset.controllers.deployment.sets import Sets
from petset.controllers.deployment.spec import RESOURCE, Spec
from petset.reconcile.actions import Patch, status_patch

_OPTIONAL = (
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
)
"""Counts that a status leaves out when they are 0."""


def count(spec: Spec, found: Sets) -> dict[str, int]:
    """The counters: what the sets tell, and what is missing of the sizes they are to have."""
    available = sum(rs.told("availableReplicas") for rs in found.all)
    return {
        "observedGeneration": spec.generation,
        "replicas": sum(rs.told("replicas") for rs in found.all),
        "updatedReplicas": 0 if found.new is None else found.new.told("replicas"),
        "readyReplicas": sum(rs.told("readyReplicas") for rs in found.all),
        "availableReplicas": available,
        "unavailableReplicas": max(0, found.total - available),
        "terminatingReplicas": sum(rs.told("terminatingReplicas") for rs in found.all),
    }


def write(
    spec: Spec, counts: Counts, conditions: Conditions, *, collisions: int | None = None
) -> Patch | None:
    """The patch of the status; None when it says nothing new.

    Args:
        collisions: to be kept in collisionCount; None leaves that as it is.
    """
    fields: dict[str, Any] = {
        name: None if name in _OPTIONAL and not value else value for name, value in counts.items()
    }
    same = all(int(spec.status.get(name) or 0) == value for name, value in counts.items())
    if conditions != stored(spec):
        fields["conditions"] = list(conditions) or None
        same = False
    if collisions is not None and collisions != int(spec.status.get("collisionCount") or 0):
        fields["collisionCount"] = collisions
        same = False
    if same:
        return None
    return status_patch(RESOURCE, spec.obj, fields)
