"""Claims, volumes and classes for tests of the plans."""

from typing import Any

from petset.api.meta import MutableObj

CLASS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"


def claim(size: str = "1Gi", **spec: Any) -> MutableObj:
    """Claim default/data of uid u1, without class; `metadata` and `status` are merged in."""
    metadata = spec.pop("metadata", {})
    status = spec.pop("status", {"phase": "Pending"})
    spec.setdefault("accessModes", ["ReadWriteOnce"])
    spec.setdefault("storageClassName", "")
    return {
        "metadata": {
            "name": "data",
            "namespace": "default",
            "uid": "u1",
            "resourceVersion": "5",
            "finalizers": ["kubernetes.io/pvc-protection"],
            **metadata,
        },
        "spec": {"resources": {"requests": {"storage": size}}, **spec},
        "status": status,
    }


def volume(name: str = "v", size: str = "1Gi", **spec: Any) -> MutableObj:
    """An Available hostPath volume without class."""
    metadata = spec.pop("metadata", {})
    status = spec.pop("status", {"phase": "Available"})
    spec.setdefault("accessModes", ["ReadWriteOnce"])
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "finalizers": ["kubernetes.io/pv-protection"],
            **metadata,
        },
        "spec": {"capacity": {"storage": size}, "hostPath": {"path": f"/{name}"}, **spec},
        "status": status,
    }


def bound_to(uid: str = "u1", name: str = "data") -> MutableObj:
    """A reference to a claim; uid "" leaves it out."""
    reference = {"namespace": "default", "name": name}
    return {**reference, "uid": uid} if uid else reference


def storage_class(name: str = "fast", **fields: Any) -> MutableObj:
    """A class of directories that waits for a pod."""
    return {
        "metadata": {"name": name},
        "provisioner": "petset.dev/directory",
        "volumeBindingMode": "WaitForFirstConsumer",
        **fields,
    }
