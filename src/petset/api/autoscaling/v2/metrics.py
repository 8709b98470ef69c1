"""Metrics and scaling rules of a HorizontalPodAutoscaler: validation."""

from collections.abc import Callable, Mapping
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, items, needed, number, worded
from petset.api.core.v1.resources import container_name_faults, parsed
from petset.api.errors import forbidden_field, invalid, not_supported, required
from petset.api.meta import Obj

TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
TARGETS = ("Utilization", "Value", "AverageValue")
POLICIES = ("Percent", "Pods")
SELECT = ("Disabled", "Max", "Min")
PERIOD_MAX_S = 1800
WINDOW_MAX_S = 3600
_BOTH = "may not set both a target raw value and a target utilization"
_NEITHER = "must set either a target raw value or a target utilization"


def metric_faults(path: str, metric: Obj) -> Faults:
    """Every fault of a metric: one source, the one that its type names."""
    kind = metric.get("type") or ""
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    if kind not in TYPES:
        yield not_supported(f"{path}.type", kind, TYPES)
    given = [key for key in _SOURCES if metric.get(key) is not None]
    if given:
        yield from _SOURCES[given[0]](f"{path}.{given[0]}", child(metric, given[0]))
    expected = kind[:1].lower() + kind[1:]
    if kind not in TYPES:
        yield not_supported(f"{path}.type", kind, TYPES)
    elif expected not in given:
        words = "must populate information for the given metric source"
        yield required(f"{path}.{expected}", words)
    if len(given) != 1:
        for key in given:
            if key != expected:
                words = "must populate the given metric source only"
                yield forbidden_field(f"{path}.{key}", words)


def _object(path: str, source: Obj) -> Faults:
    described = child(source, "describedObject")
    for key in ("kind", "name"):
        where = f"{path}.describedObject.{key}"
        yield from needed(where, described.get(key), names.path_segment)
    yield from _identifier_faults(f"{path}.metric", child(source, "metric"))
    target = child(source, "target")
    yield from _target_faults(f"{path}.target", target)
    if target.get("value") is None and target.get("averageValue") is None:
        words = "must set either a target value or averageValue"
        yield required(f"{path}.target.averageValue", words)


def _external(path: str, source: Obj) -> Faults:
    yield from _identifier_faults(f"{path}.metric", child(source, "metric"))
    target = child(source, "target")
    yield from _target_faults(f"{path}.target", target)
    value, average = target.get("value"), target.get("averageValue")
    if value is None and average is None:
        words = "must set either a target value for metric or a per-pod target"
        yield required(f"{path}.target.averageValue", words)
    elif value is not None and average is not None:
        words = "may not set both a target value for metric and a per-pod target"
        yield forbidden_field(f"{path}.target.value", words)


def _pods(path: str, source: Obj) -> Faults:
    yield from _identifier_faults(f"{path}.metric", child(source, "metric"))
    target = child(source, "target")
    yield from _target_faults(f"{path}.target", target)
    if target.get("averageValue") is None:
        words = "must specify a positive target averageValue"
        yield required(f"{path}.target.averageValue", words)


def _resource(path: str, source: Obj) -> Faults:
    if not source.get("name"):
        yield required(f"{path}.name", "must specify a resource name")
    yield from _share_faults(f"{path}.target", child(source, "target"))


def _container_resource(path: str, source: Obj) -> Faults:
    name, container = str(source.get("name") or ""), str(source.get("container") or "")
    if not name:
        yield required(f"{path}.name", "must specify a resource name")
    else:
        yield from container_name_faults(f"{path}.name", name)
    if not container:
        yield required(f"{path}.container", "must specify a container")
    else:
        yield from worded(f"{path}.container", container, names.dns_label(container))
    yield from _share_faults(f"{path}.target", child(source, "target"))


def _share_faults(path: str, target: Obj) -> Faults:
    """A target that is a utilization or a raw value."""
    yield from _target_faults(path, target)
    share, average = target.get("averageUtilization"), target.get("averageValue")
    if share is None and average is None:
        yield required(f"{path}.averageUtilization", _NEITHER)
    elif share is not None and average is not None:
        yield forbidden_field(f"{path}.averageValue", _BOTH)


def _target_faults(path: str, target: Obj) -> Faults:
    kind = target.get("type") or ""
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in TARGETS:
        yield invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for key in ("value", "averageValue"):
        amount = target.get(key)
        value = parsed(amount) if amount is not None else None
        if value is not None and value.nano <= 0:
            yield invalid(f"{path}.{key}", amount, "must be positive")
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        yield invalid(f"{path}.averageUtilization", share, "must be greater than 0")


def _identifier_faults(path: str, metric: Obj) -> Faults:
    name = metric.get("name")
    if not name:
        yield required(f"{path}.name", "must specify a metric name")
    else:
        yield from worded(f"{path}.name", name, names.path_segment(str(name)))


_SOURCES: Mapping[str, Callable[[str, Obj], Faults]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def behavior_faults(path: str, behavior: Obj) -> Faults:
    """Every fault of the rules for going up and down."""
    for key in ("scaleUp", "scaleDown"):
        if behavior.get(key) is not None:
            yield from _rules_faults(f"{path}.{key}", child(behavior, key))


def _rules_faults(path: str, rules: Obj) -> Faults:
    window, where = rules.get("stabilizationWindowSeconds"), f"{path}.stabilizationWindowSeconds"
    if window is not None and window < 0:
        yield invalid(where, window, "must be greater than or equal to zero")
    if window is not None and window > WINDOW_MAX_S:
        yield invalid(where, window, f"must be less than or equal to {WINDOW_MAX_S}")
    select = rules.get("selectPolicy")
    if select is not None and select not in SELECT:
        yield not_supported(f"{path}.selectPolicy", select, SELECT)
    policies = items(rules, "policies")
    if not policies:
        yield required(f"{path}.policies", "must specify at least one Policy")
    for i, policy in enumerate(policies):
        yield from _policy_faults(f"{path}.policies[{i}]", policy)


def _policy_faults(path: str, policy: Mapping[str, Any]) -> Faults:
    kind = policy.get("type") or ""
    if kind not in POLICIES:
        yield not_supported(f"{path}.type", kind, POLICIES)
    for key in ("value", "periodSeconds"):
        if number(policy.get(key)) <= 0:
            yield invalid(f"{path}.{key}", number(policy.get(key)), "must be greater than zero")
    period = number(policy.get("periodSeconds"))
    if period > PERIOD_MAX_S:
        words = f"must be less than or equal to {PERIOD_MAX_S}"
        yield invalid(f"{path}.periodSeconds", period, words)
