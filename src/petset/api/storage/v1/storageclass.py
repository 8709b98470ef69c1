"""StorageClass: defaults, validation, update rules, columns."""

from typing import Any

from petset.api import names
from petset.api.check import Faults, child, fill, items, needed, one_of, semantically
from petset.api.errors import FieldError, duplicate, forbidden_field, required, too_long
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.table import AGE, NAME, age_of

DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_PARAMETERS_MAX_BYTES = 256 * 1024


def default(storage_class: MutableObj) -> None:
    """What happens to released volumes, and when they are bound."""
    fill(storage_class, "reclaimPolicy", "Delete")
    fill(storage_class, "volumeBindingMode", "Immediate")


def is_default(storage_class: Obj) -> bool:
    """Whether claims that name no class get this one."""
    annotations = annotations_of(storage_class)
    return any(annotations.get(key) == "true" for key in DEFAULT_ANNOTATIONS)


def validate(storage_class: Obj) -> list[FieldError]:
    """Every fault of a class."""
    return list(_faults(storage_class))


def _faults(storage_class: Obj) -> Faults:
    provisioner = storage_class.get("provisioner")
    yield from needed("provisioner", provisioner, lambda text: names.qualified_name(text.lower()))
    size = 0
    for key, value in child(storage_class, "parameters").items():
        if not key:
            yield required("parameters", "field can not be empty.")
        size += len(key.encode()) + len(str(value).encode())
    if size > _PARAMETERS_MAX_BYTES:
        yield too_long("parameters", _PARAMETERS_MAX_BYTES)
    policy, mode = storage_class.get("reclaimPolicy"), storage_class.get("volumeBindingMode")
    yield from one_of("reclaimPolicy", policy, ("Delete", "Retain"))
    modes = ("Immediate", "WaitForFirstConsumer")
    yield from one_of("volumeBindingMode", mode, modes, need=True)
    for i, term in enumerate(items(storage_class, "allowedTopologies")):
        yield from _topology_faults(f"allowedTopologies[{i}].matchLabelExpressions", term)


def _topology_faults(path: str, term: Obj) -> Faults:
    seen: set[str] = set()
    for i, expression in enumerate(items(term, "matchLabelExpressions")):
        where, key = f"{path}[{i}]", expression.get("key") or ""
        if not items(expression, "values"):
            yield required(f"{where}.values")
        yield from needed(f"{where}.key", key, names.qualified_name)
        if key in seen:
            yield duplicate(f"{where}.key", key)
        seen.add(key)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """Only expansion, mount options and topologies may change."""
    words = {
        "parameters": "updates to parameters are forbidden.",
        "provisioner": "updates to provisioner are forbidden.",
        "reclaimPolicy": "updates to reclaimPolicy are forbidden.",
        "volumeBindingMode": "field is immutable",
    }
    return [
        forbidden_field(key, text)
        for key, text in words.items()
        if semantically(new.get(key)) != semantically(old.get(key))
    ]


def _cells(storage_class: Obj, now: float) -> list[Any]:
    name = name_of(storage_class)
    return [
        f"{name} (default)" if is_default(storage_class) else name,
        storage_class.get("provisioner") or "",
        storage_class.get("reclaimPolicy") or "Delete",
        storage_class.get("volumeBindingMode") or "Immediate",
        bool(storage_class.get("allowVolumeExpansion")),
        age_of(storage_class, now),
    ]


TABLE = Table(
    (
        NAME,
        Column("Provisioner"),
        Column("ReclaimPolicy"),
        Column("VolumeBindingMode"),
        Column("AllowVolumeExpansion"),
        AGE,
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    table=TABLE,
    deletion_returns_object=True,
)
