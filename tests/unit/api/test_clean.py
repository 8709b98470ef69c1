"""The usual objects are clean, and each thing that needs correction is noticed."""

from typing import Any

import pytest

from petset.api.clean import is_clean

POD = "io.k8s.api.core.v1.Pod"
META = {"name": "a", "labels": {"app": "a"}}
CONTAINER = {
    "name": "c",
    "image": "nginx",
    "ports": [{"containerPort": 80, "protocol": "TCP"}],
    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    "readinessProbe": {"httpGet": {"port": 80, "path": "/ready"}},
}


def pod(**fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": META,
        "spec": {"containers": [{**CONTAINER, **fields}]},
    }


@pytest.mark.parametrize(
    ("name", "obj"),
    [
        (POD, pod()),
        (POD, pod(securityContext={}, resources={})),
        (POD, {"status": {"containerStatuses": [{"ready": False, "restartCount": 0}]}}),
        ("io.k8s.api.core.v1.ConfigMap", {"metadata": META, "data": {"a": "", "b": "x"}}),
        ("io.k8s.api.core.v1.Secret", {"data": {"a": "YQ=="}, "type": "Opaque"}),
        (
            "io.k8s.api.coordination.v1.Lease",
            {"spec": {"renewTime": "2026-11-20T05:02:52.123456Z", "leaseDurationSeconds": 40}},
        ),
        ("io.k8s.api.apps.v1.ControllerRevision", {"data": {"a": None}, "revision": 1}),
    ],
)
def test_usual_objects_are_clean(name: str, obj: dict[str, Any]) -> None:
    assert is_clean(name, obj)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"name": 1},
        {"stdin": 1},
        {"stdin": False},
        {"unknown": 1},
        {"ports": {}},
        {"ports": [None]},
        {"ports": [{"containerPort": "80"}]},
        {"ports": [{"containerPort": True}]},
        {"resources": {"requests": {"cpu": "0.1"}}},
        {"resources": {"requests": {"cpu": 1}}},
        {"resources": {"requests": {"cpu": "one"}}},
        {"resources": {"requests": {"cpu": None}}},
        {"resources": []},
        {"command": ["a", None]},
    ],
)
def test_what_needs_a_look_is_not_clean(fields: dict[str, Any]) -> None:
    assert not is_clean(POD, pod(**fields))
