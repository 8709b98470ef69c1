"""PriorityClass: defaults, validation, update rules, columns."""

from typing import Any

from petset.api.check import fill, number, one_of, unchanged
from petset.api.errors import FieldError, forbidden_field
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

HIGHEST = 1_000_000_000
"""The highest value that users may give; system classes are above."""

SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
POLICIES = ("PreemptLowerPriority", "Never")


def default(priority: MutableObj) -> None:
    """Pods of a class preempt others unless it says they never do."""
    fill(priority, "preemptionPolicy", "PreemptLowerPriority")


def validate(priority: Obj) -> list[FieldError]:
    """Every fault of a class: reserved names and values."""
    name, value = name_of(priority), number(priority.get("value"))
    faults: list[FieldError] = []
    if name.startswith("system-"):
        if why := _not_known(name, value, bool(priority.get("globalDefault"))):
            words = "priority class names with 'system-' prefix are reserved for system use only"
            faults.append(forbidden_field("metadata.name", f"{words}. error: {why}"))
    elif value > HIGHEST:
        words = f"maximum allowed value of a user defined priority is {HIGHEST}"
        faults.append(forbidden_field("value", words))
    faults += one_of("preemptionPolicy", priority.get("preemptionPolicy"), POLICIES)
    return faults


def _not_known(name: str, value: int, everybodys: bool) -> str:
    """Why this is none of the classes that every cluster has; "" if it is one."""
    if name not in SYSTEM:
        return f"{name} is not a known system priority class"
    if value != SYSTEM[name]:
        return f"value of {name} PriorityClass must be {SYSTEM[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if everybodys else ""


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The value and the preemption policy stay."""
    faults = []
    if number(new.get("value")) != number(old.get("value")):
        faults.append(forbidden_field("value", "may not be changed in an update."))
    policy = "preemptionPolicy"
    return [*faults, *unchanged(policy, new.get(policy), old.get(policy))]


def _cells(priority: Obj, now: float) -> list[Any]:
    return [
        name_of(priority),
        number(priority.get("value")),
        bool(priority.get("globalDefault")),
        age_of(priority, now),
        priority.get("preemptionPolicy") or "",
    ]


TABLE = Table(
    (
        NAME,
        Column("Value", type="integer"),
        Column("Global-Default", type="boolean"),
        AGE,
        Column("PreemptionPolicy"),
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    table=TABLE,
    generation=True,
)
