"""The ReplicaSets of a deployment: which one is new, and how a fresh one is made. Pure.

Rules: workload-semantics 3.1. A set is a value; a plan makes changed values, and `writes` tells
the patches between what is stored and what is wanted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.deployment import annotations as notes
from petset.controllers.deployment.spec import Spec
from petset.reconcile import revisions
from petset.reconcile.actions import Action, Emit, Patch, Reported

RESOURCE = "replicasets.apps"
HASH_LABEL = "pod-template-hash"
NAME_MAX = 253


@dataclass(frozen=True, slots=True)
class Rs:
    """A set, as it is wanted.

    Attributes:
        obj: the set as it is stored.
        size: spec.replicas as the plan wants it; so are `annotations` and `min_ready_s`.
    """

    obj: Obj
    size: int
    annotations: Mapping[str, str]
    min_ready_s: int
    status: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """Its name."""
        return meta.name_of(self.obj)

    @property
    def revision(self) -> int:
        """Its revision number, 0 for none."""
        return notes.revision(self.annotations)

    def told(self, counter: str) -> int:
        """A counter of its status."""
        return int(self.status.get(counter) or 0)

    @property
    def is_observed(self) -> bool:
        """Whether the counters were made after the last change of its spec."""
        generation = (self.obj.get("metadata") or {}).get("generation") or 0
        return int(generation) <= self.told("observedGeneration")

    @property
    def healthy(self) -> int:
        """Available pods, as far as is known, that fit in its size."""
        return min(self.size, self.told("availableReplicas"))

    @property
    def lasting(self) -> int:
        """Pods that certainly are available and stay so when the set comes to its size.

        None as long as its last change is not observed: pods that it removed may still be counted.
        """
        return self.healthy if self.is_observed else 0

    @property
    def age(self) -> tuple[str, int, str]:
        """Sorts oldest first."""
        created = (self.obj.get("metadata") or {}).get("creationTimestamp") or ""
        return created, self.revision, self.name

    def sized(self, spec: Spec, size: int) -> "Rs":
        """The set at another size, with the annotations that tell for which request."""
        marks = notes.sized(self.annotations, spec.replicas, spec.size_max)
        return replace(self, size=size, annotations=marks)


@dataclass(frozen=True, slots=True)
class Sets:
    """All sets of a deployment; `old` is sorted oldest first."""

    new: Rs | None
    old: tuple[Rs, ...]

    @property
    def all(self) -> tuple[Rs, ...]:
        """The old ones and the new one."""
        return self.old if self.new is None else (*self.old, self.new)

    @property
    def active(self) -> tuple[Rs, ...]:
        """Those that are to have pods."""
        return tuple(rs for rs in self.all if rs.size > 0)

    @property
    def total(self) -> int:
        """How many pods all sets are to have."""
        return sum(rs.size for rs in self.all)

    def with_changed(self, *changed: Rs) -> "Sets":
        """With these in place of those of the same name."""
        by_name = {rs.name: rs for rs in changed}
        new = None if self.new is None else by_name.get(self.new.name, self.new)
        return Sets(new, tuple(by_name.get(rs.name, rs) for rs in self.old))


def read(obj: Obj) -> Rs:
    """A set as it is stored."""
    spec = obj.get("spec") or {}
    replicas = spec.get("replicas")
    return Rs(
        obj=obj,
        size=1 if replicas is None else int(replicas),
        annotations=meta.annotations_of(obj),
        min_ready_s=int(spec.get("minReadySeconds") or 0),
        status=obj.get("status") or {},
    )


def find(spec: Spec, objects: Iterable[Obj]) -> Sets:
    """The new set is the oldest one that has the deployment's template."""
    found = sorted(map(read, objects), key=lambda rs: rs.age)
    new = next((rs for rs in found if has_template(rs.obj, spec.template)), None)
    return Sets(new, tuple(rs for rs in found if rs is not new))


def has_template(obj: Obj, template: Obj) -> bool:
    """Whether the set makes pods of this template, the hash label aside."""
    own = (obj.get("spec") or {}).get("template") or {}
    return revisions.are_equal({"data": without_hash(own)}, {"data": without_hash(template)})


def without_hash(template: Obj) -> MutableObj:
    """The template without the label that tells templates apart."""
    metadata = template.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    return {**template, "metadata": {**metadata, "labels": labels}}


