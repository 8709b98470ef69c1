"""From Services and EndpointSlices to what the node's table has to do. Pure.

Per Service port a chain that picks an endpoint; a map leads ClusterIPs there, another one
NodePorts. nftables.py makes the text. IPv4 only.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from petset.api import meta
from petset.api.meta import Obj

DNS_ADDRESS = "10.96.0.10"
PROTOCOLS = ("TCP", "UDP", "SCTP")
NOT_OURS = {"service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"}
"""Labels of Services and slices that this proxy ignores."""
STICKY_S = 10_800


@dataclass(frozen=True, slots=True)
class Target:
    """Where connections go: an endpoint's address and port."""

    address: str
    port: int


Place = tuple[str, int]
"""An address and port that clients know; "" for every address of the node."""


@dataclass(frozen=True, slots=True)
class PortRule:
    """One port of one Service.

    Attributes:
        key: `namespace/name/port`: names the chains.
        affinity_s: how long a client sticks to its endpoint, 0 for not at all.
        targets: endpoints that take connections to the ClusterIP.
        every: endpoints of the whole cluster that can take connections.
        near: those of them that take connections from outside on this node.
        keep_source: connections from outside keep the client's address and stay on the node
            (externalTrafficPolicy Local).
        externals: addresses outside the cluster that lead here (externalIPs).
        balancers: addresses that a load balancer was given.
        sources: networks that may come by `balancers`; None for all.
    """

    key: str
    protocol: str
    cluster_ip: str
    port: int
    node_port: int
    affinity_s: int
    targets: tuple[Target, ...]
    every: tuple[Target, ...]
    near: tuple[Target, ...]
    keep_source: bool
    externals: tuple[str, ...] = ()
    balancers: tuple[str, ...] = ()
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What is asked at a port of the node: how many endpoints of a Service are ready on it."""

    port: int
    namespace: str
    name: str
    endpoints: int


@dataclass(frozen=True, slots=True)
class _Endpoint:
    address: str
    node: str
    ready: bool
    serving: bool
    ports: Mapping[tuple[str, str], int]


def port_rules(
    services: Iterable[Obj], slices: Mapping[str, Sequence[Obj]], node: str
) -> list[PortRule]:
    """What every Service wants on `node`; `slices` are by `namespace/name` of their Service."""
    found: list[PortRule] = []
    for service in services:
        if _is_proxied(service):
            found += _service_rules(service, slices.get(meta.key_of(service), ()), node)
    return sorted(found, key=lambda rule: rule.key)


def health_checks(
    services: Iterable[Obj], slices: Mapping[str, Sequence[Obj]], node: str
) -> list[HealthCheck]:
    """The checks of Services whose load balancer has to know which nodes have endpoints."""
    found = []
    for service in services:
        port = (service.get("spec") or {}).get("healthCheckNodePort")
        if port and _is_proxied(service):
            endpoints = _endpoints(slices.get(meta.key_of(service), ()))
            here = {e.address for e in endpoints if e.ready and e.node == node}
            name = meta.name_of(service)
            found.append(HealthCheck(port, meta.namespace_of(service), name, len(here)))
    return found


def _is_proxied(service: Obj) -> bool:
    spec = service.get("spec") or {}
    labels = meta.labels_of(service)
    return (
        spec.get("type") != "ExternalName"
        and _is_ipv4(spec.get("clusterIP"))
        and spec.get("clusterIP") != DNS_ADDRESS
        and NOT_OURS.isdisjoint(labels)
    )


@lru_cache(1 << 12)
def _is_ipv4(text: object) -> bool:
    try:
        return bool(ipaddress.IPv4Address(str(text)))
    except ValueError:
        return False


def _service_rules(service: Obj, slices: Iterable[Obj], node: str) -> list[PortRule]:
    spec = service["spec"]
    endpoints = list(_endpoints(slices))
    here = [e for e in endpoints if e.node == node]
    inside = here if spec.get("internalTrafficPolicy") == "Local" else endpoints
    local = spec.get("externalTrafficPolicy") == "Local"
    externals = _ipv4s(spec.get("externalIPs") or ())
    found = []
    for port in spec.get("ports") or ():
        name, protocol = port.get("name") or "", port.get("protocol") or "TCP"
        if protocol not in PROTOCOLS:
            continue
        found.append(
            PortRule(
                key=f"{meta.key_of(service)}/{name or port['port']}",
                protocol=protocol.lower(),
                cluster_ip=spec["clusterIP"],
                port=port["port"],
                node_port=port.get("nodePort") or 0,
                affinity_s=_affinity_s(spec),
                targets=_targets(inside, (name, protocol)),
                every=_targets(endpoints, (name, protocol)),
                near=_targets(here if local else endpoints, (name, protocol)),
                keep_source=local,
                externals=externals,
                balancers=_balancers(service),
                sources=_networks(spec.get("loadBalancerSourceRanges")),
            )
        )
    return found


def _affinity_s(spec: Obj) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return config.get("timeoutSeconds") or STICKY_S


def _balancers(service: Obj) -> tuple[str, ...]:
    """Addresses of load balancers that hand packets on as they came (mode VIP)."""
    given = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return _ipv4s(one.get("ip") for one in given if one.get("ipMode", "VIP") == "VIP")


def _ipv4s(texts: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(text) for text in texts if _is_ipv4(text)))


def _networks(texts: Sequence[object] | None) -> tuple[str, ...] | None:
    """The IPv4 networks among `texts`; None where nothing is said."""
    if not texts:
        return None
    found = []
    for text in texts:
        try:
            found.append(str(ipaddress.IPv4Network(str(text).strip(), strict=False)))
        except ValueError:  # of the other family
            continue
    return tuple(dict.fromkeys(found))


def _endpoints(slices: Iterable[Obj]) -> Iterable[_Endpoint]:
    for part in slices:
        if part.get("addressType", "IPv4") != "IPv4" or not NOT_OURS.isdisjoint(
            meta.labels_of(part)
        ):
            continue
        ports = {
            (p.get("name") or "", p.get("protocol") or "TCP"): p["port"]
            for p in part.get("ports") or ()
            if p.get("port")
        }
        for raw in part.get("endpoints") or ():
            conditions = raw.get("conditions") or {}
            ready = conditions.get("ready") is not False
            serving = conditions.get("serving", ready) is not False
            leaving = serving and bool(conditions.get("terminating"))
            for address in (raw.get("addresses") or ())[:1]:
                if _is_ipv4(address):
                    yield _Endpoint(address, raw.get("nodeName") or "", ready, leaving, ports)


def _targets(endpoints: Sequence[_Endpoint], port: tuple[str, str]) -> tuple[Target, ...]:
    """Ready endpoints; when there is none, those that still serve while they leave."""
    with_port = [e for e in endpoints if port in e.ports]
    chosen = [e for e in with_port if e.ready] or [e for e in with_port if e.serving]
    return tuple(sorted({Target(e.address, e.ports[port]) for e in chosen}, key=_by_address))


def _by_address(target: Target) -> tuple[ipaddress.IPv4Address, int]:
    return ipaddress.IPv4Address(target.address), target.port


def datagram_places(rules: Iterable[PortRule]) -> dict[Place, frozenset[Target]]:
    """Where UDP packets to each place of a Service may go; a node port has no address."""
    found: dict[Place, frozenset[Target]] = {}
    for rule in rules:
        if rule.protocol != "udp":
            continue
        found["", rule.node_port] = frozenset(rule.every)
        for address in (*rule.externals, *rule.balancers):
            found[address, rule.port] = frozenset(rule.every)
        found[rule.cluster_ip, rule.port] = frozenset(rule.targets)
    found.pop(("", 0), None)
    return found
