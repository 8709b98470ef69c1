"""Pods: what is not in the golden files: quality class, fields, warnings, pull policy."""

import copy
from typing import Any

import pytest

from petset.api.core.v1 import pod, podwarnings
from petset.api.core.v1.volume import pull_policy

Made = dict[str, Any]


def _pod(**spec: Any) -> Made:
    spec.setdefault("containers", [{"name": "c", "image": "x"}])
    made = {"metadata": {"name": "p", "namespace": "default"}, "spec": spec}
    pod.default(made)
    return made


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("nginx:latest@sha256:abc", "Always"),
        ("", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def _resources(limits: Made, requests: Made) -> Made:
    return {"name": "c", "image": "x", "resources": {"limits": limits, "requests": requests}}


FULL = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("containers", "quality"),
    [
        ([_resources({}, {})], "BestEffort"),
        ([_resources({}, {"cpu": "0"})], "BestEffort"),
        ([_resources({"example.com/gpu": "1"}, {})], "BestEffort"),
        ([_resources(FULL, FULL)], "Guaranteed"),
        ([_resources(FULL, {})], "Guaranteed"),
        ([_resources(FULL, {"cpu": "500m", "memory": "1Gi"})], "Burstable"),
        ([_resources({"cpu": "1"}, {})], "Burstable"),
        ([_resources(FULL, FULL), _resources({}, {})], "Burstable"),
    ],
)
def test_quality_follows_resources(containers: list[Made], quality: str) -> None:
    made = _pod(containers=containers)
    made["status"] = {"phase": "Running", "podIP": "1.2.3.4"}
    pod.prepare_create(made)
    assert made["status"] == {"phase": "Pending", "qosClass": quality}


def test_quality_counts_init_containers() -> None:
    made = _pod(containers=[_resources(FULL, FULL)], initContainers=[_resources({}, {})])
    assert pod.quality_of(made["spec"]) == "Burstable"


def test_pod_level_resources_decide_the_quality() -> None:
    made = _pod(resources={"limits": FULL})
    assert pod.quality_of(made["spec"]) == "Guaranteed"


def test_fields_are_read_as_text() -> None:
    made = _pod(nodeName="n1", serviceAccountName="me", hostNetwork=True)
    made["status"] = {"phase": "Running", "podIP": "a", "podIPs": [{"ip": "a"}, {"ip": "b"}]}
    read = {path: get(made) for path, get in pod.BEHAVIOUR.fields.items()}
    assert read == {
        "spec.nodeName": "n1",
        "spec.host": "n1",
        "spec.restartPolicy": "Always",
        "spec.schedulerName": "default-scheduler",
        "spec.serviceAccountName": "me",
        "spec.hostNetwork": "true",
        "status.phase": "Running",
        "status.podIP": "a",
        "status.podIPs": "a,b",
        "status.nominatedNodeName": "",
    }


def test_what_is_odd_is_warned_about() -> None:
    made = _pod(
        nodeSelector={"beta.kubernetes.io/os": "linux"},
        terminationGracePeriodSeconds=-1,
        imagePullSecrets=[{}],
        topologySpreadConstraints=[{"topologyKey": "a"}],
        containers=[
            {
                "name": "c",
                "image": "x",
                "env": [{"name": "A"}, {"name": "A"}],
                "ports": [{"containerPort": 80}, {"containerPort": 80}],
                "resources": {"limits": {"memory": "100m"}},
            }
        ],
    )
    made["metadata"]["name"] = "a.b"
    found = podwarnings.of_pod(made)
    assert [text.partition(":")[0] for text in found] == [
        "metadata.name",
        "spec.nodeSelector[beta.kubernetes.io/os]",
        "spec.topologySpreadConstraints[0].labelSelector",
        "spec.imagePullSecrets[0].name",
        "spec.containers[0].resources.limits[memory]",
        "spec.containers[0].resources.requests[memory]",
        "spec.containers[0].env[1]",
        "spec.containers[0].ports[1]",
        "spec.terminationGracePeriodSeconds",
    ]


def test_an_ordinary_pod_gets_no_warning() -> None:
    assert podwarnings.of_pod(_pod()) == []


def test_negative_grace_may_become_one() -> None:
    old = _pod(terminationGracePeriodSeconds=-5)
    new = copy.deepcopy(old)
    new["spec"]["terminationGracePeriodSeconds"] = 1
    assert pod.validate_update(new, old) == []
    new["spec"]["terminationGracePeriodSeconds"] = 2
    assert [f.field for f in pod.validate_update(new, old)] == ["spec"]


def test_scheduling_gates_only_go() -> None:
    gated = _pod(schedulingGates=[{"name": "a"}])
    free = copy.deepcopy(gated)
    free["spec"]["schedulingGates"] = []
    free["spec"]["nodeSelector"] = {"a": "b"}
    assert pod.validate_update(free, gated) == []
    assert {f.field for f in pod.validate_update(gated, free)} >= {"spec.schedulingGates[0].name"}


def test_a_finished_container_may_run_again_after_failure_on_failure() -> None:
    def ended(policy: str, code: int) -> list[str]:
        old = _pod(restartPolicy=policy)
        status = {"name": "c", "state": {"terminated": {"exitCode": code}}}
        old["status"] = {"containerStatuses": [status]}
        new = {**old, "status": {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}}
        return [f.field for f in pod.validate_status(new, old)]

    path = "status.containerStatuses[0].state"
    assert ended("Always", 0) == []
    assert ended("OnFailure", 1) == []
    assert ended("OnFailure", 0) == [path]
    assert ended("Never", 1) == [path]


def test_the_quality_class_may_be_left_out_of_an_update() -> None:
    old = {**_pod(), "status": {"phase": "Running", "qosClass": "Burstable"}}
    new: Made = {**_pod(), "status": {"phase": "Running"}}
    assert pod.validate_status(new, old) == []
    pod.BEHAVIOUR.prepare_update(new, old)
    assert new["status"]["qosClass"] == "Burstable"


def test_host_ports_collide_within_the_pod() -> None:
    port = {"containerPort": 80, "hostPort": 80}
    made = _pod(containers=[{"name": n, "image": "x", "ports": [port]} for n in ("a", "b")])
    faults = pod.validate(made)
    assert [str(f) for f in faults] == [
        'spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'
    ]
