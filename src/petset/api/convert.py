"""Conversions between served versions and the one in which objects are stored.

autoscaling/v1 HorizontalPodAutoscalers are stored as v2, events.k8s.io/v1 Events as core Events.
What the other form has no field for is kept: HPA v1 carries it in annotations, as upstream does.

Invariant: conversions are pure and round trips lose nothing that the stored form has.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from petset.api.meta import MutableObj, Obj
from petset.api.resource import Resource

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"

Convert = Callable[[Obj], MutableObj]


def to_storage(resource: Resource, obj: Obj) -> Obj:
    """`obj`, of kind `resource`, in the form in which it is stored."""
    convert = _TO_STORAGE.get(resource.api_version + "/" + resource.kind)
    return obj if convert is None else convert(obj)


def from_storage(resource: Resource, obj: Obj) -> Obj:
    """A stored object in the form that `resource` serves."""
    convert = _FROM_STORAGE.get(resource.api_version + "/" + resource.kind)
    return obj if convert is None else convert(obj)


def _present(**fields: Any) -> MutableObj:
    return {k: v for k, v in fields.items() if v is not None}


# -- HorizontalPodAutoscaler ----------------------------------------------------------------------


def _hpa_to_v2(obj: Obj) -> MutableObj:
    annotations = dict((obj.get("metadata") or {}).get("annotations") or {})
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    metrics = _unpack(annotations.pop(METRICS, None), list) or []
    target = spec.get("targetCPUUtilizationPercentage")
    if target is not None:
        cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}
        metrics = [{"type": "Resource", "resource": cpu}, *metrics]
    current = _unpack(annotations.pop(CURRENT_METRICS, None), list) or []
    utilization = status.get("currentCPUUtilizationPercentage")
    if utilization is not None:
        seen = {"name": "cpu", "current": {"averageUtilization": utilization}}
        current = [{"type": "Resource", "resource": seen}, *current]
    return _hpa(
        "autoscaling/v2",
        obj,
        annotations,
        _present(
            scaleTargetRef=spec.get("scaleTargetRef"),
            minReplicas=spec.get("minReplicas"),
            maxReplicas=spec.get("maxReplicas"),
            metrics=metrics or None,
            behavior=_unpack(annotations.pop(BEHAVIOR, None), dict),
        ),
        _present(
            **_counts(status),
            currentMetrics=current or None,
            conditions=_unpack(annotations.pop(CONDITIONS, None), list),
        ),
    )


def _hpa_to_v1(obj: Obj) -> MutableObj:
    annotations = dict((obj.get("metadata") or {}).get("annotations") or {})
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    target, metrics = _take_cpu(spec.get("metrics") or (), "target")
    current, currents = _take_cpu(status.get("currentMetrics") or (), "current")
    packed = {
        METRICS: metrics,
        CURRENT_METRICS: currents,
        BEHAVIOR: spec.get("behavior"),
        CONDITIONS: status.get("conditions"),
    }
    for name, value in packed.items():
        if value:
            annotations[name] = orjson.dumps(value).decode()
    return _hpa(
        "autoscaling/v1",
        obj,
        annotations,
        _present(
            scaleTargetRef=spec.get("scaleTargetRef"),
            minReplicas=spec.get("minReplicas"),
            maxReplicas=spec.get("maxReplicas"),
            targetCPUUtilizationPercentage=target,
        ),
        _present(**_counts(status), currentCPUUtilizationPercentage=current),
    )


def _hpa(
    version: str, obj: Obj, annotations: MutableObj, spec: MutableObj, status: MutableObj
) -> MutableObj:
    metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    made = {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": version,
        "metadata": metadata,
        "spec": spec,
    }
    return {**made, "status": status} if "status" in obj else made


def _counts(status: Obj) -> MutableObj:
    names = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
    return {name: status[name] for name in names if name in status}


def _take_cpu(metrics: Any, side: str) -> tuple[int | None, list[Obj]]:
    """The CPU utilization among `metrics` and the rest, which v1 has no field for."""
    rest: list[Obj] = []
    found: int | None = None
    for metric in metrics:
        resource = metric.get("resource") or {}
        value = (resource.get(side) or {}).get("averageUtilization")
        plain = metric.get("type") == "Resource" and resource.get("name") == "cpu"
        if plain and found is None and value is not None and _is_whole(resource[side], side):
            found = value
        else:
            rest.append(metric)
    return found, rest


def _is_whole(amount: Obj, side: str) -> bool:
    """Whether v1's single number says everything that the v2 amount says."""
    expected = {"averageUtilization"} | ({"type"} if side == "target" else set())
    return set(amount) == expected and amount.get("type", "Utilization") == "Utilization"


def _unpack(text: object, kind: type) -> Any:
    """The value in an annotation; None if it is not one of `kind`."""
    if not isinstance(text, str):
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, kind) else None


# -- Event ----------------------------------------------------------------------------------------

_TO_CORE = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_FROM_CORE = {core: new for new, core in _TO_CORE.items()}


def _event_to_core(obj: Obj) -> MutableObj:
    return _renamed(obj, _TO_CORE, "v1")


def _event_from_core(obj: Obj) -> MutableObj:
    return _renamed(obj, _FROM_CORE, "events.k8s.io/v1")


def _renamed(obj: Obj, names: Mapping[str, str], version: str) -> MutableObj:
    made = {names.get(key, key): value for key, value in obj.items()}
    return {**made, "kind": "Event", "apiVersion": version}


_TO_STORAGE: dict[str, Convert] = {
    "autoscaling/v1/HorizontalPodAutoscaler": _hpa_to_v2,
    "events.k8s.io/v1/Event": _event_to_core,
}
_FROM_STORAGE: dict[str, Convert] = {
    "autoscaling/v1/HorizontalPodAutoscaler": _hpa_to_v1,
    "events.k8s.io/v1/Event": _event_from_core,
}
