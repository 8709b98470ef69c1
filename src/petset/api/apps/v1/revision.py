"""ControllerRevision: an immutable snapshot of a workload's template (workload semantics, 1.7)."""

from typing import Any

from petset.api.check import NOT_NEGATIVE, number, semantically, unchanged
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, controller_of, name_of
from petset.api.table import AGE, NAME, age_of


def validate(revision: Obj) -> list[FieldError]:
    """Data must be there, and the number not negative."""
    faults = []
    if revision.get("data") is None:
        faults.append(required("data", "data is mandatory"))
    if number(revision.get("revision")) < 0:
        faults.append(invalid("revision", revision["revision"], NOT_NEGATIVE))
    return faults


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The data never changes."""
    if semantically(new.get("data")) == semantically(old.get("data")):
        return []
    return list(unchanged("data", new.get("data"), old.get("data")))


def controller_cell(obj: Obj) -> str:
    """The controller as `kind.group/name`, `<none>` without one."""
    owner = controller_of(obj)
    if owner is None:
        return "<none>"
    group = (owner.get("apiVersion") or "").rpartition("/")[0]
    kind = (owner.get("kind") or "").lower()
    return f"{kind}.{group}/{owner.get('name')}" if group else f"{kind}/{owner.get('name')}"


def _cells(revision: Obj, now: float) -> list[Any]:
    return [
        name_of(revision),
        controller_cell(revision),
        number(revision.get("revision")),
        age_of(revision, now),
    ]


TABLE = Table((NAME, Column("Controller"), Column("Revision"), AGE), _cells)

BEHAVIOUR = Behaviour(validate=validate, validate_update=validate_update, table=TABLE)
