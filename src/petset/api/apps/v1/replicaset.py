"""ReplicaSet: defaults, validation, columns."""

from typing import Any

from petset.api.check import child, fill, member, non_negative, number, semantically
from petset.api.errors import FieldError, invalid
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.podtemplate import (
    CONTAINERS,
    IMAGES,
    SELECTOR,
    container_cells,
    default_in,
    part_faults,
    selected_faults,
    selector_cell,
    update_warnings_of,
    warnings_of,
)
from petset.api.table import AGE, NAME, age_of

_COUNTS = (
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
)


def default(replicaset: MutableObj) -> None:
    """One replica, and the template's defaults."""
    spec = member(replicaset, "spec")
    fill(spec, "replicas", 1)
    default_in(spec)


def prepare_create(replicaset: MutableObj) -> None:
    """The count that the status always shows."""
    replicaset["status"] = {"replicas": 0}


def validate(replicaset: Obj) -> list[FieldError]:
    """Every fault of a replica set."""
    spec = child(replicaset, "spec")
    return [
        *non_negative("spec.replicas", spec.get("replicas")),
        *non_negative("spec.minReadySeconds", spec.get("minReadySeconds")),
        *selected_faults(spec, "deployment", "ReplicaSet"),
    ]


def frozen_selector(new: Obj, old: Obj) -> list[FieldError]:
    """The selector of a workload never changes."""
    after, before = (child(obj, "spec").get("selector") for obj in (new, old))
    if semantically(after) == semantically(before):
        return []
    return [invalid("spec.selector", after, "field is immutable")]


def _cells(replicaset: Obj, now: float) -> list[Any]:
    spec, status = child(replicaset, "spec"), child(replicaset, "status")
    return [
        name_of(replicaset),
        number(spec.get("replicas")),
        number(status.get("replicas")),
        number(status.get("readyReplicas")),
        age_of(replicaset, now),
        *container_cells(child(spec, "template")),
        selector_cell(replicaset),
    ]


TABLE = Table(
    (
        NAME,
        Column("Desired", type="integer"),
        Column("Current", type="integer"),
        Column("Ready", type="integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=frozen_selector,
    validate_status=lambda new, old: list(part_faults(new, _COUNTS)),
    warnings=warnings_of,
    update_warnings=update_warnings_of,
    fields={"status.replicas": lambda rs: str(number(child(rs, "status").get("replicas")))},
    table=TABLE,
    generation=True,
)
