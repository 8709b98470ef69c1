"""StorageClass: defaults, validation, update rules, columns."""

from collections.abc import Iterable, Mapping
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, fill, items, one_of, semantically, unchanged, worded
from petset.api.core.v1.podwarnings import OLD_LABELS
from petset.api.errors import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid,
    required,
    too_long,
)
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.table import AGE, NAME, age_of

DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_PARAMETERS_MAX = 512
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
    yield from provisioner_faults("provisioner", storage_class.get("provisioner"))
    yield from parameters_faults("parameters", child(storage_class, "parameters"))
    policy, mode = storage_class.get("reclaimPolicy"), storage_class.get("volumeBindingMode")
    yield from one_of("reclaimPolicy", policy, ("Delete", "Retain"))
    modes = ("Immediate", "WaitForFirstConsumer")
    yield from one_of("volumeBindingMode", mode, modes, need=True)
    seen: list[Any] = []
    for i, term in enumerate(items(storage_class, "allowedTopologies")):
        path = f"allowedTopologies[{i}].matchLabelExpressions"
        yield from _topology_faults(path, term)
        chosen = {
            e.get("key"): sorted(items(e, "values")) for e in items(term, "matchLabelExpressions")
        }
        if chosen in seen:
            yield duplicate(path, "")
        seen.append(chosen)


def provisioner_faults(path: str, value: object) -> Faults:
    """The name of a driver or provisioner: a qualified one, in whatever case."""
    name = str(value or "").lower()
    if not name:
        yield required(path)
    else:
        yield from worded(path, name, names.qualified_name(name))


def parameters_faults(path: str, parameters: Mapping[str, Any], *, need: bool = False) -> Faults:
    """Parameters for a driver: not too many, and not too large together."""
    if len(parameters) > _PARAMETERS_MAX:
        yield too_long(path, _PARAMETERS_MAX)
        return
    if "" in parameters:
        yield invalid(path, "", "field can not be empty.")
    size = sum(len(k.encode()) + len(str(v).encode()) for k, v in parameters.items())
    if size > _PARAMETERS_MAX_BYTES:
        yield too_long(path, _PARAMETERS_MAX_BYTES)
    if need and not parameters:
        yield required(path, "must contain at least one key/value pair")


def _topology_faults(path: str, term: Obj) -> Faults:
    seen: set[str] = set()
    for i, expression in enumerate(items(term, "matchLabelExpressions")):
        where, key = f"{path}[{i}]", expression.get("key") or ""
        values = items(expression, "values")
        if not values:
            yield required(f"{where}.values")
        for j, value in enumerate(values):
            if value in values[:j]:
                yield duplicate(f"{where}.values[{j}]", value)
        yield from worded(f"{where}.key", key, names.qualified_name(key))
        if key in seen:
            yield duplicate(f"{where}.key", key)
        seen.add(key)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """Only expansion, mount options and topologies may change."""
    keys = ("parameters", "provisioner", "reclaimPolicy")
    mode = "volumeBindingMode"
    return [*frozen_faults(new, old, keys), *unchanged(mode, new.get(mode), old.get(mode))]


def frozen_faults(new: Obj, old: Obj, keys: Iterable[str]) -> Faults:
    """Members that no update may touch."""
    for key in keys:
        if semantically(new.get(key)) != semantically(old.get(key)):
            yield forbidden_field(key, f"updates to {key} are forbidden.")


def warnings(storage_class: Obj) -> list[str]:
    """Labels of nodes that have new names."""
    return [
        f"allowedTopologies[{i}].matchLabelExpressions[{j}].key: {OLD_LABELS[expression['key']]}"
        for i, term in enumerate(items(storage_class, "allowedTopologies"))
        for j, expression in enumerate(items(term, "matchLabelExpressions"))
        if expression.get("key") in OLD_LABELS
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
    validates_update_alone=True,
    warnings=warnings,
    table=TABLE,
    deletion_returns_object=True,
)
