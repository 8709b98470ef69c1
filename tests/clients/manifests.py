"""What the client tests make, as plain dicts."""

from typing import Any

NS = "default"
LABELS = {"app": "web"}
CONFLICT = "the object has been modified; please apply your changes to the latest version"


def config_map(name: str, data: dict[str, str] | None = None, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NS, "labels": labels},
        "data": data or {"key": "value"},
    }


def service(name: str = "web") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NS},
        "spec": {"clusterIP": "None", "selector": LABELS, "ports": [{"port": 80}]},
    }


def stateful_set(name: str = "web", replicas: int = 2) -> dict[str, Any]:
    container = {"name": "main", "image": "nginx:1", "ports": [{"containerPort": 80}]}
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": NS, "labels": LABELS},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}},
            "volumeClaimTemplates": [claim],
        },
    }
