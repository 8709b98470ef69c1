"""Endpoints as slices: which are mirrored, and how the slices look. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import MutableObj, Obj

RESOURCE = "endpointslices.discovery.k8s.io"
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
ADDRESSES_MAX = 1000
"""Addresses that are mirrored of one subset, and endpoints of one slice."""

_LEFT_OUT = (
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
)
_ADDRESS_MEMBERS = ("hostname", "nodeName", "targetRef")

Ports = tuple[tuple[str, str, int, str], ...]
"""(name, protocol, number, appProtocol or "") of each port, in order."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One slice that has to be there: its address family, ports and endpoints."""

    family: str
    ports: Ports
    endpoints: list[MutableObj]


def selects(service: Obj) -> bool:
    """Whether a Service finds its pods itself."""
    return bool((service.get("spec") or {}).get("selector"))


def is_mirrored(endpoints: Obj | None, service: Obj | None) -> bool:
    """Whether slices have to tell what these Endpoints tell."""
    if endpoints is None or service is None or selects(service):
        return False
    if meta.labels_of(endpoints).get(SKIP_LABEL) == "true":
        return False
    return LEADER_ANNOTATION not in meta.annotations_of(endpoints)


def is_ours(slice_: Obj) -> bool:
    """Whether this controller made the slice."""
    return meta.labels_of(slice_).get(MANAGED_LABEL) == MANAGER


def wanted(endpoints: Obj) -> tuple[list[Wanted], int]:
    """The slices for `endpoints`, and how many addresses are over the limit."""
    groups: dict[tuple[str, Ports], dict[tuple[object, ...], MutableObj]] = {}
    left_out = 0
    for subset in endpoints.get("subsets") or ():
        ports = _ports(subset.get("ports") or ())
        every = list(_endpoints(subset))
        left_out += max(0, len(every) - ADDRESSES_MAX)
        for endpoint in every[:ADDRESSES_MAX]:
            family = "IPv6" if ":" in endpoint["addresses"][0] else "IPv4"
            groups.setdefault((family, ports), {})[_identity(endpoint)] = endpoint
    made = []
    for (family, ports), group in sorted(groups.items()):
        made += [Wanted(family, ports, part) for part in _parts(list(group.values()))]
    return made, left_out


def _identity(endpoint: Obj) -> tuple[object, ...]:
    ready = endpoint["conditions"]["ready"]
    return endpoint["addresses"][0], ready, endpoint.get("hostname"), endpoint.get("nodeName")


def _parts(group: list[MutableObj]) -> Iterable[list[MutableObj]]:
    return (group[i : i + ADDRESSES_MAX] for i in range(0, len(group), ADDRESSES_MAX))


def _endpoints(subset: Obj) -> Iterable[MutableObj]:
    for member, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(member) or ():
            made: MutableObj = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
            yield made | {key: address[key] for key in _ADDRESS_MEMBERS if address.get(key)}


def _ports(ports: Iterable[Obj]) -> Ports:
    found = (
        (
            port.get("name") or "",
            port.get("protocol") or "TCP",
            int(port["port"]),
            port.get("appProtocol") or "",
        )
        for port in ports
    )
    return tuple(sorted(found))


def ports_of(slice_: Obj) -> Ports:
    """The ports of a slice, in order."""
    return _ports(slice_.get("ports") or ())


def labels(endpoints: Obj) -> dict[str, str]:
    """The labels of every slice of `endpoints`."""
    own = {SERVICE_LABEL: meta.name_of(endpoints), MANAGED_LABEL: MANAGER}
    return {**meta.labels_of(endpoints), **own}


def annotations(endpoints: Obj) -> dict[str, str]:
    """The annotations of every slice of `endpoints`: theirs, but for bookkeeping."""
    return {k: v for k, v in meta.annotations_of(endpoints).items() if k not in _LEFT_OUT}


def render(endpoints: Obj, want: Wanted) -> MutableObj:
    """A new slice."""
    metadata: MutableObj = {
        "generateName": f"{meta.name_of(endpoints)}-",
        "namespace": meta.namespace_of(endpoints),
        "labels": labels(endpoints),
        "ownerReferences": [
            meta.owner_reference(endpoints, api_version="v1", kind="Endpoints"),
        ],
    }
    if kept := annotations(endpoints):
        metadata["annotations"] = kept
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": metadata,
        "addressType": want.family,
        "endpoints": want.endpoints,
        "ports": render_ports(want.ports),
    }


def render_ports(ports: Sequence[tuple[str, str, int, str]]) -> list[MutableObj]:
    """Ports as a slice has them."""
    made = []
    for name, protocol, number, app in ports:
        port: MutableObj = {"name": name, "protocol": protocol, "port": number}
        made.append({**port, "appProtocol": app} if app else port)
    return made
