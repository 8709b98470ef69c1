"""What to do next for one ReplicaSet. Pure.

Rules: workload-semantics 3.2. Owner references come first: while there is one to set or to take
off, nothing is made or removed, and the next plan counts anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.replicaset import status
from petset.controllers.replicaset.spec import RESOURCE, Spec, read
from petset.controllers.replicaset.victims import victims
from petset.reconcile import owners, podtemplate
from petset.reconcile.actions import (
    NAME,
    Action,
    Create,
    Delete,
    Emit,
    Parallel,
    Plan,
    Reported,
)

__all__ = ["BURST_MAX", "RESOURCE", "Observed", "is_active", "plan", "wants_adoption"]

BURST_MAX = 500
"""Pods that one plan creates or deletes at most."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a set.

    Attributes:
        replicaset: the ReplicaSet.
        pods: the pods that it controls and the orphans of its namespace.
        related: pods of all sets that have the same controller as this one.
        may_adopt: whether a live look found the set there, with this uid and not being deleted.
    """

    replicaset: Obj
    pods: tuple[Obj, ...]
    related: tuple[Obj, ...] = ()
    may_adopt: bool = False


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen` at wall-clock time `now`."""
    spec = read(seen.replicaset)
    claims = owners.claim(
        spec.obj,
        (pod for pod in seen.pods if is_active(pod)),
        matches=spec.matches,
        may_adopt=seen.may_adopt,
    )
    counts = status.count(spec, claims.kept, _terminating(spec, seen.pods), now)
    if meta.is_deleting(spec.obj):
        return Plan(status=status.write(spec, counts, status.without_failure(spec)))
    if claims.adopted or claims.released:
        return Plan(actions=tuple(_ownership(spec, claims)))
    if len(claims.kept) > spec.replicas:
        return _shrink(spec, claims.kept, seen, now)
    told = Plan(
        status=status.write(spec, counts, status.without_failure(spec)),
        requeue_after_s=_next_look(spec, claims.kept, now),
    )
    missing = min(spec.replicas - len(claims.kept), BURST_MAX)
    if not missing:
        return told
    failed = status.with_failure(spec, "FailedCreate", now)
    return replace(
        told,
        actions=(Parallel((_create(spec),) * missing),),
        status_if_failed=status.write(spec, counts, failed),
    )


def _shrink(spec: Spec, pods: Sequence[Obj], seen: Observed, now: float) -> Plan:
    """Delete the surplus. Its pods no longer count as available."""
    related = [pod for pod in seen.related if is_active(pod)]
    gone = victims(pods, related, min(len(pods) - spec.replicas, BURST_MAX), now)
    uids = set(map(meta.uid_of, gone))
    left = [pod for pod in pods if meta.uid_of(pod) not in uids]
    going = _terminating(spec, seen.pods)
    after = status.count(spec, left, [*going, *gone], now)
    before = {
        **status.count(spec, pods, going, now),
        "availableReplicas": after["availableReplicas"],
    }
    failed = status.with_failure(spec, "FailedDelete", now)
    return Plan(
        actions=(Parallel(tuple(_delete(spec, pod) for pod in gone)),),
        status=status.write(spec, after, status.without_failure(spec)),
        status_if_failed=status.write(spec, before, failed),
        requeue_after_s=_next_look(spec, left, now),
    )


def is_active(pod: Obj) -> bool:
    """Whether the pod counts: it has not ended and is not going."""
    return not podtemplate.is_finished(pod) and not meta.is_deleting(pod)


def wants_adoption(replicaset: Obj, pods: Iterable[Obj]) -> bool:
    """Whether there may be an orphan to adopt, so that the set has to be looked at live."""
    matches = read(replicaset).matches
    return any(meta.controller_of(p) is None and is_active(p) and matches(p) for p in pods)


def _terminating(spec: Spec, pods: Iterable[Obj]) -> list[Obj]:
    uid = meta.uid_of(spec.obj)
    return [
        pod
        for pod in pods
        if meta.is_deleting(pod)
        and not podtemplate.is_finished(pod)
        and owners.is_controlled_by(pod, uid)
        and spec.matches(pod)
    ]


def _ownership(spec: Spec, claims: owners.Claims) -> Iterable[Action]:
    for pod in claims.released:
        yield owners.release("pods", pod, meta.uid_of(spec.obj))
    for pod in claims.adopted:
        yield owners.adopt("pods", pod, spec.reference)


def _create(spec: Spec) -> Action:
    pod = podtemplate.pod_from_template(
        spec.template,
        namespace=spec.namespace,
        owner=spec.reference,
        generate_name=f"{spec.name}-",
    )
    return Reported(
        Create("pods", pod),
        success=Emit(spec.involved, "Normal", "SuccessfulCreate", f"Created pod: {NAME}"),
        failure=Emit(spec.involved, "Warning", "FailedCreate", "Error creating: "),
    )


def _delete(spec: Spec, pod: Obj) -> Action:
    name = meta.name_of(pod)
    return Reported(
        Delete("pods", spec.namespace, name, uid=meta.uid_of(pod)),
        success=Emit(spec.involved, "Normal", "SuccessfulDelete", f"Deleted pod: {name}"),
        failure=Emit(spec.involved, "Warning", "FailedDelete", "Error deleting: "),
    )


def _next_look(spec: Spec, pods: Iterable[Obj], now: float) -> float | None:
    """Seconds until a ready pod has been ready for long enough; None when none is waited for."""
    times = (podtemplate.available_at(pod, spec.min_ready_s) for pod in pods)
    return min((at - now for at in times if at is not None and at > now), default=None)
