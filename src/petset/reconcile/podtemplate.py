"""A Pod from a pod template, and what controllers ask of pods. Pure."""

from collections.abc import Mapping

from petset.api import meta
from petset.api.meta import MutableObj, Obj


def pod_from_template(
    template: Obj, *, namespace: str, owner: Obj, name: str = "", generate_name: str = ""
) -> MutableObj:
    """A new Pod: labels, annotations and finalizers of the template, its spec, one owner.

    The answer is a private copy as far as metadata and spec's first level go.
    """
    source = template.get("metadata") or {}
    metadata: MutableObj = {"namespace": namespace}
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = generate_name
    for field in ("labels", "annotations"):
        if values := source.get(field):
            metadata[field] = dict(values)
    if finalizers := source.get("finalizers"):
        metadata["finalizers"] = list(finalizers)
    metadata["ownerReferences"] = [dict(owner)]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": dict(template.get("spec") or {}),
    }


def phase_of(pod: Obj) -> str:
    """status.phase, "" when the pod was never stored."""
    return (pod.get("status") or {}).get("phase") or ""


def is_finished(pod: Obj) -> bool:
    """Whether every container ended for good (phase Failed or Succeeded)."""
    return phase_of(pod) in ("Failed", "Succeeded")


def is_ready(pod: Obj) -> bool:
    """Whether the pod's condition Ready is True."""
    return meta.is_condition_true(pod, "Ready")


def is_running_and_ready(pod: Obj) -> bool:
    """Whether the pod runs and is ready."""
    return phase_of(pod) == "Running" and is_ready(pod)


def available_at(pod: Obj, min_ready_s: float) -> float | None:
    """When a ready pod has been (or will have been) ready for `min_ready_s`; None if not ready.

    Seconds since the epoch; minus infinity where no time has to pass.
    """
    condition = meta.condition_of(pod, "Ready")
    if condition is None or condition.get("status") != "True":
        return None
    if min_ready_s <= 0:
        return float("-inf")
    since = meta.parse_time(condition.get("lastTransitionTime"))
    return None if since is None else since + min_ready_s


def is_available(pod: Obj, min_ready_s: float, now: float) -> bool:
    """Whether the pod has been ready for at least `min_ready_s`."""
    at = available_at(pod, min_ready_s)
    return at is not None and at <= now


def container_ports(pod: Obj) -> Mapping[tuple[str, str], int]:
    """Named container ports by (name, protocol); restartable init containers count too."""
    spec = pod.get("spec") or {}
    inits = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    found: dict[tuple[str, str], int] = {}
    for container in (*(spec.get("containers") or ()), *inits):
        for port in container.get("ports") or ():
            if name := port.get("name"):
                found.setdefault((name, port.get("protocol") or "TCP"), port["containerPort"])
    return found