def synced(spec: Spec, found: Sets) -> Sets:
    """The new set with the deployment's annotations, minReadySeconds and the newest number."""
    if found.new is None:
        return found
    marks = notes.copied(found.new.annotations, meta.annotations_of(spec.obj))
    marks = notes.numbered(marks, next_revision(found))
    changed = replace(found.new, annotations=marks, min_ready_s=spec.min_ready_s)
    return found.with_changed(changed)


def next_revision(found: Sets) -> int:
    """The number of the new set: one more than those of all old ones."""
    return max((rs.revision for rs in found.old), default=0) + 1


def fresh(
    spec: Spec, found: Sets, size: int, in_namespace: Mapping[str, Obj]
) -> tuple[MutableObj, int]:
    """A set for the deployment's template, and the collision count to be kept.

    Args:
        in_namespace: every ReplicaSet of the namespace by name, to see collisions of names.
    """
    collisions = int(spec.status.get("collisionCount") or 0)
    hash_text = template_hash(spec.template, collisions)
    while name_for(spec.name, hash_text) in in_namespace:
        collisions += 1
        hash_text = template_hash(spec.template, collisions)
    marks = notes.copied({}, meta.annotations_of(spec.obj))
    marks = notes.sized(notes.numbered(marks, next_revision(found)), spec.replicas, spec.size_max)
    label = {HASH_LABEL: hash_text}
    source = spec.template.get("metadata") or {}
    labels = {**(source.get("labels") or {}), **label}
    selector = (spec.obj.get("spec") or {}).get("selector") or {}
    rs_spec: MutableObj = {
        "replicas": size,
        "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), **label}},
        "template": {**spec.template, "metadata": {**source, "labels": labels}},
    }
    if spec.min_ready_s:
        rs_spec["minReadySeconds"] = spec.min_ready_s
    made: MutableObj = {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": name_for(spec.name, hash_text),
            "namespace": spec.namespace,
            "labels": labels,
            "annotations": marks,
            "ownerReferences": [spec.reference],
        },
        "spec": rs_spec,
    }
    return made, collisions


def template_hash(template: Obj, collisions: int) -> str:
    """The hash in a set's name: over the template, and over the collision count if there is one."""
    text = orjson.dumps(without_hash(template), option=orjson.OPT_SORT_KEYS)
    if collisions:
        text += str(collisions).encode()
    return revisions.safe_encode(str(fnv1a_32(text)))


def fnv1a_32(data: bytes) -> int:
    """FNV-1a of 32 bits."""
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def name_for(deployment: str, hash_text: str) -> str:
    """The name of a set; a long deployment's name is cut."""
    return f"{deployment[: NAME_MAX - len(hash_text) - 1]}-{hash_text}"


def writes(spec: Spec, wanted: Sets) -> list[Action]:
    """What brings the stored sets to the wanted ones, with the events that tell of sizes."""
    found = ((rs, _difference(rs)) for rs in wanted.all)
    return [_reported(spec, rs, patch) for rs, patch in found if patch]


def _difference(rs: Rs) -> MutableObj:
    stored = read(rs.obj)
    patch: MutableObj = {}
    if rs.size != stored.size:
        patch["spec"] = {"replicas": rs.size}
    if rs.min_ready_s != stored.min_ready_s:
        patch["spec"] = {**patch.get("spec", {}), "minReadySeconds": rs.min_ready_s}
    before = stored.annotations
    if marks := {k: v for k, v in rs.annotations.items() if before.get(k) != v}:
        patch["metadata"] = {"annotations": marks}
    return patch


def _reported(spec: Spec, rs: Rs, patch: MutableObj) -> Action:
    write = Patch(
        RESOURCE,
        spec.namespace,
        rs.name,
        patch,
        uid=meta.uid_of(rs.obj),
        resource_version=meta.version_of(rs.obj),
    )
    before = read(rs.obj).size
    if rs.size == before:
        return write
    return Reported(write, success=scaled(spec, rs.name, before, rs.size))


def scaled(spec: Spec, name: str, before: int, after: int) -> Emit:
    """The event that tells of a new size."""
    way = "up" if after > before else "down"
    message = f"Scaled {way} replica set {name} from {before} to {after}"
    return Emit(spec.involved, "Normal", "ScalingReplicaSet", message)
