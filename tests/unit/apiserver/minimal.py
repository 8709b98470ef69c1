"""The least that an object of each kind has to say."""

from collections.abc import Mapping
from typing import Any

from petset.api.resource import Resource

_POD = {"containers": [{"name": "c", "image": "x"}]}
_ONCE = {**_POD, "restartPolicy": "Never"}
_TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": _POD}
_WORKLOAD = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": _TEMPLATE}}
_RBAC = "rbac.authorization.k8s.io"
_BINDING = {"roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "a"}}
_SCALER = {
    "spec": {
        "maxReplicas": 2,
        "scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"},
    }
}
_EVENT = {
    "eventTime": "2026-11-20T11:58:00.000001Z",
    "type": "Normal",
    "reason": "a",
    "action": "b",
    "reportingController": "a.b/c",
    "reportingInstance": "i",
    "regarding": {"namespace": "default"},
}

BODIES: Mapping[str, Mapping[str, Any]] = {
    "events": {"involvedObject": {"namespace": "default"}},
    "persistentvolumes": {
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/a"},
        }
    },
    "persistentvolumeclaims": {
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        }
    },
    "pods": {"spec": _POD},
    "podtemplates": {"template": _TEMPLATE},
    "replicationcontrollers": {"spec": {"selector": {"a": "b"}, "template": _TEMPLATE}},
    "services": {"spec": {"ports": [{"port": 80}]}},
    "controllerrevisions.apps": {"data": {}, "revision": 1},
    "daemonsets.apps": _WORKLOAD,
    "deployments.apps": _WORKLOAD,
    "replicasets.apps": _WORKLOAD,
    "statefulsets.apps": _WORKLOAD,
    "horizontalpodautoscalers.autoscaling": _SCALER,
    "cronjobs.batch": {
        "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {"spec": {"template": {"spec": _ONCE}}},
        }
    },
    "jobs.batch": {"spec": {"template": {"spec": _ONCE}}},
    "certificatesigningrequests.certificates.k8s.io": {
        "spec": {"request": "YQ==", "signerName": "a.b/c", "usages": ["client auth"]}
    },
    "clustertrustbundles.certificates.k8s.io": {"spec": {"trustBundle": "x"}},
    "events.events.k8s.io": _EVENT,
    "ingressclasses.networking.k8s.io": {"spec": {"controller": "a.b/c"}},
    "ingresses.networking.k8s.io": {
        "spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}
    },
    "ipaddresses.networking.k8s.io": {"spec": {"parentRef": {"resource": "a", "name": "b"}}},
    "networkpolicies.networking.k8s.io": {"spec": {"podSelector": {}}},
    "servicecidrs.networking.k8s.io": {"spec": {"cidrs": ["10.0.0.0/24"]}},
    f"clusterrolebindings.{_RBAC}": _BINDING,
    f"rolebindings.{_RBAC}": _BINDING,
    "storageclasses.storage.k8s.io": {"provisioner": "a.b/c"},
    "csistoragecapacities.storage.k8s.io": {"storageClassName": "a"},
    "volumeattachments.storage.k8s.io": {
        "spec": {"attacher": "a.b", "nodeName": "n", "source": {"persistentVolumeName": "p"}}
    },
    "volumeattributesclasses.storage.k8s.io": {"driverName": "a.b", "parameters": {"a": "b"}},
    "priorityclasses.scheduling.k8s.io": {"value": 1},
    "runtimeclasses.node.k8s.io": {"handler": "x"},
    "endpointslices.discovery.k8s.io": {"addressType": "IPv4", "endpoints": []},
    "flowschemas.flowcontrol.apiserver.k8s.io": {
        "spec": {"priorityLevelConfiguration": {"name": "a"}}
    },
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": {"spec": {"type": "Exempt"}},
}
"""By resource id; kinds that are not named here need nothing but a name."""


def body_of(resource: Resource) -> dict[str, Any]:
    """A minimal object of `resource`, without a name."""
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    return {**kind, **BODIES.get(resource.id, {})}


def path_of(resource: Resource, namespace: str = "default") -> str:
    """The path of the collection."""
    version = resource.api_version
    base = f"/apis/{version}" if resource.group else f"/api/{version}"
    return (
        f"{base}/namespaces/{namespace}/{resource.plural}"
        if resource.namespaced
        else (f"{base}/{resource.plural}")
    )
