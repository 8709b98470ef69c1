"""Environment, downward API values, service variables, command lines."""

from typing import Any

import pytest

from petset.node import environment
from petset.node.environment import ConfigError, Facts
from tests.unit.node.pods import pod

FACTS = Facts("10.0.0.1", "172.29.0.10", "n1", {"cpu": "2", "memory": "1Gi"})
CONTENT = {
    ("configmaps", "cm"): {"a": b"1", "b.c": b"2", "bad key": b"3"},
    ("secrets", "s"): {"p": b"secret"},
}


def build(container: dict[str, Any], services: dict[str, str] | None = None) -> dict[str, str]:
    return environment.build(
        pod(metadata={"labels": {"app": "x"}}),
        container,
        FACTS,
        lambda resource, name: CONTENT.get((resource, name)),
        services or {},
    )


def test_later_variables_override_and_expand_earlier_ones() -> None:
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(NOPE)-$$(A)"},
        {"name": "A", "value": "2"},
    ]
    assert build({"env": env}, {"A": "0"}) == {"A": "2", "B": "1-$(NOPE)-$(A)"}


def test_env_from_takes_valid_names_with_a_prefix() -> None:
    sources = [{"prefix": "X_", "configMapRef": {"name": "cm"}}, {"secretRef": {"name": "s"}}]
    assert build({"envFrom": sources}) == {"X_a": "1", "X_b.c": "2", "p": "secret"}


def test_missing_references_are_errors_unless_optional() -> None:
    with pytest.raises(ConfigError, match='configmap "no" not found'):
        build({"envFrom": [{"configMapRef": {"name": "no"}}]})
    assert build({"envFrom": [{"configMapRef": {"name": "no", "optional": True}}]}) == {}
    key = {"name": "s", "key": "nokey"}
    with pytest.raises(ConfigError, match="couldn't find key nokey in Secret default/s"):
        build({"env": [{"name": "A", "valueFrom": {"secretKeyRef": key}}]})
    optional = {**key, "optional": True}
    assert build({"env": [{"name": "A", "valueFrom": {"secretKeyRef": optional}}]}) == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-0"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "u1"),
        ("metadata.labels['app']", "x"),
        ("metadata.labels", 'app="x"'),
        ("status.podIP", "10.0.0.1"),
        ("status.hostIP", "172.29.0.10"),
        ("spec.nodeName", "n1"),
    ],
)
def test_field_references(path: str, value: str) -> None:
    env = [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    assert build({"env": env}) == {"A": value}


def test_unknown_field_is_refused() -> None:
    with pytest.raises(ConfigError, match="unsupported fieldPath"):
        build({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}}]})


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", None, "1"),
        ("limits.cpu", "1m", "500"),
        ("limits.memory", "1Mi", "1024"),
        ("requests.cpu", "1m", "250"),
        ("requests.memory", None, "0"),
    ],
)
def test_resource_references_round_up(resource: str, divisor: str | None, value: str) -> None:
    reference = {"resource": resource, **({"divisor": divisor} if divisor else {})}
    container = {
        "env": [{"name": "A", "valueFrom": {"resourceFieldRef": reference}}],
        "resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": "250m"}},
    }
    assert build(container) == {"A": value}


def service(name: str, namespace: str, address: str) -> dict[str, Any]:
    ports = [{"name": "web", "port": 80}, {"port": 53, "protocol": "UDP"}]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": address, "ports": ports},
    }


def test_service_variables_are_of_the_own_namespace_and_the_api() -> None:
    services = [
        service("kubernetes", "default", "10.96.0.1"),
        service("my-db", "prod", "10.96.0.7"),
        service("headless", "prod", "None"),
        service("other", "dev", "10.96.0.8"),
    ]
    found = environment.service_variables(services, "prod", links=True)
    assert found["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert found["MY_DB_SERVICE_HOST"] == "10.96.0.7"
    assert found["MY_DB_SERVICE_PORT_WEB"] == "80"
    assert found["MY_DB_PORT"] == "tcp://10.96.0.7:80"
    assert found["MY_DB_PORT_53_UDP_PROTO"] == "udp"
    assert not any(key.startswith(("OTHER", "HEADLESS")) for key in found)
    alone = environment.service_variables(services, "prod", links=False)
    assert not any(key.startswith("MY_DB") for key in alone)
    assert "KUBERNETES_SERVICE_HOST" in alone


def test_command_line_overrides_as_documented() -> None:
    line = environment.command_line
    assert line({}, ["e"], ["c"], {}) == ("e", "c")
    assert line({"args": ["a"]}, ["e"], ["c"], {}) == ("e", "a")
    assert line({"command": ["k"]}, ["e"], ["c"], {}) == ("k",)
    assert line({"command": ["k"], "args": ["$(A)"]}, ["e"], ["c"], {"A": "1"}) == ("k", "1")
    with pytest.raises(ConfigError):
        line({}, [], [], {})


def test_secrets_are_decoded_and_config_maps_may_be_binary() -> None:
    secret = {"kind": "Secret", "data": {"p": "aGk="}}
    config = {"kind": "ConfigMap", "data": {"t": "hi"}, "binaryData": {"b": "AAE="}}
    assert environment.content_of(secret) == {"p": b"hi"}
    assert environment.content_of(config) == {"t": b"hi", "b": b"\0\1"}
