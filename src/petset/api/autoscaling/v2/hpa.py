"""HorizontalPodAutoscaler: defaults, validation, columns. An object only: petset does not scale."""

from collections.abc import Mapping
from typing import Any

from petset.api import names
from petset.api.autoscaling.v2.metrics import behavior_faults, metric_faults
from petset.api.check import Faults, child, fill, items, member, needed, non_negative, number
from petset.api.core.v1.resources import canonical
from petset.api.errors import FieldError, forbidden_field, invalid
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

_SHOWN = 2
UTILIZATION = 80
"""Percent of the requested processor time that is aimed at where nothing else is said."""

_PERIOD_S = 15
_PODS = {"type": "Pods", "value": 4, "periodSeconds": _PERIOD_S}
_PERCENT = {"type": "Percent", "value": 100, "periodSeconds": _PERIOD_S}
SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def default(scaler: MutableObj) -> None:
    """At least one pod, aimed at a share of processor time; a behaviour is told in full."""
    spec = member(scaler, "spec")
    fill(spec, "minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": UTILIZATION}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    for metric in items(spec, "metrics"):
        for source in SOURCES.values():
            _canonical_target(metric.get(source))
    if isinstance(spec.get("behavior"), dict):
        up, down = (member(spec["behavior"], key) for key in ("scaleUp", "scaleDown"))
        fill(up, "stabilizationWindowSeconds", 0)
        for rules, policies in ((up, [_PODS, _PERCENT]), (down, [_PERCENT])):
            fill(rules, "selectPolicy", "Max")
            if rules.get("policies") is None:
                rules["policies"] = [dict(policy) for policy in policies]


def _canonical_target(source: Any) -> None:
    target = source.get("target") if isinstance(source, dict) else None
    if isinstance(target, dict):
        for key in ("value", "averageValue"):
            if target.get(key) is not None:
                target[key] = canonical(target[key])


def validate(scaler: Obj) -> list[FieldError]:
    """Every fault of the bounds, the target, metrics and behaviour."""
    return list(_faults(child(scaler, "spec"), 1))


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """An autoscaler that scales to zero may go on doing so."""
    least = 0 if child(old, "spec").get("minReplicas") == 0 else 1
    return list(_faults(child(new, "spec"), least))


def _faults(spec: Obj, lowest: int) -> Faults:
    least, most = spec.get("minReplicas"), number(spec.get("maxReplicas"))
    if least is not None and least < lowest:
        words = f"must be greater than or equal to {lowest}"
        yield invalid("spec.minReplicas", least, words)
    if most < 1:
        yield invalid("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        words = "must be greater than or equal to `minReplicas`"
        yield invalid("spec.maxReplicas", most, words)
    target = child(spec, "scaleTargetRef")
    for key in ("kind", "name"):
        yield from needed(f"spec.scaleTargetRef.{key}", target.get(key), names.path_segment)
    metrics = items(spec, "metrics")
    for i, metric in enumerate(metrics):
        yield from metric_faults(f"spec.metrics[{i}]", metric)
    if least == 0 and not any(m.get("type") in ("Object", "External") for m in metrics):
        words = (
            "must specify at least one Object or External metric to support scaling to zero "
            "replicas"
        )
        yield forbidden_field("spec.metrics", words)
    yield from behavior_faults("spec.behavior", child(spec, "behavior"))


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Counts are not negative."""
    del old
    status = child(new, "status")
    keys = ("currentReplicas", "desiredReplicas")
    return [fault for key in keys for fault in non_negative(f"status.{key}", status.get(key))]


def _metric(metric: Obj, current: Obj) -> str:
    """What is aimed at, and what is seen."""
    kind = metric.get("type") or ""
    if kind not in SOURCES:
        return "<unknown type>"
    want = child(metric, SOURCES[kind])
    seen, target = child(current, SOURCES[kind], "current"), child(want, "target")
    average = target.get("averageValue")
    if kind in ("Resource", "ContainerResource"):
        shown = (
            _amounts(seen, target, "averageValue") if average is not None else _share(seen, target)
        )
        return f"{want.get('name') or ''}: {shown}"
    if average is None:
        return _amounts(seen, target, "value")
    return _amounts(seen, target, "averageValue") + (" (avg)" if kind != "Pods" else "")


def _amounts(seen: Obj, target: Obj, key: str) -> str:
    return f"{seen.get(key) or '<unknown>'}/{target.get(key) or '0'}"


def _share(seen: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    now, aim = seen.get("averageUtilization"), target.get("averageUtilization")
    return f"{'<unknown>' if now is None else f'{now}%'}/{'<auto>' if aim is None else f'{aim}%'}"


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


def prepare_create(scaler: MutableObj) -> None:
    """A new one has decided nothing."""
    scaler["status"] = {"desiredReplicas": 0}


BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    table=TABLE,
)
