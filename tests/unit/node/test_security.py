"""Security contexts, limits, and what is refused by name."""

from typing import Any

import pytest

from petset.node import security
from tests.unit.node.pods import pod


def test_the_containers_own_setting_wins() -> None:
    outer = {"runAsUser": 1, "runAsGroup": 2, "supplementalGroups": [5], "fsGroup": 6}
    found = security.security_of(
        pod(securityContext=outer),
        {"securityContext": {"runAsUser": 0, "readOnlyRootFilesystem": True}},
    )
    assert (found.user, found.group, found.groups) == (0, 2, (5, 6))
    assert found.read_only_root
    assert found.allow_escalation


def test_limits_are_read() -> None:
    resources = {"limits": {"cpu": "1500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}
    found = security.limits_of({"resources": resources})
    assert (found.cpu_limit_m, found.cpu_request_m, found.memory_bytes) == (1500, 250, 64 << 20)
    assert security.limits_of({}).memory_bytes is None


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"shareProcessNamespace": True}, "shareProcessNamespace"),
        ({"hostUsers": False}, "hostUsers: false"),
        ({"containers": [{"name": "c", "livenessProbe": {"grpc": {"port": 1}}}]}, "gRPC"),
        ({"containers": [{"name": "c", "volumeDevices": [{}]}]}, "volumeDevices"),
        (
            {"containers": [{"name": "c", "restartPolicy": "Never"}]},
            "restartPolicy of single containers",
        ),
        (
            {"initContainers": [{"name": "i", "restartPolicy": "Never"}], "containers": []},
            "restartPolicy of single containers",
        ),
        (
            {"containers": [{"name": "c", "restartPolicyRules": [{"action": "Restart"}]}]},
            "restartPolicyRules",
        ),
    ],
)
def test_what_is_not_supported_is_named(spec: dict[str, Any], named: str) -> None:
    assert named in security.unsupported(pod(**spec))


def test_an_ordinary_pod_is_supported() -> None:
    assert security.unsupported(pod()) == ""
    sidecar = {"name": "s", "restartPolicy": "Always"}
    assert security.unsupported(pod(initContainers=[sidecar])) == ""
