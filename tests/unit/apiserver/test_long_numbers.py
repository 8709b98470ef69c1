"""Numbers in texts are read whatever their length: to be too large is a fault, no bug."""

from typing import Any

import pytest

from tests.unit.apiserver.harness import PODS, SERVICES, Server, pod

LONG = "1" + "0" * 5000
ZEROS = "0" * 5000 + "1"
APPS = "/apis/apps/v1/namespaces/default"
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
SELECTOR = {"matchLabels": {"a": "b"}}


def networked(path: str, text: str) -> tuple[str, dict[str, Any]]:
    peer = {"ipBlock": {"cidr": text}}
    spec = {"podSelector": {}, "ingress": [{"from": [peer]}]}
    return path, {"metadata": {"name": "n"}, "spec": spec}


def deployed(text: str) -> tuple[str, dict[str, Any]]:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": f"{text}%"}}
    spec = {"selector": SELECTOR, "template": TEMPLATE, "strategy": strategy}
    return f"{APPS}/deployments", {"metadata": {"name": "d"}, "spec": spec}


def scheduled(text: str) -> tuple[str, dict[str, Any]]:
    own = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    spec = {"schedule": f"{text} * * * *", "jobTemplate": {"spec": {"template": own}}}
    return "/apis/batch/v1/namespaces/default/cronjobs", {"metadata": {"name": "c"}, "spec": spec}


def balanced(text: str) -> tuple[str, dict[str, Any]]:
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}], "loadBalancerSourceRanges": [text]}
    return SERVICES, {"metadata": {"name": "s"}, "spec": spec}


def costing(text: str) -> tuple[str, dict[str, Any]]:
    made = pod("p")
    made["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": text}
    return PODS, made


def generated(text: str) -> tuple[str, dict[str, Any]]:
    metadata = {"name": "s", "annotations": {"deprecated.daemonset.template.generation": text}}
    spec = {"selector": SELECTOR, "template": TEMPLATE}
    return f"{APPS}/daemonsets", {"metadata": metadata, "spec": spec}


POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (networked(POLICIES, f"10.0.0.0/{LONG}"), 422),
        (networked(POLICIES, f"10.0.0.0/{ZEROS}"), 201),
        (networked(POLICIES, "10.0.0.0/\u00b2"), 422),
        (deployed(LONG), 422),
        (deployed(ZEROS), 201),
        (scheduled(LONG), 422),
        (scheduled(ZEROS), 201),
        (balanced(f"10.0.0.0/{LONG}"), 422),
        (balanced(f"10.0.0.0/{ZEROS}"), 201),
        (balanced("10.0.0.0/\u00b2"), 422),
        (costing(LONG), 422),
        (costing(f"-{LONG}"), 422),
        (generated(LONG), 201),
    ],
)
async def test_a_number_of_any_length_is_read(
    server: Server, asked: tuple[str, dict[str, Any]], status: int
) -> None:
    answer = await server.ask("POST", *asked)
    assert answer.status == status, answer.raw[:300]


@pytest.mark.parametrize("text", [f"a>{LONG}", f"a<-{LONG}"])
async def test_a_selector_may_compare_with_a_number_of_any_length(
    server: Server, text: str
) -> None:
    answer = await server.ask("GET", PODS, query=[("labelSelector", text)])
    assert answer.status in (200, 400)
