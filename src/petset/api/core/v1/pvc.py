"""PersistentVolumeClaim: defaults, validation, update rules, columns.

Invariant: after creation a claim's spec changes only where binding and resizing need it.
"""

from typing import Any

from petset.api import deprecated, names, selectors
from petset.api.ages import age
from petset.api.check import (
    IMMUTABLE,
    Faults,
    changes,
    child,
    drop,
    fill,
    items,
    member,
    one_of,
    optional,
    semantically,
    worded,
)
from petset.api.core.v1.resources import (
    basic_faults,
    canonical,
    canonical_list,
    is_native,
    parsed,
    positive_faults,
    quantity_faults,
)
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
CLASS_ANNOTATION = deprecated.CLASS_ANNOTATION
RESIZE_STATES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)


def default_spec(spec: MutableObj) -> None:
    """Volume mode, canonical sizes; `dataSource` and `dataSourceRef` copied to each other."""
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
    """Known access modes only; ReadWriteOncePod stands alone."""
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield not_supported(path, mode, ACCESS_MODES)
    known = {*modes} & {*ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        yield forbidden_field(path, "may not use ReadWriteOncePod with other access modes")


def spec_faults(path: str, spec: Obj) -> Faults:
    """Every fault of a claim's spec."""
    if not items(spec, "accessModes"):
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    if isinstance(spec.get("selector"), dict):
        yield from selectors.validate(spec["selector"], f"{path}.selector")
    yield from access_mode_faults(f"{path}.accessModes", items(spec, "accessModes"))
    requests = child(spec, "resources", "requests")
    if "storage" not in requests:
        yield required(f"{path}.resources[storage]")
    else:
        yield from size_faults(f"{path}.resources[storage]", requests["storage"])
    yield from optional(
        f"{path}.storageClassName", spec.get("storageClassName"), names.dns_subdomain
    )
    yield from one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    for key in ("dataSource", "dataSourceRef"):
        if spec.get(key) is not None:
            yield from _source_faults(f"{path}.{key}", child(spec, key))
    yield from _sources_faults(path, spec)
    yield from optional(
        f"{path}.volumeAttributesClassName",
        spec.get("volumeAttributesClassName"),
        names.dns_subdomain,
    )


def size_faults(path: str, amount: object) -> Faults:
    """A size: well formed and over zero."""
    if parsed(amount) is None:
        yield from quantity_faults(path, amount)
    yield from positive_faults(path, amount)


def _source_faults(path: str, source: Obj) -> Faults:
    for key in ("name", "kind"):
        if not source.get(key):
            yield required(f"{path}.{key}")
    group = source.get("apiGroup")
    if not group and source.get("kind") != "PersistentVolumeClaim":
        words = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        yield invalid(path, source.get("kind") or "", words)
    yield from optional(f"{path}.apiGroup", group, names.dns_subdomain)
    yield from optional(f"{path}.namespace", source.get("namespace"), names.dns_label)


def _sources_faults(path: str, spec: Obj) -> Faults:
    """`dataSource` and `dataSourceRef` agree."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is None or reference is None:
        return
    if child(spec, "dataSourceRef").get("namespace"):
        yield invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified")
    elif any(source.get(key) != reference.get(key) for key in ("apiGroup", "kind", "name")):
        yield invalid(path, {}, "must match dataSourceRef")


def validate(claim: Obj) -> list[FieldError]:
    """Every fault of a new claim."""
    return list(spec_faults("spec", child(claim, "spec")))


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """A spec may change only by binding (volumeName), default class, growth, attributes class."""
    return list(_update_faults(new, old))


def _update_faults(new_claim: Obj, old_claim: Obj) -> Faults:
    new, old, status = (
        child(new_claim, "spec"),
        child(old_claim, "spec"),
        child(old_claim, "status"),
    )
    bound = status.get("phase") == "Bound"
    allowed = []
    if bound and new.get("volumeAttributesClassName") is not None:
        allowed.append("volumeAttributesClassName")
    if not old.get("volumeName"):
        allowed.append("volumeName")
    marked, marks = _class_mark(old_claim), _class_mark(new_claim)
    given = new.get("storageClassName") if old.get("storageClassName") is None else None
    if given is not None and marked in (None, given):
        allowed.append("storageClassName")
    if marks != marked and not (given is not None and marked == given and marks is None):
        yield invalid(f"metadata.annotations.{CLASS_ANNOTATION}", marks or "", IMMUTABLE)
    before, after = (_compared(spec, allowed, bound) for spec in (old, new))
    if before != after:
        yield forbidden_field(
            "spec",
            "spec is immutable after creation except resources.requests and "
            f"volumeAttributesClassName for bound claims{changes(after, before)}",
        )
    yield from _shrink_faults(new, old, status)
    if new.get("volumeMode") != old.get("volumeMode"):
        yield invalid("volumeMode", new.get("volumeMode"), IMMUTABLE)
    yield from _attributes_class_faults(new, old)


def _attributes_class_faults(new: Obj, old: Obj) -> Faults:
    """The class of attributes, once named, is never unnamed."""
    key = "volumeAttributesClassName"
    if old.get(key) is None or new.get(key) == old.get(key):
        return
    if new.get(key) is None:
        yield forbidden_field(f"spec.{key}", "update from non-nil value to nil is forbidden")
    elif not new[key]:
        words = "update from non-nil value to an empty string is forbidden"
        yield forbidden_field(f"spec.{key}", words)


def _compared(spec: Obj, allowed: list[str], bound: bool) -> Any:
    resources = child(spec, "resources")
    if bound:
        requests = drop(child(resources, "requests"), "storage")
        resources = {**resources, "requests": requests}
    return semantically({**drop(spec, *allowed), "resources": resources})


def _class_mark(claim: Obj) -> Any:
    return child(claim, "metadata", "annotations").get(CLASS_ANNOTATION)


def _shrink_faults(new: Obj, old: Obj, status: Obj) -> Faults:
    wanted = parsed(child(new, "resources", "requests").get("storage"))
    had = parsed(child(old, "resources", "requests").get("storage"))
    if wanted is None or had is None or wanted >= had:
        return
    actual = parsed(child(status, "capacity").get("storage"))
    if actual is not None and wanted <= actual:
        yield forbidden_field(
            "spec.resources.requests.storage", "field can not be less than status.capacity"
        )


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Capacities are well formed, and what is told of a resize is known."""
    del old
    return list(_status_faults(child(new, "spec"), child(new, "status")))


def _status_faults(spec: Obj, status: Obj) -> Faults:
    if not items(spec, "accessModes"):
        yield required("Spec.accessModes")  # upstream's spelling
    for name, amount in child(status, "capacity").items():
        yield from basic_faults(f"status.capacity[{name}]", amount)
    path = "status.allocatedResourceStatus"
    for name, state in child(status, "allocatedResourceStatuses").items():
        yield from _resized_name_faults(path, name)
        if state not in RESIZE_STATES:
            yield not_supported(path, name, RESIZE_STATES)
    for name, amount in child(status, "allocatedResources").items():
        faults = list(_resized_name_faults("status.allocatedResources", name))
        yield from faults or basic_faults(f"status.allocatedResources[{name}]", amount)


def _resized_name_faults(path: str, name: str) -> Faults:
    faults = list(worded(path, name, names.qualified_name(name)))
    if not faults and is_native(name) and name != "storage":
        faults.append(not_supported(path, name, ["storage"]))
    yield from faults


def warnings(claim: Obj) -> list[str]:
    """What of a claim is deprecated or odd."""
    found = list(deprecated.storage_class(claim))
    for kind in ("requests", "limits"):
        amount = child(claim, "spec", "resources", kind).get("storage")
        value = parsed(amount) if amount is not None else None
        if value is not None and value.milli % 1000:
            found.append(
                f"spec.resources.{kind}[storage]: fractional byte value "
                f'"{canonical(amount)}" is invalid, must be an integer'
            )
    return found


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
    warnings=warnings,
    table=TABLE,
    deletion_returns_object=True,
)
