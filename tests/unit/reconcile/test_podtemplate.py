"""Pods from templates, and what is asked of pods."""

from petset.api import meta
from petset.api.meta import MutableObj
from petset.reconcile import podtemplate
from petset.reconcile.conditions import with_condition

TEMPLATE: MutableObj = {
    "metadata": {
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "finalizers": ["example.com/x"],
        "name": "ignored",
    },
    "spec": {"containers": [{"name": "c"}]},
}
OWNER = {"kind": "StatefulSet", "name": "web", "uid": "u"}
NOW = 1_700_000_000.0


def ready(ago_s: float | None, status: str = "True") -> MutableObj:
    condition: MutableObj = {"type": "Ready", "status": status}
    if ago_s is not None:
        condition["lastTransitionTime"] = meta.format_time(NOW - ago_s)
    return {"status": {"phase": "Running", "conditions": [condition]}}


def test_a_pod_has_what_its_template_says_and_one_owner() -> None:
    made = podtemplate.pod_from_template(TEMPLATE, namespace="n", owner=OWNER, name="web-0")
    assert made["metadata"] == {
        "namespace": "n",
        "name": "web-0",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "finalizers": ["example.com/x"],
        "ownerReferences": [OWNER],
    }
    made["spec"]["hostname"] = "web-0"
    made["metadata"]["labels"]["x"] = "y"
    assert "hostname" not in TEMPLATE["spec"]
    assert TEMPLATE["metadata"]["labels"] == {"a": "b"}
    other = podtemplate.pod_from_template(TEMPLATE, namespace="n", owner=OWNER, generate_name="w-")
    assert other["metadata"]["generateName"] == "w-"


def test_a_pod_is_available_when_it_has_been_ready_for_long_enough() -> None:
    assert podtemplate.is_available(ready(None), 0, NOW)
    assert podtemplate.is_available(ready(10), 10, NOW)
    assert not podtemplate.is_available(ready(9), 10, NOW)
    assert not podtemplate.is_available(ready(99, "False"), 0, NOW)
    assert not podtemplate.is_available({}, 0, NOW)
    assert not podtemplate.is_available(ready(None), 10, NOW)


def test_named_ports_include_those_of_restartable_init_containers() -> None:
    port = {"name": "web", "containerPort": 80}
    udp = {"name": "web", "containerPort": 81, "protocol": "UDP"}
    side = {"name": "side", "containerPort": 82}
    once = {"name": "once", "containerPort": 83}
    spec = {
        "containers": [{"ports": [port, udp]}],
        "initContainers": [{"ports": [side], "restartPolicy": "Always"}, {"ports": [once]}],
    }
    assert podtemplate.container_ports({"spec": spec}) == {
        ("web", "TCP"): 80,
        ("web", "UDP"): 81,
        ("side", "TCP"): 82,
    }


def test_a_condition_moves_its_transition_time_with_its_status_only() -> None:
    obj = ready(100)
    assert with_condition(obj, {"type": "Ready", "status": "True"}, NOW) is None
    changed = with_condition(obj, {"type": "Ready", "status": "True", "reason": "X"}, NOW)
    assert changed is not None
    assert changed[0]["lastTransitionTime"] == meta.format_time(NOW - 100)
    changed = with_condition(obj, {"type": "Ready", "status": "False"}, NOW)
    assert changed is not None
    assert changed[0]["lastTransitionTime"] == meta.format_time(NOW)
    added = with_condition(obj, {"type": "Other", "status": "True"}, NOW)
    assert added is not None
    assert [c["type"] for c in added] == ["Ready", "Other"]
    assert len(obj["status"]["conditions"]) == 1
