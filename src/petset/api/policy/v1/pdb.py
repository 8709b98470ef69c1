"""PodDisruptionBudget: validation, columns."""

from typing import Any

from petset.api import selectors
from petset.api.check import (
    Faults,
    child,
    int_or_percent,
    non_negative,
    not_over_hundred_percent,
    number,
    one_of,
)
from petset.api.errors import FieldError, invalid
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def prepare_create(budget: MutableObj) -> None:
    """The counts that the status always shows."""
    budget["status"] = dict.fromkeys(_COUNTS, 0)


def validate(budget: Obj) -> list[FieldError]:
    """Every fault of a budget."""
    return list(_faults(child(budget, "spec")))


def _faults(spec: Obj) -> Faults:
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        words = "minAvailable and maxUnavailable cannot be both set"
        yield invalid("spec", dict(spec), words)
    for key, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            yield from int_or_percent(f"spec.{key}", value)
            yield from not_over_hundred_percent(f"spec.{key}", value)
    if spec.get("selector") is not None:
        yield from selectors.validate(child(spec, "selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    allowed = ("AlwaysAllow", "IfHealthyBudget")
    yield from one_of("spec.unhealthyPodEvictionPolicy", policy, allowed)


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Counts are not negative."""
    del old
    faults: list[FieldError] = []
    for key in _COUNTS:
        faults += non_negative(f"status.{key}", child(new, "status").get(key))
    return faults


def _amount(value: object) -> str:
    return "N/A" if value is None else str(value)


def _cells(budget: Obj, now: float) -> list[Any]:
    spec, status = child(budget, "spec"), child(budget, "status")
    return [
        name_of(budget),
        _amount(spec.get("minAvailable")),
        _amount(spec.get("maxUnavailable")),
        number(status.get("disruptionsAllowed")),
        age_of(budget, now),
    ]


TABLE = Table(
    (
        NAME,
        Column("Min Available"),
        Column("Max Unavailable"),
        Column("Allowed Disruptions", type="integer"),
        AGE,
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    prepare_create=prepare_create,
    validate=validate,
    validate_status=validate_status,
    table=TABLE,
    generation=True,
    unconditional_update=False,
)
