"""Pods and what is seen of them, for tests."""

from typing import Any

from petset.api.meta import MutableObj
from petset.node.runtime.base import Run, Sandbox
from petset.node.seen import ContainerSeen, PodSeen, Probed

NOW = 1_700_000_000.0


def pod(**spec: Any) -> MutableObj:
    """A pod of one container `c`."""
    metadata = {"name": "web-0", "namespace": "default", "uid": "u1", "generation": 1}
    metadata.update(spec.pop("metadata", {}))
    status = spec.pop("status", {})
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec},
        "status": status,
    }


def run(name: str = "c", **changes: Any) -> Run:
    """A running run."""
    values: dict[str, Any] = {
        "id": f"{name}-{changes.get('attempt', 0)}",
        "pod_uid": "u1",
        "name": name,
        "attempt": 0,
        "state": "running",
        "image_ref": "docker.io/library/nginx:latest",
        "image_id": "sha256:1",
        "created_at": NOW,
        "started_at": NOW,
    }
    return Run(**{**values, **changes})


def ended(code: int = 0, **changes: Any) -> Run:
    """A run that has ended and is cleaned."""
    values: dict[str, Any] = {"state": "exited", "exit_code": code, "finished_at": NOW + 5}
    return run(**{**values, "cleaned": True, **changes})


def container(*runs: Run, ready: bool = True, **more: Any) -> ContainerSeen:
    """A container with these runs; a running one is ready unless told."""
    running = bool(runs) and runs[-1].state == "running"
    return ContainerSeen(runs=runs, probed=Probed(started=running, ready=running and ready), **more)


def seen(pod_: MutableObj | None = None, **changes: Any) -> PodSeen:
    """A pod whose ground is laid."""
    values: dict[str, Any] = {
        "pod": pod_ or pod(),
        "sandbox": Sandbox("u1", "10.128.0.5"),
        "volumes": "mounted",
        "start_time": NOW,
    }
    return PodSeen(**{**values, **changes})
