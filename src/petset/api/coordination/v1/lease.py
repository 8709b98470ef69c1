"""Lease: validation, columns."""

from typing import Any

from petset.api.check import Faults, child, non_negative, positive
from petset.api.errors import FieldError, invalid
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, name_of
from petset.api.table import AGE, NAME, age_of


def validate(lease: Obj) -> list[FieldError]:
    """Every fault of a lease."""
    return list(_faults(child(lease, "spec")))


def _faults(spec: Obj) -> Faults:
    yield from positive("spec.leaseDurationSeconds", spec.get("leaseDurationSeconds"))
    yield from non_negative("spec.leaseTransitions", spec.get("leaseTransitions"))
    if spec.get("preferredHolder") and not spec.get("strategy"):
        holder = spec["preferredHolder"]
        yield invalid("spec.preferredHolder", holder, "strategy must be set too")


def _cells(lease: Obj, now: float) -> list[Any]:
    holder = child(lease, "spec").get("holderIdentity") or ""
    return [name_of(lease), holder, age_of(lease, now)]


TABLE = Table((NAME, Column("Holder"), AGE), _cells)

BEHAVIOUR = Behaviour(
    validate=validate, table=TABLE, create_on_update=True, unconditional_update=False
)
