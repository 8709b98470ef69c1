"""Turns security contexts and resources of a pod into what the runtime takes. Pure."""

from typing import Any

from petset.api import quantity
from petset.api.meta import Obj
from petset.node import podspec
from petset.node.runtime.base import Limits, Security


def _both(pod: Obj, spec: Obj, key: str) -> Any:
    """A setting of the container, else of the pod."""
    own = (spec.get("securityContext") or {}).get(key)
    if own is not None:
        return own
    return (podspec.spec_of(pod).get("securityContext") or {}).get(key)


def security_of(pod: Obj, spec: Obj) -> Security:
    """What the container may do."""
    own = spec.get("securityContext") or {}
    outer = podspec.spec_of(pod).get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    groups = list(outer.get("supplementalGroups") or ())
    if outer.get("fsGroup") is not None:
        groups.append(outer["fsGroup"])
    profile = (_both(pod, spec, "seccompProfile") or {}).get("type") or "RuntimeDefault"
    return Security(
        user=_both(pod, spec, "runAsUser"),
        group=_both(pod, spec, "runAsGroup"),
        run_as_non_root=bool(_both(pod, spec, "runAsNonRoot")),
        groups=tuple(groups),
        privileged=bool(own.get("privileged")),
        add=tuple(capabilities.get("add") or ()),
        drop=tuple(capabilities.get("drop") or ()),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        allow_escalation=own.get("allowPrivilegeEscalation", True) is not False,
        seccomp="Unconfined" if profile == "Unconfined" else "RuntimeDefault",
        host_pid=bool(podspec.spec_of(pod).get("hostPID")),
    )


def limits_of(spec: Obj) -> Limits:
    """The container's resource limits."""
    resources = spec.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    memory, cpu = limits.get("memory"), limits.get("cpu")
    return Limits(
        memory_bytes=quantity.whole(memory) if memory is not None else None,
        cpu_limit_m=quantity.milli(cpu) if cpu is not None else None,
        cpu_request_m=quantity.milli(requests.get("cpu", cpu if cpu is not None else "0")),
    )


def unsupported(pod: Obj) -> str:
    """What of a pod petset cannot do yet, named; "" when it can do all of it."""
    spec = podspec.spec_of(pod)
    named = [
        word
        for key, word in (
            ("shareProcessNamespace", "shareProcessNamespace"),
            ("hostIPC", "hostIPC"),
            ("ephemeralContainers", "ephemeral containers"),
            ("resourceClaims", "resource claims"),
            ("runtimeClassName", "runtimeClassName"),
        )
        if spec.get(key)
    ]
    if spec.get("hostUsers") is False:
        named.append("hostUsers: false")
    for container in podspec.all_containers(pod):
        named += _container_unsupported(container)
    own = [container.get("restartPolicy") for container in podspec.containers(pod)]
    own += [c["restartPolicy"] for c in podspec.init_containers(pod) if _ends_its_own_way(c)]
    named += ["restartPolicy of single containers"] if any(own) else []
    return f"petset does not support {', '.join(dict.fromkeys(named))} yet" if named else ""


def _ends_its_own_way(container: Obj) -> bool:
    """Whether an init container that is no sidecar has a restart policy of its own."""
    return bool(container.get("restartPolicy")) and not podspec.is_sidecar(container)


def _container_unsupported(container: Obj) -> list[str]:
    named = []
    if container.get("volumeDevices"):
        named.append("volumeDevices")
    if container.get("restartPolicyRules"):
        named.append("restartPolicyRules")
    context = container.get("securityContext") or {}
    if (context.get("seccompProfile") or {}).get("type") == "Localhost":
        named.append("seccompProfile Localhost")
    if context.get("procMount") == "Unmasked":
        named.append("procMount Unmasked")
    if (context.get("appArmorProfile") or {}).get("type") == "Localhost":
        named.append("appArmorProfile Localhost")
    kinds = ("startupProbe", "livenessProbe", "readinessProbe")
    return named + [f"gRPC ({k})" for k in kinds if (container.get(k) or {}).get("grpc")]
