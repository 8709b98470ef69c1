"""Reading a pod's specification: containers, graces, ports. Pure helpers over plain dicts."""

from collections.abc import Iterator, Sequence
from typing import Any

from petset.api.meta import Obj, namespace_of

DEFAULT_GRACE_S = 30


def spec_of(pod: Obj) -> Obj:
    """The pod's spec, possibly empty."""
    return pod.get("spec") or {}


def containers(pod: Obj) -> Sequence[Obj]:
    """The regular containers."""
    return spec_of(pod).get("containers") or ()


def init_containers(pod: Obj) -> Sequence[Obj]:
    """The init containers, sidecars among them."""
    return spec_of(pod).get("initContainers") or ()


def all_containers(pod: Obj) -> Iterator[Obj]:
    """Init containers, then regular ones."""
    yield from init_containers(pod)
    yield from containers(pod)


def container(pod: Obj, name: str) -> Obj | None:
    """The container called `name`."""
    return next((c for c in all_containers(pod) if c["name"] == name), None)


def is_sidecar(spec: Obj) -> bool:
    """Whether an init container keeps running beside the regular ones."""
    return spec.get("restartPolicy") == "Always"


def restart_policy(pod: Obj, spec: Obj, *, init: bool) -> str:
    """Always, OnFailure or Never, for one container of the pod."""
    if init and is_sidecar(spec):
        return "Always"
    policy: str = spec_of(pod).get("restartPolicy") or "Always"
    return "OnFailure" if init and policy == "Always" else policy


def grace_s(pod: Obj) -> int:
    """How long the pod may take to stop by its own specification."""
    value = spec_of(pod).get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE_S if value is None else int(value)


def deletion_grace_s(pod: Obj) -> int:
    """How long a pod that is being deleted may take."""
    value = (pod.get("metadata") or {}).get("deletionGracePeriodSeconds")
    return grace_s(pod) if value is None else int(value)


def on_host_network(pod: Obj) -> bool:
    """Whether the pod uses its node's network."""
    return bool(spec_of(pod).get("hostNetwork"))


def host_ports(pod: Obj) -> Iterator[tuple[str, str, int]]:
    """(host IP, protocol, port) of every port of the node that the pod claims."""
    for spec in all_containers(pod):
        for port in spec.get("ports") or ():
            number = port.get("hostPort") or 0
            if on_host_network(pod):
                number = number or port.get("containerPort") or 0
            if number:
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", number  # noqa: S104


def forwards(pod: Obj) -> Iterator[tuple[str, str, int, int]]:
    """(host IP, protocol, host port, pod's port) of every node port that leads to the pod."""
    if on_host_network(pod):
        return
    for spec in all_containers(pod):
        for port in spec.get("ports") or ():
            if port.get("hostPort"):
                ip, protocol = port.get("hostIP") or "", port.get("protocol") or "TCP"
                yield ip, protocol, int(port["hostPort"]), int(port["containerPort"])


def port_number(spec: Obj, port: Any) -> int | None:
    """The number of a port that a probe names by number or by name; None for an unknown name."""
    if isinstance(port, int):
        return port
    if str(port).isdigit():
        return int(port)
    for known in spec.get("ports") or ():
        if known.get("name") == port:
            return int(known["containerPort"])
    return None


def full_name(pod: Obj) -> str:
    """`name_namespace(uid)`, as messages name a pod."""
    metadata = pod.get("metadata") or {}
    return f"{metadata.get('name')}_{namespace_of(pod)}({metadata.get('uid')})"


def hostname(pod: Obj) -> str:
    """The pod's host name: spec.hostname, or its own name cut to 63 letters."""
    name: str = spec_of(pod).get("hostname") or (pod.get("metadata") or {}).get("name") or ""
    return name[:63].rstrip("-.")


def domain_name(pod: Obj, cluster_domain: str) -> str:
    """The pod's own DNS name if it has a subdomain, else ""."""
    subdomain = spec_of(pod).get("subdomain")
    if not subdomain:
        return ""
    return f"{hostname(pod)}.{subdomain}.{namespace_of(pod)}.svc.{cluster_domain}"


def shown_hostname(pod: Obj, node: str, cluster_domain: str) -> str:
    """What the pod's containers see as their host's name: the node's on the node's network, the
    full name (as much of it as the kernel takes) where the pod asks for that."""
    if on_host_network(pod):
        return node
    if spec_of(pod).get("setHostnameAsFQDN"):
        return domain_name(pod, cluster_domain)[:64] or hostname(pod)
    return hostname(pod)
