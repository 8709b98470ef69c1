"""The status of a set: counters, the condition ReplicaFailure, and whether to write. Pure.

Rules: workload-semantics 3.2.
"""

from collections.abc import Collection

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.replicaset.spec import RESOURCE, Spec
from petset.reconcile import podtemplate
from petset.reconcile.actions import FAILURE, Patch, status_patch

FAILURE_TYPE = "ReplicaFailure"
_OPTIONAL = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
"""Counts that a status leaves out when they are 0."""


def count(
    spec: Spec, pods: Collection[Obj], terminating: Collection[Obj], now: float
) -> dict[str, int]:
    """The counters over the active pods; `terminating` ones are only told."""
    labels = meta.labels_of(spec.template).items()
    ready = [pod for pod in pods if podtemplate.is_ready(pod)]
    return {
        "replicas": len(pods),
        "fullyLabeledReplicas": sum(labels <= meta.labels_of(pod).items() for pod in pods),
        "readyReplicas": len(ready),
        "availableReplicas": sum(
            podtemplate.is_available(pod, spec.min_ready_s, now) for pod in ready
        ),
        "terminatingReplicas": len(terminating),
        "observedGeneration": int((spec.obj.get("metadata") or {}).get("generation") or 0),
    }


def without_failure(spec: Spec) -> list[Obj]:
    """The conditions once making and removing pods works."""
    return [c for c in _stored(spec) if c.get("type") != FAILURE_TYPE]


def with_failure(spec: Spec, reason: str, now: float) -> list[Obj]:
    """The conditions after a failure. One that is told already is left as it is."""
    if any(c.get("type") == FAILURE_TYPE for c in _stored(spec)):
        return _stored(spec)
    told: MutableObj = {
        "type": FAILURE_TYPE,
        "status": "True",
        "lastTransitionTime": meta.format_time(now),
        "reason": reason,
        "message": FAILURE,
    }
    return [*_stored(spec), told]


def write(spec: Spec, counts: dict[str, int], conditions: list[Obj]) -> Patch | None:
    """The patch of the status; None when it says nothing new."""
    stored = spec.obj.get("status") or {}
    same = all(int(stored.get(name) or 0) == value for name, value in counts.items())
    if same and conditions == _stored(spec):
        return None
    fields: MutableObj = {
        name: None if name in _OPTIONAL and not value else value for name, value in counts.items()
    }
    if conditions != _stored(spec):
        fields["conditions"] = conditions or None
    return status_patch(RESOURCE, spec.obj, fields)


def _stored(spec: Spec) -> list[Obj]:
    return list((spec.obj.get("status") or {}).get("conditions") or ())
