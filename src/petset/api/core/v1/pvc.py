"""PersistentVolumeClaim: defaults, validation, update rules, columns.

Invariant: after creation a claim's spec changes only where binding and resizing need it.
"""

from typing import Any

from petset.api import names, selectors
from petset.api.ages import age
from petset.api.check import (
    Faults,
    changes,
    child,
    drop,
    fill,
    items,
    member,
    needed,
    one_of,
    optional,
    semantically,
)
from petset.api.core.v1.resources import canonical_list, parsed, quantity_faults
from petset.api.errors import (
    FieldError,
    forbidden_field,
    invalid,
    not_supported,
    required,
)
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, is_deleting, name_of
from petset.api.table import AGE, NAME

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_SHORT_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
VOLUME_MODES = ("Block", "Filesystem")
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def default_spec(spec: MutableObj) -> None:
    """Volume mode, canonical sizes, and the two spellings of a data source alike."""
    fill(spec, "volumeMode", "Filesystem")
    resources = member(spec, "resources")
    canonical_list(resources, "requests")
    canonical_list(resources, "limits")
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        spec["dataSourceRef"] = dict(source)
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = drop(reference, "namespace")


def default(claim: MutableObj) -> None:
    """Defaults of a claim; its phase starts as Pending."""
    default_spec(member(claim, "spec"))
    status = member(claim, "status")
    fill(status, "phase", "Pending")
    for key in ("capacity", "allocatedResources"):
        canonical_list(status, key)


def access_mode_faults(path: str, modes: Any) -> Faults:
    """At least one access mode, all known; ReadWriteOncePod stands alone."""
    if not modes:
        yield required(path, "at least 1 access mode is required")
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield not_supported(path, mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden_field(path, "may not use ReadWriteOncePod with other access modes")


def spec_faults(path: str, spec: Obj) -> Faults:
    """Every fault of a claim's spec."""
    yield from access_mode_faults(f"{path}.accessModes", items(spec, "accessModes"))
    if isinstance(spec.get("selector"), dict):
        yield from selectors.validate(spec["selector"], f"{path}.selector")
    requests = child(spec, "resources", "requests")
    if "storage" not in requests:
        yield required(f"{path}.resources[storage]")
    else:
        yield from _size_faults(f"{path}.resources[storage]", requests["storage"])
    yield from optional(
        f"{path}.storageClassName", spec.get("storageClassName"), names.dns_subdomain
    )
    yield from one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    yield from optional(
        f"{path}.volumeAttributesClassName",
        spec.get("volumeAttributesClassName"),
        names.dns_subdomain,
    )
    for key in ("dataSource", "dataSourceRef"):
        if spec.get(key) is not None:
            yield from _source_faults(f"{path}.{key}", child(spec, key))


def _size_faults(path: str, amount: object) -> Faults:
    yield from quantity_faults(path, amount)
    value = parsed(amount)
    if value is not None and value.nano == 0:
        yield invalid(path, "0", "must be greater than zero")


def _source_faults(path: str, source: Obj) -> Faults:
    yield from needed(f"{path}.name", source.get("name"), lambda _: [])
    yield from needed(f"{path}.kind", source.get("kind"), lambda _: [])
    if not source.get("apiGroup") and source.get("kind") not in (None, "PersistentVolumeClaim"):
        yield invalid(
            path,
            source.get("kind"),
            "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
        )


def validate(claim: Obj) -> list[FieldError]:
    """Every fault of a new claim."""
    return list(spec_faults("spec", child(claim, "spec")))


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """A spec may change only by binding (volumeName), default class, growth, attributes class."""
    return list(_update_faults(child(new, "spec"), old))


def _update_faults(new: Obj, old_claim: Obj) -> Faults:
    old, status = child(old_claim, "spec"), child(old_claim, "status")
    bound = status.get("phase") == "Bound"
    allowed = ["volumeAttributesClassName"] if bound else []
    if not old.get("volumeName"):
        allowed.append("volumeName")
    if old.get("storageClassName") is None and not _annotated_class(old_claim):
        allowed.append("storageClassName")
    before, after = (_compared(spec, allowed, bound) for spec in (old, new))
    if before != after:
        yield forbidden_field(
            "spec",
            "spec is immutable after creation except resources.requests and "
            f"volumeAttributesClassName for bound claims{changes(after, before)}",
        )
    elif bound:
        yield from _shrink_faults(new, old, status)


def _compared(spec: Obj, allowed: list[str], bound: bool) -> Any:
    resources = child(spec, "resources")
    if bound:
        requests = drop(child(resources, "requests"), "storage")
        resources = {**resources, "requests": requests}
    return semantically({**drop(spec, *allowed), "resources": resources})


def _annotated_class(claim: Obj) -> bool:
    return CLASS_ANNOTATION in child(claim, "metadata", "annotations")


def _shrink_faults(new: Obj, old: Obj, status: Obj) -> Faults:
    wanted = parsed(child(new, "resources", "requests").get("storage"))
    had = parsed(child(old, "resources", "requests").get("storage"))
    if wanted is None or had is None or wanted >= had:
        return
    actual = parsed(child(status, "capacity").get("storage"))
    if actual is None or wanted <= actual:
        yield forbidden_field(
            "spec.resources.requests.storage", "field can not be less than status.capacity"
        )


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Capacities are well formed."""
    del old
    faults: list[FieldError] = []
    for key in ("capacity", "allocatedResources"):
        for name, amount in child(new, "status", key).items():
            faults += quantity_faults(f"status.{key}[{name}]", amount)
    return faults


def short_modes(modes: Any) -> str:
    """Access modes as Tables print them, in a fixed order: RWO,ROX,RWX,RWOP."""
    return ",".join(short for mode, short in _SHORT_MODES.items() if mode in (modes or ()))


def class_of(claim: Obj) -> str:
    """The storage class that a claim or volume names, "" when none."""
    annotation = child(claim, "metadata", "annotations").get(CLASS_ANNOTATION)
    return annotation or child(claim, "spec").get("storageClassName") or ""


def _cells(claim: Obj, now: float) -> list[Any]:
    spec, status = child(claim, "spec"), child(claim, "status")
    bound = bool(spec.get("volumeName"))
    return [
        name_of(claim),
        "Terminating" if is_deleting(claim) else status.get("phase") or "",
        spec.get("volumeName") or "",
        child(status, "capacity").get("storage", "") if bound else "",
        short_modes(items(status, "accessModes")) if bound else "",
        class_of(claim),
        spec.get("volumeAttributesClassName") or "<unset>",
        age(child(claim, "metadata").get("creationTimestamp"), now),
        spec.get("volumeMode") or "<unset>",
    ]


TABLE = Table(
    (
        NAME,
        Column("Status"),
        Column("Volume"),
        Column("Capacity"),
        Column("Access Modes"),
        Column("StorageClass"),
        Column("VolumeAttributesClass"),
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
    validate_status=validate_status,
    table=TABLE,
    deletion_returns_object=True,
)
