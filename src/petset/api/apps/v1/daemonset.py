"""DaemonSet: defaults, validation, columns."""

from typing import Any

from petset.api import selectors
from petset.api.apps.v1.deployment import rolling_faults
from petset.api.apps.v1.replicaset import frozen_selector
from petset.api.check import Faults, child, fill, member, non_negative, number
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.podtemplate import (
    CONTAINERS,
    IMAGES,
    SELECTOR,
    container_cells,
    default_in,
    endless_faults,
    selector_cell,
    selector_faults,
    template_faults,
    warnings_of,
)
from petset.api.table import AGE, NAME, age_of

_COUNTS = {
    "Desired": "desiredNumberScheduled",
    "Current": "currentNumberScheduled",
    "Ready": "numberReady",
    "Up-to-date": "updatedNumberScheduled",
    "Available": "numberAvailable",
}


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
    """The counts that the status always shows."""
    daemonset["status"] = {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }


def validate(daemonset: Obj) -> list[FieldError]:
    """Every fault of a daemon set."""
    spec = child(daemonset, "spec")
    template = child(spec, "template")
    return [
        *_spec_faults(spec),
        *selector_faults(spec, "daemonset"),
        *template_faults("spec.template", template),
        *endless_faults("spec.template", template, "DaemonSet"),
    ]


def _spec_faults(spec: Obj) -> Faults:
    for key in ("minReadySeconds", "revisionHistoryLimit"):
        yield from non_negative(f"spec.{key}", spec.get(key))
    strategy = child(spec, "updateStrategy")
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in ("OnDelete", "RollingUpdate"):
        words = "unsupported type, supported values: RollingUpdate, OnDelete"
        yield invalid("spec.updateStrategy.type", kind, words)
    elif kind == "RollingUpdate":
        if rolling is None:
            yield required("spec.updateStrategy.rollingUpdate")
        else:
            yield from rolling_faults("spec.updateStrategy.rollingUpdate", rolling)


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Counts are not negative."""
    del old
    faults: list[FieldError] = []
    for key in (*_COUNTS.values(), "numberMisscheduled", "numberUnavailable"):
        faults += non_negative(f"status.{key}", child(new, "status").get(key))
    return faults


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
    validate=validate,
    validate_update=frozen_selector,
    validate_status=validate_status,
    warnings=warnings_of,
    table=TABLE,
    generation=True,
)
