"""PodDisruptionBudget: validation, columns."""

import re
from typing import Any

from petset.api import names, selectors
from petset.api.check import (
    Faults,
    child,
    int_or_percent,
    items,
    non_negative,
    not_over_hundred_percent,
    number,
    one_of,
    text,
    worded,
)
from petset.api.errors import (
    FieldError,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
)
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_STATES = ("False", "True", "Unknown")
REASON_MAX = 1024
MESSAGE_MAX = 32 * 1024
_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")


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
    """Counts are not negative, conditions are whole."""
    del old
    return list(_status_faults(child(new, "status")))


def _status_faults(status: Obj) -> Faults:
    seen: set[str] = set()
    for i, condition in enumerate(items(status, "conditions")):
        where, kind = f"status.conditions[{i}]", text(condition.get("type"))
        yield from _condition_faults(where, condition)
        if kind in seen:
            yield duplicate(f"{where}.type", kind)
        seen.add(kind)
    for key in _COUNTS:
        yield from non_negative(f"status.{key}", status.get(key))


def _condition_faults(path: str, condition: Obj) -> Faults:
    """A condition of the general form (`metav1.Condition`)."""
    kind, state = text(condition.get("type")), condition.get("status") or ""
    if not kind:
        yield required(f"{path}.type")
    yield from worded(f"{path}.type", kind, names.qualified_name(kind) if kind else [])
    if state not in _STATES:
        yield not_supported(f"{path}.status", state, _STATES)
    yield from non_negative(f"{path}.observedGeneration", condition.get("observedGeneration"))
    if not condition.get("lastTransitionTime"):
        yield required(f"{path}.lastTransitionTime")
    reason = text(condition.get("reason"))
    if not reason:
        yield required(f"{path}.reason")
    elif len(reason) > REASON_MAX:
        yield too_long(f"{path}.reason", REASON_MAX)
    elif not _REASON.fullmatch(reason):
        words = (
            "a condition reason must start with alphabetic character, optionally followed by a "
            "string of alphanumeric characters or '_,:', and must end with an alphanumeric "
            "character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or "
            "'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
            f"'{_REASON.pattern}')"
        )
        yield invalid(f"{path}.reason", reason, words)
    if len(text(condition.get("message"))) > MESSAGE_MAX:
        yield too_long(f"{path}.message", MESSAGE_MAX)


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
