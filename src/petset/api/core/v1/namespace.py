"""Namespace: its finalizer, its phase, columns."""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, fill, items, member, worded
from petset.api.errors import FieldError, invalid
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, is_deleting, name_of
from petset.api.table import AGE, NAME, age_of

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"


def default(namespace: MutableObj) -> None:
    """Active, and labelled with its own name."""
    fill(member(namespace, "status"), "phase", "Active")
    name = name_of(namespace)
    if name:
        member(member(namespace, "metadata"), "labels")[NAME_LABEL] = name


def prepare_create(namespace: MutableObj) -> None:
    """New ones are Active, and held until their content is gone."""
    namespace["status"] = {"phase": "Active"}
    spec = member(namespace, "spec")
    held = list(items(spec, "finalizers"))
    spec["finalizers"] = held if FINALIZER in held else [*held, FINALIZER]
    default(namespace)


def prepare_update(new: MutableObj, old: Obj) -> None:
    """Finalizers of the content change through /finalize only."""
    before = child(old, "spec").get("finalizers")
    spec = member(new, "spec")
    if before:
        spec["finalizers"] = list(before)
    else:
        spec.pop("finalizers", None)


def validate(namespace: Obj) -> list[FieldError]:
    """Finalizers are qualified names."""
    return list(_finalizer_faults(items(child(namespace, "spec"), "finalizers")))


def _finalizer_faults(finalizers: Sequence[Any]) -> Faults:
    path = "spec.finalizers"
    for name in finalizers:
        yield from worded(path, name, names.qualified_name(name))
        yield from names.standard_finalizer(path, name)


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Active unless it is being deleted."""
    del old
    phase = child(new, "status").get("phase") or ""
    path = "status.Phase"  # upstream's spelling
    if is_deleting(new):
        if phase != "Terminating":
            words = "may only be 'Terminating' if `deletionTimestamp` is not empty"
            return [invalid(path, phase, words)]
    elif phase != "Active":
        return [invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty")]
    return []


def _cells(namespace: Obj, now: float) -> list[Any]:
    phase = child(namespace, "status").get("phase") or ""
    return [name_of(namespace), phase, age_of(namespace, now)]


TABLE = Table((NAME, Column("Status"), AGE), _cells)

BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_status=validate_status,
    fields={"status.phase": lambda n: str(child(n, "status").get("phase") or "")},
    table=TABLE,
    name_rule="label",
    deletion_returns_object=True,
)
