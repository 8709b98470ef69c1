"""Service: defaults, validation, update rules, columns.

The cluster IP and node ports are allocated by admission; here they are only kept and checked.
Invariant: a Service keeps its cluster IPs as long as it is of a type that has them.
"""

from collections.abc import Sequence
from typing import Any

from petset.api import addresses as address_rules
from petset.api import names
from petset.api.check import (
    Faults,
    child,
    fill,
    ip,
    items,
    member,
    needed,
    number_of,
    one_of,
    optional,
    parse_ip,
    port_number,
)
from petset.api.core.v1 import servicetable
from petset.api.core.v1.container import PROTOCOLS
from petset.api.core.v1.servicefamily import FAMILIES, family_of
from petset.api.core.v1.serviceupdate import (
    is_external,
    needs_health_port,
    prepare_update,
    validate_update,
)
from petset.api.errors import FieldError, duplicate, forbidden_field, invalid, required
from petset.api.kind import Behaviour
from petset.api.meta import MutableObj, Obj, annotations_of

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
STICKY_S, STICKY_MAX_S = 10_800, 86_400
_OLD_HINTS = "service.kubernetes.io/topology-aware-hints"
_HINTS = "service.kubernetes.io/topology-mode"
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
    if is_external(spec):
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
    """Both spellings of the cluster IP alike; families are settled with the addresses."""
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]


def prepare_create(service: MutableObj) -> None:
    """The load balancer's part of the status is always shown."""
    service["status"] = {"loadBalancer": {}}


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
    yield from _balancer_faults(spec, kind)
    yield from _affinity_faults(spec)
    yield from _address_faults(spec, kind)
    yield from _policy_faults(spec, kind)


def _type_faults(spec: Obj, kind: object, headless: bool) -> Faults:
    if kind == "ExternalName":
        words = "may not be set for ExternalName services"
        for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(key) or (key == "clusterIPs" and spec.get("clusterIP")):
                yield forbidden_field(f"spec.{key}", words)
        name = spec.get("externalName") or ""
        yield from needed("spec.externalName", name.removesuffix("."), names.dns_subdomain)
    if kind in ("LoadBalancer", "NodePort") and headless:
        yield invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")


def _balancer_faults(spec: Obj, kind: object) -> Faults:
    only = "may only be used when `type` is 'LoadBalancer'"
    ranges = items(spec, "loadBalancerSourceRanges")
    if kind != "LoadBalancer":
        if ranges:
            yield forbidden_field("spec.LoadBalancerSourceRanges", only)
        for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(key) is not None:
                yield forbidden_field(f"spec.{key}", only)
    else:
        given = spec.get("loadBalancerClass")
        yield from optional("spec.loadBalancerClass", given, names.qualified_name)
    for i, source in enumerate(ranges):
        if not _is_network(str(source).strip()):
            words = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            yield invalid(f"spec.LoadBalancerSourceRanges[{i}]", source, words)


def _is_network(text: str) -> bool:
    address, slash, bits = text.partition("/")
    parsed = parse_ip(address)
    if parsed is None or not slash or not (bits.isascii() and bits.isdigit()):
        return False
    return number_of(bits) <= parsed.max_prefixlen


def _ports_faults(ports: Sequence[Any], kind: object) -> Faults:
    seen_names: set[str] = set()
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
    yield from _double_faults(ports)


