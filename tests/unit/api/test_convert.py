"""Conversions between served and stored versions."""

from typing import Any

from petset.api import convert, registry

HPA_V1 = registry.by_path("autoscaling", "v1", "horizontalpodautoscalers")
EVENTS = registry.by_id("events.events.k8s.io")
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
}


def hpa(**spec: Any) -> dict[str, Any]:
    return {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v1",
        "metadata": {"name": "a"},
        "spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": "web"}, **spec},
    }


def test_cpu_target_of_v1_is_a_resource_metric_in_v2_and_back() -> None:
    assert HPA_V1 is not None
    given = hpa(maxReplicas=5, minReplicas=2, targetCPUUtilizationPercentage=70)
    stored = convert.to_storage(HPA_V1, given)
    assert stored["apiVersion"] == "autoscaling/v2"
    assert stored["spec"]["metrics"] == [CPU]
    assert stored["spec"]["maxReplicas"] == 5
    assert convert.from_storage(HPA_V1, stored) == given


def test_what_v1_has_no_field_for_survives_in_annotations() -> None:
    assert HPA_V1 is not None
    stored = {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v2",
        "metadata": {"name": "a", "annotations": {"x": "y"}},
        "spec": {
            "scaleTargetRef": {"kind": "StatefulSet", "name": "web"},
            "maxReplicas": 3,
            "metrics": [CPU, MEMORY],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
        },
        "status": {
            "currentReplicas": 1,
            "desiredReplicas": 2,
            "conditions": [{"type": "AbleToScale", "status": "True"}],
            "currentMetrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "current": {"averageUtilization": 9}},
                }
            ],
        },
    }
    served = convert.from_storage(HPA_V1, stored)
    assert served["spec"]["targetCPUUtilizationPercentage"] == 70
    assert served["status"]["currentCPUUtilizationPercentage"] == 9
    assert set(served["metadata"]["annotations"]) == {
        "x",
        convert.METRICS,
        convert.BEHAVIOR,
        convert.CONDITIONS,
    }
    assert convert.to_storage(HPA_V1, served) == stored


def test_nonsense_in_the_annotations_is_dropped() -> None:
    assert HPA_V1 is not None
    given = hpa(maxReplicas=1)
    given["metadata"]["annotations"] = {convert.METRICS: "{nope", convert.BEHAVIOR: "[]"}
    stored = convert.to_storage(HPA_V1, given)
    assert stored["metadata"] == {"name": "a"}
    assert set(stored["spec"]) == {"scaleTargetRef", "maxReplicas"}


def test_events_are_renamed_field_by_field_and_back() -> None:
    given = {
        "kind": "Event",
        "apiVersion": "events.k8s.io/v1",
        "metadata": {"name": "a"},
        "regarding": {"kind": "Pod"},
        "note": "hello",
        "reason": "Started",
        "reportingController": "kubelet",
        "reportingInstance": "n1",
        "deprecatedSource": {"component": "kubelet"},
        "deprecatedCount": 2,
        "eventTime": None,
    }
    stored = convert.to_storage(EVENTS, given)
    assert stored == {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": "a"},
        "involvedObject": {"kind": "Pod"},
        "message": "hello",
        "reason": "Started",
        "reportingComponent": "kubelet",
        "reportingInstance": "n1",
        "source": {"component": "kubelet"},
        "count": 2,
        "eventTime": None,
    }
    assert convert.from_storage(EVENTS, stored) == given


def test_what_is_stored_as_it_is_served_is_left_alone() -> None:
    pods = registry.by_id("pods")
    obj = {"kind": "Pod"}
    assert convert.to_storage(pods, obj) is obj
    assert convert.from_storage(pods, obj) is obj
