"""HorizontalPodAutoscaler: defaults, columns."""

from typing import Any

from petset.api.check import Faults, child, fill, items, member, number, positive
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

_SHOWN = 2


def default(scaler: MutableObj) -> None:
    """At least one pod."""
    fill(member(scaler, "spec"), "minReplicas", 1)


def validate(scaler: Obj) -> list[FieldError]:
    """Every fault of the bounds and the target."""
    return list(_faults(child(scaler, "spec")))


def _faults(spec: Obj) -> Faults:
    least, most = number(spec.get("minReplicas"), 1), number(spec.get("maxReplicas"))
    yield from positive("spec.minReplicas", spec.get("minReplicas"))
    if most < 1:
        yield invalid("spec.maxReplicas", most, "must be greater than 0")
    if most < least:
        words = "must be greater than or equal to `minReplicas`"
        yield invalid("spec.maxReplicas", most, words)
    target = child(spec, "scaleTargetRef")
    for key in ("kind", "name"):
        if not target.get(key):
            yield required(f"spec.scaleTargetRef.{key}")


def _value(amount: Obj) -> str:
    if amount.get("averageUtilization") is not None:
        return f"{amount['averageUtilization']}%"
    value = amount.get("averageValue") or amount.get("value")
    if value is None:
        return "<unknown>"
    return f"{value} (avg)" if amount.get("averageValue") else str(value)


def _metric(metric: Obj, current: Obj) -> str:
    kind = {
        "Resource": "resource",
        "ContainerResource": "containerResource",
        "Pods": "pods",
        "Object": "object",
        "External": "external",
    }.get(metric.get("type") or "")
    if kind is None:
        return "<unknown type>"
    want, have = child(metric, kind), child(current, kind)
    text = f"{_value(child(have, 'current'))}/{_value(child(want, 'target'))}"
    name = want.get("name")
    return f"{name}: {text}" if name and "esource" in kind else text


def _targets(scaler: Obj) -> str:
    metrics = items(child(scaler, "spec"), "metrics")
    current = items(child(scaler, "status"), "currentMetrics")
    texts = [_metric(m, current[i] if i < len(current) else {}) for i, m in enumerate(metrics)]
    more = len(texts) - _SHOWN
    joined = ", ".join(texts[:_SHOWN]) or "<none>"
    return f"{joined} + {more} more..." if more > 0 else joined


def _cells(scaler: Obj, now: float) -> list[Any]:
    spec, status = child(scaler, "spec"), child(scaler, "status")
    target, least = child(spec, "scaleTargetRef"), spec.get("minReplicas")
    return [
        name_of(scaler),
        f"{target.get('kind')}/{target.get('name')}",
        _targets(scaler),
        "<unset>" if least is None else str(least),
        number(spec.get("maxReplicas")),
        number(status.get("currentReplicas")),
        age_of(scaler, now),
    ]


TABLE = Table(
    (
        NAME,
        Column("Reference"),
        Column("Targets"),
        Column("MinPods"),
        Column("MaxPods"),
        Column("Replicas"),
        AGE,
    ),
    _cells,
)

BEHAVIOUR = Behaviour(default=default, validate=validate, table=TABLE)
