"""Small makers of objects for the scheduler's tests."""

from collections.abc import Iterable
from typing import Any

from petset.scheduler.plugins.info import node_info, pod_info
from petset.scheduler.plugins.types import NodeInfo, Nodes, PodInfo, World

Obj = dict[str, Any]


def make_pod(name: str = "p", *, labels: Obj | None = None, **spec: Any) -> Obj:
    spec.setdefault("containers", [{"name": "c", "image": "busybox"}])
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "labels": labels or {},
        },
        "spec": spec,
    }


def asking(cpu: str = "0", memory: str = "0") -> list[Obj]:
    return [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]


def owned(pod: Obj, owner: str) -> Obj:
    reference = {"kind": "StatefulSet", "name": owner, "uid": f"uid-{owner}", "controller": True}
    return {**pod, "metadata": {**pod["metadata"], "ownerReferences": [reference]}}


def make_node(name: str = "n1", *, labels: Obj | None = None, **spec: Any) -> Obj:
    allocatable = spec.pop("allocatable", {"cpu": "4", "memory": "8Gi", "pods": "110"})
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, **(labels or {})},
        },
        "spec": spec,
        "status": {"allocatable": allocatable},
    }


def info(pod: Obj) -> PodInfo:
    return pod_info(pod)


def holding(node: Obj, *pods: Obj) -> NodeInfo:
    return node_info(node, [pod_info(p) for p in pods])


def world(*nodes: NodeInfo, **more: Any) -> World:
    return World(Nodes(nodes), **more)


def make_claim(name: str = "data", *, annotations: Obj | None = None, **spec: Any) -> Obj:
    spec.setdefault("accessModes", ["ReadWriteOnce"])
    spec.setdefault("resources", {"requests": {"storage": "1Gi"}})
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {**metadata, "annotations": annotations or {}},
        "spec": spec,
    }


def bound_claim(name: str, volume: str, **spec: Any) -> Obj:
    done = {"pv.kubernetes.io/bind-completed": "yes"}
    return make_claim(name, annotations=done, volumeName=volume, **spec)


def make_volume(name: str, *, node: str = "", **spec: Any) -> Obj:
    spec.setdefault("capacity", {"storage": "1Gi"})
    spec.setdefault("accessModes", ["ReadWriteOnce"])
    if node:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        terms = [{"matchExpressions": [expression]}]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": spec,
        "status": {"phase": "Available"},
    }


def make_class(name: str, *, waits: bool, provisioner: str = "petset.io/directory") -> Obj:
    mode = "WaitForFirstConsumer" if waits else "Immediate"
    return {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode}


def using(*claims: str) -> list[Obj]:
    return [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]


def keyed(objects: Iterable[Obj]) -> dict[str, Obj]:
    return {f"default/{o['metadata']['name']}": o for o in objects}


def named(objects: Iterable[Obj]) -> dict[str, Obj]:
    return {o["metadata"]["name"]: o for o in objects}
