"""A pod as an endpoint of a service: address, conditions, ports. Pure.

Rules: workload-semantics 3.3.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.reconcile import podtemplate

HEADLESS_LABEL = "service.kubernetes.io/headless"
CHANGED_ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"

Ports = tuple[tuple[str, str, int, str], ...]
"""(name, protocol, number, appProtocol or "") of each port, in the service's order."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of one pod.

    Attributes:
        hostname: the pod's own name below the service's, "" when it has none.
        ready: traffic may go there; serving: its pod is ready, terminating or not.
    """

    pod: Obj
    address: str
    ports: Ports
    ready: bool
    serving: bool
    terminating: bool
    hostname: str
    node: str
    zone: str

    @property
    def target(self) -> MutableObj:
        """The reference to the pod."""
        return {
            "kind": "Pod",
            "namespace": meta.namespace_of(self.pod),
            "name": meta.name_of(self.pod),
            "uid": meta.uid_of(self.pod),
        }


def families_of(service: Obj) -> tuple[str, ...]:
    """The address families of a service, IPv4 where it does not say."""
    return tuple((service.get("spec") or {}).get("ipFamilies") or ("IPv4",))


def is_headless(service: Obj) -> bool:
    """Whether the service has no address of its own."""
    return (service.get("spec") or {}).get("clusterIP") == "None"


def family_of(address: str) -> str:
    """`IPv6` or `IPv4`."""
    return "IPv6" if ":" in address else "IPv4"


def endpoints_of(
    service: Obj, pods: Iterator[Obj], family: str, zones: Mapping[str, str]
) -> list[Endpoint]:
    """The endpoints of `family` that `pods` (which match the selector) give, by pod name."""
    found = []
    for pod in pods:
        address = next((a for a in _addresses(pod) if family_of(a) == family), "")
        if address and not podtemplate.is_finished(pod):
            found.append(_endpoint(service, pod, address, zones))
    return sorted(found, key=lambda e: meta.name_of(e.pod))


def gives_none(pod: Obj) -> bool:
    """Whether the pod is no endpoint of any service: it has no address yet, or has ended."""
    return podtemplate.is_finished(pod) or not _addresses(pod)


def fingerprint(pod: Obj) -> tuple[object, ...]:
    """What of a pod matters to its services."""
    if gives_none(pod):
        return (meta.labels_of(pod), meta.uid_of(pod))
    spec = pod.get("spec") or {}
    return (
        _addresses(pod),
        podtemplate.is_ready(pod),
        meta.is_deleting(pod),
        meta.labels_of(pod),
        spec.get("nodeName"),
        meta.uid_of(pod),
    )


def _addresses(pod: Obj) -> list[str]:
    status = pod.get("status") or {}
    several = [entry.get("ip") or "" for entry in status.get("podIPs") or ()]
    return [a for a in several or [status.get("podIP") or ""] if a]


def _endpoint(service: Obj, pod: Obj, address: str, zones: Mapping[str, str]) -> Endpoint:
    spec = pod.get("spec") or {}
    serving = podtemplate.is_ready(pod)
    terminating = meta.is_deleting(pod)
    published = bool((service.get("spec") or {}).get("publishNotReadyAddresses"))
    named = spec.get("subdomain") == meta.name_of(service)
    node = spec.get("nodeName") or ""
    return Endpoint(
        pod=pod,
        address=address,
        ports=_ports(service, pod),
        ready=published or (serving and not terminating),
        serving=serving,
        terminating=terminating,
        hostname=(spec.get("hostname") or "") if named else "",
        node=node,
        zone=zones.get(node, ""),
    )


def _ports(service: Obj, pod: Obj) -> Ports:
    named = podtemplate.container_ports(pod)
    found = []
    for port in (service.get("spec") or {}).get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        target = port.get("targetPort") or port.get("port")
        number = named.get((target, protocol)) if isinstance(target, str) else target
        if number is not None:
            found.append((port.get("name") or "", protocol, number, port.get("appProtocol") or ""))
    return tuple(found)
