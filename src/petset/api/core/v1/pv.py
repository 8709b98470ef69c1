"""PersistentVolume: defaults, validation, update rules, columns.

Invariant: what a volume is made of does not change after creation.
"""

from typing import Any

from petset.api import deprecated, names
from petset.api.check import (
    IMMUTABLE,
    Faults,
    changes,
    child,
    drop,
    fill,
    items,
    member,
    optional,
    semantically,
)
from petset.api.core.v1 import placement, pvc, pvsource
from petset.api.core.v1.resources import basic_faults, canonical_list, positive_faults
from petset.api.errors import FieldError, forbidden_field, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, is_deleting, name_of
from petset.api.table import AGE, NAME, age_of

POLICIES = ("Delete", "Recycle", "Retain")
GONE_SOURCES = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def default(volume: MutableObj) -> None:
    """Defaults of a volume; its phase starts as Pending."""
    spec = member(volume, "spec")
    fill(spec, "persistentVolumeReclaimPolicy", "Retain")
    fill(spec, "volumeMode", "Filesystem")
    canonical_list(spec, "capacity")
    pvsource.default(spec)
    fill(member(volume, "status"), "phase", "Pending")


def prepare_create(volume: MutableObj) -> None:
    """A new volume is Pending, and has been since its creation."""
    status: MutableObj = {"phase": "Pending"}
    if created := child(volume, "metadata").get("creationTimestamp"):
        status["lastPhaseTransitionTime"] = created
    volume["status"] = status


def validate(volume: Obj) -> list[FieldError]:
    """Every fault of a volume."""
    return list(_faults(child(volume, "spec")))


def _faults(spec: Obj) -> Faults:
    if not items(spec, "accessModes"):
        yield required("spec.accessModes")
    yield from pvc.access_mode_faults("spec.accessModes", items(spec, "accessModes"))
    yield from _capacity_faults(spec.get("capacity"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy not in (None, "", *POLICIES):
        yield not_supported("spec.persistentVolumeReclaimPolicy", policy, POLICIES)
    affinity = child(spec, "nodeAffinity")
    if affinity:
        path = "spec.nodeAffinity.required"
        if affinity.get("required") is None:
            yield required(path, "must specify required node constraints")
        else:
            yield from placement.node_selector_faults(path, child(affinity, "required"))
    yield from pvsource.faults(spec)
    if "local" in pvsource.sources_of(spec) and affinity.get("required") is None:
        yield required("spec.nodeAffinity", "Local volume requires node affinity")
    yield from optional("spec.storageClassName", spec.get("storageClassName"), names.dns_subdomain)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in pvc.VOLUME_MODES:
        yield not_supported("spec.volumeMode", mode, pvc.VOLUME_MODES)
    yield from _attributes_class_faults(spec)


def _attributes_class_faults(spec: Obj) -> Faults:
    name, path = spec.get("volumeAttributesClassName"), "spec.volumeAttributesClassName"
    if name is None:
        return
    if not name:
        yield required(path, "an empty string is disallowed")
    yield from optional(path, name, names.dns_subdomain)
    if spec.get("csi") is None:
        yield required("spec.csi", "has to be specified when using volumeAttributesClassName")


def _capacity_faults(capacity: Any) -> Faults:
    if not capacity:
        yield required("spec.capacity")
    if not capacity or list(capacity) != ["storage"]:
        yield not_supported("spec.capacity", capacity, ["storage"])
    for name, amount in (capacity or {}).items():
        where = f"spec.capacity[{name}]"
        yield from basic_faults(where, amount)
        yield from positive_faults(where, amount)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The source, the volume mode and a node affinity once set never change."""
    return list(_update_faults(child(new, "spec"), child(old, "spec")))


def _update_faults(after: Obj, before: Obj) -> Faults:
    new_source = semantically(_comparable(after, before))
    old_source = semantically(pvsource.sources_of(before))
    if new_source != old_source:
        yield forbidden_field(
            "spec.persistentvolumesource",
            "spec.persistentvolumesource is immutable after creation"
            f"{changes(new_source, old_source)}",
        )
    if after.get("volumeMode") != before.get("volumeMode"):
        yield invalid("volumeMode", after.get("volumeMode"), IMMUTABLE)
    was, now = child(before, "nodeAffinity"), after.get("nodeAffinity")
    if was and semantically(was) != semantically(now):
        words = "field is immutable, except for updating from beta label to GA"
        yield invalid("nodeAffinity", now, words)
    key = "volumeAttributesClassName"
    if before.get(key) is not None and after.get(key) is None:
        yield forbidden_field(f"spec.{key}", "update from non-nil value to nil is forbidden")


def _comparable(after: Obj, before: Obj) -> Obj:
    """The new source without what may be added: the secret for expansion by the controller."""
    sources, key = pvsource.sources_of(after), "controllerExpandSecretRef"
    if "csi" in sources and "csi" in before and not child(before, "csi").get(key):
        return {**sources, "csi": drop(child(after, "csi"), key)}
    return sources


def warnings(volume: Obj) -> list[str]:
    """What of a volume is deprecated."""
    spec = child(volume, "spec")
    found = list(deprecated.storage_class(volume))
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
            "Instead, the recommended approach is to use dynamic provisioning."
        )
    terms = items(child(spec, "nodeAffinity", "required"), "nodeSelectorTerms")
    for i, term in enumerate(terms):
        path = f"spec.nodeAffinity.required.nodeSelectorTerms[{i}]"
        found += deprecated.expressions(path, term)
    spelled = {"storageos": "storageOS"}
    found += [
        f"spec.{spelled.get(kind, kind)}: {words}"
        for kind, words in GONE_SOURCES.items()
        if spec.get(kind) is not None
    ]
    return found


def _claim_of(volume: Obj) -> str:
    claim = child(volume, "spec", "claimRef")
    return f"{claim.get('namespace') or ''}/{claim.get('name') or ''}" if claim else ""


def _cells(volume: Obj, now: float) -> list[Any]:
    spec, status = child(volume, "spec"), child(volume, "status")
    return [
        name_of(volume),
        child(spec, "capacity").get("storage", ""),
        pvc.short_modes(items(spec, "accessModes")),
        spec.get("persistentVolumeReclaimPolicy") or "",
        "Terminating" if is_deleting(volume) else status.get("phase") or "",
        _claim_of(volume),
        pvc.class_of(volume),
        spec.get("volumeAttributesClassName") or "<unset>",
        status.get("reason") or "",
        age_of(volume, now),
        spec.get("volumeMode") or "<unset>",
    ]


TABLE = Table(
    (
        NAME,
        Column("Capacity"),
        Column("Access Modes"),
        Column("Reclaim Policy"),
        Column("Status"),
        Column("Claim"),
        Column("StorageClass"),
        Column("VolumeAttributesClass"),
        Column("Reason"),
        AGE,
        Column("VolumeMode", priority=1),
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    table=TABLE,
    deletion_returns_object=True,
)
