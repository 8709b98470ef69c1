"""Service: defaults, validation, update rules, columns.

The cluster IP and node ports are allocated by admission; here they are only kept and checked.
Invariant: a Service keeps its cluster IPs as long as it is of a type that has them.
"""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.check import (
    INT32_MAX,
    Faults,
    between,
    child,
    fill,
    ip,
    items,
    member,
    needed,
    one_of,
    optional,
    parse_ip,
    port_number,
    unchanged,
)
from petset.api.core.v1 import servicetable
from petset.api.core.v1.container import PROTOCOLS
from petset.api.errors import FieldError, duplicate, forbidden_field, invalid, required
from petset.api.kind import Behaviour
from petset.api.meta import MutableObj, Obj

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
STICKY_S = 10_800
_FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")


def default(service: MutableObj) -> None:
    """Defaults of a Service."""
    spec = member(service, "spec")
    fill(spec, "type", "ClusterIP")
    fill(spec, "sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        _default_stickiness(spec)
    elif spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    for port in items(spec, "ports"):
        fill(port, "protocol", "TCP")
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        fill(spec, "externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        fill(spec, "allocateLoadBalancerNodePorts", True)
    if spec["type"] != "ExternalName":
        fill(spec, "internalTrafficPolicy", "Cluster")
        _default_addresses(spec)


def _default_stickiness(spec: MutableObj) -> None:
    client = member(member(spec, "sessionAffinityConfig"), "clientIP")
    if client.get("timeoutSeconds") is None:
        client["timeoutSeconds"] = STICKY_S


def _default_addresses(spec: MutableObj) -> None:
    """Both spellings of the cluster IP alike; one family, IPv4."""
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = [_family(spec.get("clusterIP"))]
    fill(spec, "ipFamilyPolicy", "SingleStack")


def _family(address: object) -> str:
    parsed = parse_ip(address)
    return "IPv6" if parsed is not None and parsed.version == 6 else "IPv4"


def prepare_create(service: MutableObj) -> None:
    """The load balancer's part of the status is always shown."""
    service["status"] = {"loadBalancer": {}}


def prepare_update(new: MutableObj, old: Obj) -> None:
    """Keep what was allocated where a client leaves it out; drop it where the type has none."""
    spec, before = member(new, "spec"), child(old, "spec")
    kind, was = spec.get("type"), before.get("type")
    if kind == "ExternalName":
        _drop_same(spec, before if was != kind else {}, ("clusterIP", "clusterIPs"))
        return
    if was != "ExternalName" and not spec.get("clusterIP"):
        kept = {key: before[key] for key in ("clusterIP", "clusterIPs") if before.get(key)}
        spec.update(kept)
    elif spec.get("clusterIP") != before.get("clusterIP") and _same_ips(spec, before):
        spec["clusterIPs"] = [spec["clusterIP"]]
    if kind in ("NodePort", "LoadBalancer"):
        _keep_node_ports(items(spec, "ports"), items(before, "ports"))
    elif was in ("NodePort", "LoadBalancer"):
        _drop_node_ports(spec, before)


def _same_ips(spec: Obj, before: Obj) -> bool:
    return items(spec, "clusterIPs") == items(before, "clusterIPs")


def _drop_same(spec: MutableObj, before: Obj, keys: Sequence[str]) -> None:
    """Drop members that a change of type made void, unless the client changed them."""
    for key in keys:
        if key in before and spec.get(key) == before[key]:
            del spec[key]


def _port_key(port: Obj) -> tuple[object, object]:
    return port.get("protocol") or "TCP", port.get("port")


def _keep_node_ports(new: Sequence[Any], old: Sequence[Any]) -> None:
    known = {_port_key(port): port.get("nodePort") for port in old}
    for port in new:
        kept = known.get(_port_key(port))
        if not port.get("nodePort") and kept:
            port["nodePort"] = kept


def _drop_node_ports(spec: MutableObj, before: Obj) -> None:
    known = {_port_key(port): port.get("nodePort") for port in items(before, "ports")}
    for port in items(spec, "ports"):
        if port.get("nodePort") == known.get(_port_key(port)):
            port.pop("nodePort", None)
    void = ("externalTrafficPolicy", "allocateLoadBalancerNodePorts", "healthCheckNodePort")
    _drop_same(spec, before, void)


def validate(service: Obj) -> list[FieldError]:
    """Every fault of a Service."""
    return list(_faults(child(service, "spec")))


def _faults(spec: Obj) -> Faults:
    kind, headless = spec.get("type"), spec.get("clusterIP") == "None"
    yield from one_of("spec.type", kind, TYPES, need=True)
    ports = items(spec, "ports")
    if not ports and not headless and kind != "ExternalName":
        yield required("spec.ports")
    yield from _ports_faults(ports, kind)
    yield from names.labels("spec.selector", child(spec, "selector"))
    yield from _type_faults(spec, kind, headless)
    yield from _affinity_faults(spec)
    yield from _address_faults(spec, kind)
    yield from _policy_faults(spec, kind)


def _type_faults(spec: Obj, kind: object, headless: bool) -> Faults:
    if kind == "ExternalName":
        name = spec.get("externalName") or ""
        yield from needed("spec.externalName", name.removesuffix("."), names.dns_subdomain)
        if spec.get("clusterIP"):
            words = "may not be set when `type` is 'ExternalName'"
            yield forbidden_field("spec.clusterIPs", words)
    if kind in ("LoadBalancer", "NodePort") and headless:
        yield invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    for i, source in enumerate(items(spec, "loadBalancerSourceRanges")):
        network, slash, bits = str(source).strip().partition("/")
        if parse_ip(network) is None or not slash or not bits.isdigit():
            words = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            yield invalid(f"spec.loadBalancerSourceRanges[{i}]", source, words)


def _ports_faults(ports: Sequence[Any], kind: object) -> Faults:
    seen_names: set[str] = set()
    seen: set[tuple[object, object]] = set()
    for i, port in enumerate(ports):
        where = f"spec.ports[{i}]"
        name = port.get("name") or ""
        if not name and len(ports) > 1:
            yield required(f"{where}.name")
        elif name:
            yield from optional(f"{where}.name", name, names.dns_label)
            if name in seen_names:
                yield duplicate(f"{where}.name", name)
        seen_names.add(name)
        yield from port_number(f"{where}.port", port.get("port") or 0)
        yield from one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS, need=True)
        yield from _target_faults(f"{where}.targetPort", port.get("targetPort"))
        optional_name = port.get("appProtocol")
        yield from optional(f"{where}.appProtocol", optional_name, names.qualified_name)
        if port.get("nodePort") and kind in ("ClusterIP", "ExternalName"):
            words = f"may not be used when `type` is '{kind}'"
            yield forbidden_field(f"{where}.nodePort", words)
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            yield duplicate(where, {"port": key[1], "protocol": key[0]})
        seen.add(key)


def _target_faults(path: str, target: object) -> Faults:
    if isinstance(target, str):
        yield from optional(path, target, names.port_name)
    else:
        yield from port_number(path, target)


def _affinity_faults(spec: Obj) -> Faults:
    affinity = spec.get("sessionAffinity")
    yield from one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"), need=True)
    timeout = child(spec, "sessionAffinityConfig", "clientIP").get("timeoutSeconds")
    path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
    if affinity == "ClientIP":
        yield from between(path, timeout, 1, 86_400)
    elif spec.get("sessionAffinityConfig"):
        words = "must not be set when session affinity is None"
        yield forbidden_field("spec.sessionAffinityConfig", words)


def _address_faults(spec: Obj, kind: object) -> Faults:
    addresses = items(spec, "clusterIPs")
    if kind == "ExternalName":
        addresses = ()
    if addresses and addresses[0] != spec.get("clusterIP"):
        yield invalid("spec.clusterIPs", addresses, "first value must match `clusterIP`")
    if len(addresses) > 2:
        yield invalid("spec.clusterIPs", addresses, "may only hold up to 2 values")
    for i, address in enumerate(addresses):
        if address == "None" and (i or len(addresses) > 1):
            yield invalid("spec.clusterIPs", addresses, "'None' must be the first and only value")
        elif address != "None":
            yield from ip(f"spec.clusterIPs[{i}]", address)
    for i, address in enumerate(items(spec, "externalIPs")):
        yield from ip(f"spec.externalIPs[{i}]", address)
        parsed = parse_ip(address)
        if parsed is not None and (parsed.is_loopback or parsed.is_unspecified):
            yield invalid(f"spec.externalIPs[{i}]", address, "may not be loopback or unspecified")


def _policy_faults(spec: Obj, kind: object) -> Faults:
    policy = spec.get("externalTrafficPolicy")
    path = "spec.externalTrafficPolicy"
    if kind in ("NodePort", "LoadBalancer"):
        yield from one_of(path, policy, ("Cluster", "Local"), need=True)
    elif policy:
        yield invalid(path, policy, "may only be set for externally-accessible services")
    if kind != "ExternalName":
        internal = spec.get("internalTrafficPolicy")
        yield from one_of("spec.internalTrafficPolicy", internal, ("Cluster", "Local"), need=True)
    families = items(spec, "ipFamilies")
    for i, family in enumerate(families):
        yield from one_of(f"spec.ipFamilies[{i}]", family, _FAMILIES)
        if family in families[:i]:
            yield duplicate(f"spec.ipFamilies[{i}]", family)
    yield from one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), _POLICIES)
    distribution = spec.get("trafficDistribution")
    allowed = ("PreferClose", "PreferSameNode", "PreferSameZone")
    yield from one_of("spec.trafficDistribution", distribution, allowed)
    yield from between("spec.healthCheckNodePort", spec.get("healthCheckNodePort"), 0, INT32_MAX)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """Cluster IPs stay while the type has them."""
    after, before = child(new, "spec"), child(old, "spec")
    if "ExternalName" in (after.get("type"), before.get("type")):
        return []
    old_ips, new_ips = items(before, "clusterIPs"), items(after, "clusterIPs")
    faults: list[FieldError] = []
    if old_ips and before.get("clusterIP"):
        first = new_ips[0] if new_ips else after.get("clusterIP")
        if first != old_ips[0]:
            faults.append(invalid("spec.clusterIPs[0]", new_ips, "may not change once set"))
    old_families, new_families = items(before, "ipFamilies"), items(after, "ipFamilies")
    if old_families and new_families:
        faults += unchanged("spec.ipFamilies[0]", new_families[0], old_families[0])
    return faults


def _load_balancer(service: Obj) -> Sequence[Any]:
    return items(child(service, "status", "loadBalancer"), "ingress")


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Addresses of the load balancer are well formed."""
    del old
    faults: list[FieldError] = []
    for i, ingress in enumerate(_load_balancer(new)):
        where = f"status.loadBalancer.ingress[{i}]"
        if ingress.get("ip"):
            faults += ip(f"{where}.ip", ingress["ip"])
        faults += optional(f"{where}.hostname", ingress.get("hostname"), names.dns_subdomain)
    return faults


def _field(key: str) -> Any:
    return lambda service: str(child(service, "spec").get(key) or "")


BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    fields={"spec.clusterIP": _field("clusterIP"), "spec.type": _field("type")},
    table=servicetable.TABLE,
    name_rule="label1035",
    deletion_returns_object=True,
)
