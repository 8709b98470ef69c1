"""Lease: validation, columns."""

from typing import Any

from petset.api import names
from petset.api.check import Faults, child, non_negative, positive, worded
from petset.api.errors import FieldError, forbidden_field, not_supported
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, name_of
from petset.api.table import AGE, NAME, age_of

STRATEGIES = ("OldestEmulationVersion",)


def validate(lease: Obj) -> list[FieldError]:
    """Every fault of a lease."""
    return list(_faults(child(lease, "spec")))


def _faults(spec: Obj) -> Faults:
    yield from positive("spec.leaseDurationSeconds", spec.get("leaseDurationSeconds"))
    yield from non_negative("spec.leaseTransitions", spec.get("leaseTransitions"))
    if spec.get("strategy") is not None:
        yield from _strategy_faults(str(spec["strategy"]))
    if spec.get("preferredHolder") and not spec.get("strategy"):
        words = "may only be specified if `strategy` is defined"
        yield forbidden_field("spec.preferredHolder", words)


def _strategy_faults(strategy: str) -> Faults:
    path = "spec.strategy.strategy"  # upstream's spelling
    if "/" in strategy:
        yield from worded(path, strategy, names.qualified_name(strategy))
    elif strategy not in STRATEGIES:
        yield not_supported(path, strategy, STRATEGIES)


def _cells(lease: Obj, now: float) -> list[Any]:
    holder = child(lease, "spec").get("holderIdentity") or ""
    return [name_of(lease), holder, age_of(lease, now)]


TABLE = Table((NAME, Column("Holder"), AGE), _cells)

BEHAVIOUR = Behaviour(
    validate=validate, table=TABLE, create_on_update=True, unconditional_update=False
)
