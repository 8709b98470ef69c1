"""Deployment: defaults, validation, columns (workload semantics, 3.1)."""

from typing import Any

from petset.api.apps.v1.replicaset import frozen_selector
from petset.api.check import (
    Faults,
    child,
    fill,
    int_or_percent,
    is_zero,
    member,
    non_negative,
    not_over_hundred_percent,
    number,
)
from petset.api.errors import FieldError, forbidden_field, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.podtemplate import (
    CONTAINERS,
    IMAGES,
    SELECTOR,
    collision_faults,
    container_cells,
    default_in,
    part_faults,
    selected_faults,
    selector_cell,
    update_warnings_of,
    warnings_of,
)
from petset.api.table import AGE, NAME, age_of

STRATEGIES = ("Recreate", "RollingUpdate")


def default(deployment: MutableObj) -> None:
    """Defaults of a deployment and its template."""
    spec = member(deployment, "spec")
    fill(spec, "replicas", 1)
    fill(spec, "revisionHistoryLimit", 10)
    fill(spec, "progressDeadlineSeconds", 600)
    strategy = member(spec, "strategy")
    fill(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = member(strategy, "rollingUpdate")
        fill(rolling, "maxUnavailable", "25%")
        fill(rolling, "maxSurge", "25%")
    default_in(spec)


def validate(deployment: Obj) -> list[FieldError]:
    """Every fault of a deployment."""
    spec = child(deployment, "spec")
    return [
        *non_negative("spec.replicas", spec.get("replicas")),
        *selected_faults(spec, "deployment", "ReplicaSet"),
        *_strategy_faults("spec.strategy", child(spec, "strategy")),
        *_spec_faults(spec),
    ]


def _spec_faults(spec: Obj) -> Faults:
    for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from non_negative(f"spec.{key}", spec.get(key))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= number(spec.get("minReadySeconds")):
        words = "must be greater than minReadySeconds"
        yield invalid("spec.progressDeadlineSeconds", deadline, words)


def _strategy_faults(path: str, strategy: Obj) -> Faults:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in STRATEGIES:
        shown = {"Type": kind or "", "RollingUpdate": rolling}
        yield not_supported(path, shown, STRATEGIES)
    elif kind == "Recreate" and rolling is not None:
        words = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_field(f"{path}.rollingUpdate", words)
    elif kind == "RollingUpdate" and rolling is None:
        words = "this should be defaulted and never be nil"
        yield required(f"{path}.rollingUpdate", words)
    elif kind == "RollingUpdate":
        yield from _rolling_faults(f"{path}.rollingUpdate", child(strategy, "rollingUpdate"))


def _rolling_faults(path: str, rolling: Obj) -> Faults:
    """How many pods may be missing and how many too many: not both none."""
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    yield from int_or_percent(f"{path}.maxUnavailable", unavailable)
    yield from int_or_percent(f"{path}.maxSurge", surge)
    if is_zero(unavailable) and is_zero(surge):
        words = "may not be 0 when `maxSurge` is 0"
        yield invalid(f"{path}.maxUnavailable", unavailable, words)
    yield from not_over_hundred_percent(f"{path}.maxUnavailable", unavailable)


_COUNTS = ("updatedReplicas", "readyReplicas", "availableReplicas")


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Counts fit together; collisions never go down."""
    faults = list(part_faults(new, _COUNTS))
    after, before = child(new, "status"), child(old, "status")
    faults += non_negative("status.unavailableReplicas", after.get("unavailableReplicas"))
    return [*faults, *collision_faults(after, before)]


def _cells(deployment: Obj, now: float) -> list[Any]:
    spec, status = child(deployment, "spec"), child(deployment, "status")
    return [
        name_of(deployment),
        f"{number(status.get('readyReplicas'))}/{number(spec.get('replicas'))}",
        number(status.get("updatedReplicas")),
        number(status.get("availableReplicas")),
        age_of(deployment, now),
        *container_cells(child(spec, "template")),
        selector_cell(deployment),
    ]


TABLE = Table(
    (
        NAME,
        Column("Ready", description="Pods that are ready, of those wanted."),
        Column("Up-to-date"),
        Column("Available"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=frozen_selector,
    validate_status=validate_status,
    warnings=warnings_of,
    update_warnings=update_warnings_of,
    table=TABLE,
    generation=True,
)
