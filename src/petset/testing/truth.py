"""What the rules of Services say of pods and slices: written apart from the parts that it judges.

Rules: workload-semantics 3.3.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from petset.api import meta
from petset.api.meta import Obj

SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
MIRRORER = "endpointslicemirroring-controller.k8s.io"
CONTROLLER = "endpointslice-controller.k8s.io"

DNS_ADDRESS = "10.96.0.10"
"""The node answers there itself."""

Ports = frozenset[tuple[str, str, int]]
"""Name, protocol and number of each port."""


class Member(NamedTuple):
    """One address behind a Service.

    Attributes:
        hostname: its name below the Service's; "" if it has none of its own.
        pod: name and uid of its pod, "" for none.
        ready, serving, terminating: the conditions.
    """

    hostname: str
    address: str
    pod: str
    ready: bool
    serving: bool
    terminating: bool
    ports: Ports

    @property
    def label(self) -> str:
        """The name that DNS has for it."""
        return (self.hostname or self.address.replace(".", "-")).lower()


def selector_of(service: Obj) -> Obj:
    """The labels that a Service selects by, maybe none."""
    return service["spec"].get("selector") or {}


def is_headless(service: Obj) -> bool:
    """Whether the Service has no address."""
    return bool(service["spec"].get("clusterIP") == "None")


def service_of(slice_: Obj) -> str:
    """The key of the Service that a slice belongs to."""
    return f"{meta.namespace_of(slice_)}/{meta.labels_of(slice_).get(SERVICE_LABEL, '')}"


def is_own(slice_: Obj) -> bool:
    """Whether the slice is the controller's."""
    return meta.labels_of(slice_).get(MANAGED_LABEL) == CONTROLLER


def is_mirror(slice_: Obj) -> bool:
    """Whether the slice mirrors Endpoints."""
    return meta.labels_of(slice_).get(MANAGED_LABEL) == MIRRORER


def from_pods(service: Obj, pods: Iterable[Obj]) -> Iterator[Member]:
    """The members of a Service with a selector."""
    selector, every = selector_of(service), service["spec"].get("publishNotReadyAddresses")
    for pod in pods if selector else ():
        status = pod.get("status") or {}
        listed = [entry["ip"] for entry in status.get("podIPs") or ()]
        address = next(iter(listed), status.get("podIP"))
        ended = status.get("phase") in ("Failed", "Succeeded")
        if not address or ended or not selector.items() <= meta.labels_of(pod).items():
            continue
        going = pod["metadata"].get("deletionTimestamp") is not None
        well = meta.is_condition_true(pod, "Ready")
        named = pod["spec"].get("subdomain") == meta.name_of(service)
        yield Member(
            hostname=(pod["spec"].get("hostname") or "") if named else "",
            address=address,
            pod=f"{meta.name_of(pod)} {meta.uid_of(pod)}",
            ready=bool(every) or (well and not going),
            serving=well,
            terminating=going,
            ports=frozenset(_ports(service, pod)),
        )


def _ports(service: Obj, pod: Obj) -> Iterator[tuple[str, str, int]]:
    named = {
        (port.get("name"), port.get("protocol") or "TCP"): port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
    }
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        target = port.get("targetPort") or port["port"]
        number = named.get((target, protocol)) if isinstance(target, str) else target
        if number:
            yield port.get("name") or "", protocol, number


def from_slices(slices: Iterable[Obj]) -> Iterator[Member]:
    """The members that slices name."""
    for part in slices:
        ports = frozenset(
            (port.get("name") or "", port.get("protocol") or "TCP", port["port"])
            for port in part.get("ports") or ()
        )
        for endpoint in part.get("endpoints") or ():
            conditions, target = endpoint.get("conditions") or {}, endpoint.get("targetRef") or {}
            ready = conditions.get("ready") is not False
            for address in endpoint["addresses"]:
                yield Member(
                    hostname=endpoint.get("hostname") or "",
                    address=address,
                    pod=f"{target.get('name', '')} {target.get('uid', '')}".strip(),
                    ready=ready,
                    serving=conditions.get("serving", ready) is not False,
                    terminating=bool(conditions.get("terminating")),
                    ports=ports,
                )


def from_endpoints(written: Obj) -> Iterator[Member]:
    """The members that Endpoints name."""
    for subset in written.get("subsets") or ():
        ports = frozenset(
            (port.get("name") or "", port.get("protocol") or "TCP", port["port"])
            for port in subset.get("ports") or ()
        )
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for one in subset.get(field) or ():
                target = one.get("targetRef") or {}
                pod = f"{target.get('name', '')} {target.get('uid', '')}".strip()
                named = one.get("hostname") or ""
                yield Member(named, one["ip"], pod, ready, ready, terminating=False, ports=ports)


def answered(service: Obj | None, members: Iterable[Member]) -> list[Member]:
    """The members that DNS answers with, by names of their own."""
    if service is None or not is_headless(service):
        return []
    every = service["spec"].get("publishNotReadyAddresses")
    return [member for member in members if member.ready or every]


def addresses(service: Obj | None, members: Iterable[Member]) -> set[str]:
    """What DNS answers for the name of the Service."""
    if service is None:
        return set()
    if not is_headless(service):
        return {service["spec"]["clusterIP"]}
    return {member.address for member in answered(service, members)}


def rules(service: Obj, members: Iterable[Member]) -> dict[tuple[str, str, int], set[str]]:
    """Where connections to each port of a ClusterIP Service go: `address:port`."""
    spec, every = service["spec"], list(members)
    if is_headless(service) or spec.get("clusterIP") in (None, "", DNS_ADDRESS):
        return {}
    found = {}
    for port in spec.get("ports") or ():
        name, protocol = port.get("name") or "", port.get("protocol") or "TCP"
        there = [
            (member, f"{member.address}:{number}")
            for member in every
            for known, its, number in member.ports
            if (known, its) == (name, protocol)
        ]
        chosen = {place for member, place in there if member.ready}
        leaving = {place for member, place in there if member.serving and member.terminating}
        found[spec["clusterIP"], protocol.lower(), port["port"]] = chosen or leaving
    return found
