"""The status of a set: counters, completion, and whether it has to be written. Pure.

Rules: workload-semantics 1.1 and 1.16. Beyond them: a set that is rolled by hand (OnDelete) is
complete as well once every pod is new and Ready; conditions are told (`conditions`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.statefulset import identity
from petset.controllers.statefulset.spec import RESOURCE, Spec
from petset.reconcile import podtemplate
from petset.reconcile.actions import Patch, status_patch

_COMPARED = (
    "replicas",
    "readyReplicas",
    "availableReplicas",
    "currentReplicas",
    "updatedReplicas",
    "currentRevision",
    "updateRevision",
)
"""A difference in one of these, or a newer generation, is worth a write."""


@dataclass(frozen=True, slots=True)
class Status:
    """The counters of one sync."""

    current_revision: str
    update_revision: str
    collision_count: int
    replicas: int = 0
    ready: int = 0
    available: int = 0
    current: int = 0
    updated: int = 0

    def created(self, revision: str) -> "Status":
        """One pod of `revision` (as pods are labelled) more."""
        return replace(self._counted(revision, 1), replicas=self.replicas + 1)

    def deleted(self, revision: str) -> "Status":
        """One pod of `revision` is going: it still exists, but no longer counts as of it."""
        return self._counted(revision, -1)

    def _counted(self, revision: str, by: int) -> "Status":
        return replace(
            self,
            current=max(0, self.current + by * (revision == identity.short(self.current_revision))),
            updated=max(0, self.updated + by * (revision == identity.short(self.update_revision))),
        )


def count(spec: Spec, pods: Iterable[Obj], empty: Status, now: float) -> Status:
    """The counters over the pods of the set as they are."""
    there = [pod for pod in pods if podtemplate.phase_of(pod)]
    staying = Counter(identity.revision_of(pod) for pod in there if not meta.is_deleting(pod))
    ready = [pod for pod in there if podtemplate.is_running_and_ready(pod)]
    available = (podtemplate.is_available(pod, spec.min_ready_s, now) for pod in ready)
    return replace(
        empty,
        replicas=len(there),
        ready=len(ready),
        available=sum(available),
        current=staying[identity.short(empty.current_revision)],
        updated=staying[identity.short(empty.update_revision)],
    )


def completed(spec: Spec, status: Status) -> Status:
    """Make the update revision the current one once every pod has it and is ready."""
    if (
        status.updated == status.replicas
        and status.replicas == spec.replicas
        and status.ready == spec.replicas
    ):
        return replace(status, current=status.updated, current_revision=status.update_revision)
    return status


def write(spec: Spec, status: Status, conditions: Sequence[Obj]) -> Patch | None:
    """The patch of the status; None when nothing relevant has changed.

    Args:
        conditions: all that the status is to have.
    """
    stored = spec.obj.get("status") or {}
    generation = int((spec.obj.get("metadata") or {}).get("generation") or 0)
    fields: MutableObj = {
        "observedGeneration": generation,
        "replicas": status.replicas,
        "readyReplicas": status.ready,
        "availableReplicas": status.available,
        "currentReplicas": status.current,
        "updatedReplicas": status.updated,
        "currentRevision": status.current_revision,
        "updateRevision": status.update_revision,
        "collisionCount": status.collision_count,
        "conditions": list(conditions),
    }
    known = list(stored.get("conditions") or ()) == list(conditions)
    newer = generation > int(stored.get("observedGeneration") or 0)
    if known and not newer and all(_same(stored, fields, name) for name in _COMPARED):
        return None
    return status_patch(RESOURCE, spec.obj, fields)


def _same(stored: Obj, fields: Obj, name: str) -> bool:
    return (stored.get(name) or 0) == (fields[name] or 0)
