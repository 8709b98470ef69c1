"""ReplicaSet: defaults, validation, columns."""

from petset.api.check import child, fill, member, non_negative, number, semantically
from petset.api.errors import FieldError, invalid
from petset.api.kind import Behaviour
from petset.api.meta import MutableObj, Obj
from petset.api.podtemplate import (
    default_in,
    part_faults,
    replicas_table,
    selected_faults,
    selector_cell,
    update_warnings_of,
    warnings_of,
)

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


BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=frozen_selector,
    validate_status=lambda new, old: list(part_faults(new, _COUNTS)),
    warnings=warnings_of,
    update_warnings=update_warnings_of,
    fields={"status.replicas": lambda rs: str(number(child(rs, "status").get("replicas")))},
    table=replicas_table(selector_cell),
    generation=True,
)
