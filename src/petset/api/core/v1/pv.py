"""PersistentVolume: defaults, validation, update rules, columns.

Invariant: what a volume is made of does not change after creation.
"""

from collections.abc import Mapping
from typing import Any

from petset.api import names
from petset.api.check import Faults, changes, child, fill, items, member, optional, semantically
from petset.api.core.v1 import placement, pvc
from petset.api.core.v1.resources import canonical_list, parsed, quantity_faults
from petset.api.core.v1.volume import host_path_faults
from petset.api.errors import FieldError, forbidden_field, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, is_deleting, name_of
from petset.api.table import AGE, NAME, age_of

POLICIES = ("Delete", "Recycle", "Retain")
_NO_SOURCE = frozenset(
    (
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    )
)
_NEEDED = {
    "local": ("path",),
    "csi": ("driver", "volumeHandle"),
    "nfs": ("server", "path"),
}
"""Members that a kind of source cannot do without."""


def default(volume: MutableObj) -> None:
    """Defaults of a volume; its phase starts as Pending."""
    spec = member(volume, "spec")
    fill(spec, "persistentVolumeReclaimPolicy", "Retain")
    fill(spec, "volumeMode", "Filesystem")
    canonical_list(spec, "capacity")
    if isinstance(spec.get("hostPath"), dict) and spec["hostPath"].get("type") is None:
        spec["hostPath"]["type"] = ""
    fill(member(volume, "status"), "phase", "Pending")


def sources_of(spec: Obj) -> Mapping[str, Any]:
    """What the volume is made of, by kind of source."""
    return {k: v for k, v in spec.items() if k not in _NO_SOURCE and v is not None}


def validate(volume: Obj) -> list[FieldError]:
    """Every fault of a volume."""
    return list(_faults(child(volume, "spec")))


def _faults(spec: Obj) -> Faults:
    yield from pvc.access_mode_faults("spec.accessModes", items(spec, "accessModes"))
    yield from _capacity_faults(child(spec, "capacity"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy not in (None, "", *POLICIES):
        yield not_supported("spec.persistentVolumeReclaimPolicy", policy, POLICIES)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in pvc.VOLUME_MODES:
        yield not_supported("spec.volumeMode", mode, pvc.VOLUME_MODES)
    affinity = child(spec, "nodeAffinity")
    if affinity:
        path = "spec.nodeAffinity.required"
        if affinity.get("required") is None:
            yield required(path, "must specify required node constraints")
        else:
            yield from placement.node_selector_faults(path, child(affinity, "required"))
    yield from optional("spec.storageClassName", spec.get("storageClassName"), names.dns_subdomain)
    yield from _source_faults(spec, bool(affinity), policy)


def _capacity_faults(capacity: Obj) -> Faults:
    if not capacity:
        yield required("spec.capacity")
    elif list(capacity) != ["storage"]:
        yield not_supported("spec.capacity", capacity, ["storage"])
    for name, amount in capacity.items():
        where = f"spec.capacity[{name}]"
        yield from quantity_faults(where, amount)
        value = parsed(amount)
        if value is not None and value.nano == 0:
            yield invalid(where, "0", "must be greater than zero")


def _source_faults(spec: Obj, affinity: bool, policy: object) -> Faults:
    given = list(sources_of(spec))
    if not given:
        yield required("spec", "must specify a volume type")
    for kind in given[1:]:
        yield forbidden_field(f"spec.{kind}", "may not specify more than 1 volume type")
    if not given:
        return
    source = child(spec, given[0])
    for key in _NEEDED.get(given[0], ()):
        if not source.get(key):
            yield required(f"spec.{given[0]}.{key}")
    if given[0] == "hostPath":
        yield from host_path_faults("spec.hostPath", source)
        if source.get("path") == "/" and policy == "Recycle":
            words = "may not be '/' for a hostPath mount of a volume with reclaim policy Recycle"
            yield forbidden_field("spec.hostPath.path", words)
    if given[0] == "local" and not affinity:
        yield required("spec.nodeAffinity", "Local volume requires node affinity")


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The source, the volume mode and a node affinity once set never change."""
    after, before = child(new, "spec"), child(old, "spec")
    faults: list[FieldError] = []
    new_source, old_source = semantically(sources_of(after)), semantically(sources_of(before))
    if new_source != old_source:
        faults.append(
            forbidden_field(
                "spec.persistentvolumesource",
                "spec.persistentvolumesource is immutable after creation"
                f"{changes(new_source, old_source)}",
            )
        )
    if after.get("volumeMode") != before.get("volumeMode"):
        faults.append(invalid("spec.volumeMode", after.get("volumeMode"), "field is immutable"))
    was, now = child(before, "nodeAffinity"), child(after, "nodeAffinity")
    if was and semantically(was) != semantically(now):
        words = "field is immutable, except for updating from beta label to GA"
        faults.append(invalid("spec.nodeAffinity", dict(now), words))
    return faults


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
    prepare_create=default,
    validate=validate,
    validate_update=validate_update,
    table=TABLE,
    deletion_returns_object=True,
)