def _double_faults(ports: Sequence[Any]) -> Faults:
    """A port, or a node port, of one protocol stands there once."""
    nodes: set[tuple[object, object]] = set()
    seen: set[tuple[object, object]] = set()
    for i, port in enumerate(ports):
        protocol, number, node = (port.get(k) for k in ("protocol", "port", "nodePort"))
        if node and (protocol, node) in nodes:
            yield duplicate(f"spec.ports[{i}].nodePort", node)
        nodes.add((protocol, node))
        if (protocol, number) in seen:
            rest = {"TargetPort": 0, "NodePort": 0}
            head = {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": number}
            yield duplicate(f"spec.ports[{i}]", {**head, **rest})
        seen.add((protocol, number))


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
        if not isinstance(timeout, int) or not 0 < timeout <= STICKY_MAX_S:
            yield invalid(path, timeout, f"must be greater than 0 and less than {STICKY_MAX_S}")
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
    faults: list[FieldError] = []
    for i, address in enumerate(addresses):
        if address == "None" and len(addresses) > 1 and not i:
            words = "'None' must be the first and only value"
            faults.append(invalid("spec.clusterIPs", addresses, words))
        elif address != "None" or i:
            faults += ip(f"spec.clusterIPs[{i}]", address)
    yield from faults
    if not faults:
        yield from _family_faults(addresses, items(spec, "ipFamilies"))
    for i, address in enumerate(items(spec, "externalIPs")):
        path = f"spec.externalIPs[{i}]"
        yield from list(ip(path, address)) or address_rules.non_special(path, address)


def _family_faults(addresses: Sequence[Any], families: Sequence[Any]) -> Faults:
    """One cluster IP of each family, in the order of the families."""
    if len(addresses) == 2 and family_of(addresses[0]) == family_of(addresses[1]):
        words = "may specify no more than one IP for each IP family"
        yield invalid("spec.clusterIPs", addresses, words)
    for i, (address, family) in enumerate(zip(addresses, families, strict=False)):
        if address != "None" and family in FAMILIES and family_of(address) != family:
            words = f"expected an {family} value as indicated by `ipFamilies[{i}]`"
            yield invalid(f"spec.clusterIPs[{i}]", address, words)


def _policy_faults(spec: Obj, kind: object) -> Faults:
    policy = spec.get("externalTrafficPolicy")
    path = "spec.externalTrafficPolicy"
    if is_external(spec):
        yield from one_of(path, policy, ("Cluster", "Local"), need=True)
    elif policy:
        yield invalid(path, policy, "may only be set for externally-accessible services")
    yield from _health_faults(spec)
    if kind != "ExternalName":
        internal = spec.get("internalTrafficPolicy")
        yield from one_of("spec.internalTrafficPolicy", internal, ("Cluster", "Local"), need=True)
    families = items(spec, "ipFamilies")
    for i, family in enumerate(families):
        yield from one_of(f"spec.ipFamilies[{i}]", family, FAMILIES)
        if family in families[:i]:
            yield duplicate(f"spec.ipFamilies[{i}]", family)
    yield from one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), _POLICIES)
    distribution = spec.get("trafficDistribution")
    allowed = ("PreferClose", "PreferSameNode", "PreferSameZone")
    yield from one_of("spec.trafficDistribution", distribution, allowed)


def _health_faults(spec: Obj) -> Faults:
    """The port is allocated where it is needed; elsewhere nobody answers at it."""
    path, port = "spec.healthCheckNodePort", spec.get("healthCheckNodePort")
    if port and not needs_health_port(spec):
        kind, policy = "`type` is 'LoadBalancer'", "`externalTrafficPolicy` is 'Local'"
        yield invalid(path, port, f"may only be set when {kind} and {policy}")
    elif port:
        yield from port_number(path, port)


def _load_balancer(service: Obj) -> Sequence[Any]:
    return items(child(service, "status", "loadBalancer"), "ingress")


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Addresses of the load balancer are well formed, and only where there is one."""
    del old
    faults: list[FieldError] = []
    given = _load_balancer(new)
    if given and child(new, "spec").get("type") != "LoadBalancer":
        words = "may only be used when `spec.type` is 'LoadBalancer'"
        return [forbidden_field("status.loadBalancer.ingress", words)]
    for i, ingress in enumerate(given):
        where = f"status.loadBalancer.ingress[{i}]"
        if ingress.get("ip"):
            faults += ip(f"{where}.ip", ingress["ip"])
            faults += one_of(f"{where}.ipMode", ingress.get("ipMode"), ("Proxy", "VIP"))
        elif ingress.get("ipMode"):
            words = "may not be specified when `ip` is not set"
            faults.append(forbidden_field(f"{where}.ipMode", words))
        hostname = ingress.get("hostname")
        faults += optional(f"{where}.hostname", hostname, names.dns_subdomain)
        if parse_ip(hostname) is not None:
            words = "must be a DNS name, not an IP address"
            faults.append(invalid(f"{where}.hostname", hostname, words))
    return faults


def warnings(service: Obj) -> list[str]:
    """Members that do nothing in a Service of this sort, in upstream's words."""
    spec = child(service, "spec")
    found = []
    if _OLD_HINTS in annotations_of(service):
        found.append(f"annotation {_OLD_HINTS} is deprecated, please use {_HINTS} instead")
    for key in ("clusterIPs", "externalIPs"):
        for i, address in enumerate(items(spec, key)):
            found += address_rules.ip_warnings(f"spec.{key}[{i}]", address)
    found += address_rules.ip_warnings("spec.loadBalancerIP", spec.get("loadBalancerIP"))
    for i, network in enumerate(items(spec, "loadBalancerSourceRanges")):
        where = f"spec.loadBalancerSourceRanges[{i}]"
        found += address_rules.cidr_warnings(where, str(network).strip())
    if spec.get("externalName") and spec.get("type") != "ExternalName":
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("clusterIP") == "None":
        void = [n for n in ("loadBalancerIP", "externalIPs") if spec.get(n)]
        found += [f"spec.{name} is ignored for headless services" for name in void]
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    return found


def _field(key: str) -> Any:
    return lambda service: str(child(service, "spec").get(key) or "")


BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=warnings,
    fields={"spec.clusterIP": _field("clusterIP"), "spec.type": _field("type")},
    table=servicetable.TABLE,
    name_rule="label1035",
    create_on_update=True,
    deletion_returns_object=True,
)
