"""DaemonSet: defaults, validation, columns."""

from typing import Any

from petset.api import selectors
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
    number_of,
    semantically,
)
from petset.api.errors import FieldError, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.podtemplate import (
    CONTAINERS,
    IMAGES,
    SELECTOR,
    collision_faults,
    container_cells,
    default_in,
    endless_faults,
    match_faults,
    selector_cell,
    template_faults,
    template_warnings,
    update_warnings_of,
)
from petset.api.table import AGE, NAME, age_of

_COUNTS = {
    "Desired": "desiredNumberScheduled",
    "Current": "currentNumberScheduled",
    "Ready": "numberReady",
    "Up-to-date": "updatedNumberScheduled",
    "Available": "numberAvailable",
}
_STATUS_COUNTS = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)
STRATEGIES = ("RollingUpdate", "OnDelete")
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""The annotation that has been a field: how often the template was changed."""


def default(daemonset: MutableObj) -> None:
    """Defaults of a daemon set and its template."""
    spec = member(daemonset, "spec")
    fill(spec, "revisionHistoryLimit", 10)
    strategy = member(spec, "updateStrategy")
    fill(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = member(strategy, "rollingUpdate")
        fill(rolling, "maxUnavailable", 1)
        fill(rolling, "maxSurge", 0)
    default_in(spec)


def prepare_create(daemonset: MutableObj) -> None:
    """The counts that the status always shows, and the first generation of the template."""
    daemonset["status"] = {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }
    _count_template(daemonset, max(1, _generation_of(daemonset)))


def prepare_update(new: MutableObj, old: Obj) -> None:
    """The template's generation goes with the template; a client cannot set it."""
    count = _generation_of(old)
    after, before = (semantically(child(obj, "spec", "template")) for obj in (new, old))
    _count_template(new, count + (after != before))


def _generation_of(daemonset: Obj) -> int:
    text = annotations_of(daemonset).get(TEMPLATE_GENERATION) or ""
    count = number_of(text) if text.isascii() and text.isdigit() else 0
    return count if count < 2**63 else 0


def _count_template(daemonset: MutableObj, count: int) -> None:
    annotations = {**annotations_of(daemonset), TEMPLATE_GENERATION: str(count)}
    daemonset["metadata"] = {**child(daemonset, "metadata"), "annotations": annotations}


def validate(daemonset: Obj) -> list[FieldError]:
    """Every fault of a daemon set."""
    return list(_spec_faults(child(daemonset, "spec")))


def _spec_faults(spec: Obj) -> Faults:
    selector, template = spec.get("selector"), child(spec, "template")
    faults = selectors.validate(child(spec, "selector"), "spec.selector")
    yield from faults
    if not faults:
        yield from match_faults("spec", spec)
    if selector is not None and not any(selector.values()):
        yield invalid("spec.selector", selector, "empty selector is invalid for daemonset")
    yield from template_faults("spec.template", template)
    yield from endless_faults("spec.template", template, "DaemonSet")
    yield from non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from _strategy_faults("spec.updateStrategy", child(spec, "updateStrategy"))
    yield from non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))


def _strategy_faults(path: str, strategy: Obj) -> Faults:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in STRATEGIES:
        shown = {"Type": kind or "", "RollingUpdate": rolling}
        yield not_supported(path, shown, STRATEGIES)
    elif kind == "RollingUpdate" and rolling is None:
        yield required(f"{path}.rollingUpdate")
    elif kind == "RollingUpdate":
        yield from _rolling_faults(f"{path}.rollingUpdate", child(strategy, "rollingUpdate"))


def _rolling_faults(path: str, rolling: Obj) -> Faults:
    """Either pods may be missing or there may be more for a while: one of both."""
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    both = ((f"{path}.maxUnavailable", unavailable), (f"{path}.maxSurge", surge))
    for where, value in both:
        yield from int_or_percent(where, value)
    for where, value in both:
        yield from not_over_hundred_percent(where, value)
    if not is_zero(unavailable) and not is_zero(surge):
        words = "may not be set when maxUnavailable is non-zero"
        yield invalid(f"{path}.maxSurge", surge, words)
    elif is_zero(unavailable) and is_zero(surge):
        yield required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Counts are not negative; collisions never go down."""
    after, before = child(new, "status"), child(old, "status")
    faults: list[FieldError] = []
    for key in _STATUS_COUNTS:
        faults += non_negative(f"status.{key}", after.get(key))
    return [*faults, *collision_faults(after, before)]


def _cells(daemonset: Obj, now: float) -> list[Any]:
    spec, status = child(daemonset, "spec"), child(daemonset, "status")
    nodes = child(spec, "template", "spec", "nodeSelector")
    return [
        name_of(daemonset),
        *(number(status.get(key)) for key in _COUNTS.values()),
        str(selectors.from_labels(nodes)) or "<none>",
        age_of(daemonset, now),
        *container_cells(child(spec, "template")),
        selector_cell(daemonset),
    ]


TABLE = Table(
    (
        NAME,
        *(Column(name, type="integer") for name in _COUNTS),
        Column("Node Selector"),
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
    prepare_update=prepare_update,
    validate=validate,
    validate_update=frozen_selector,
    validate_status=validate_status,
    warnings=template_warnings,
    update_warnings=update_warnings_of,
    table=TABLE,
    generation=True,
)
