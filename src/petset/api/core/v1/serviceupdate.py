"""Service: what an update keeps, drops and may not change.

What was allocated stays where a client leaves it out, and goes where the new type has no use for
it, unless the client changed it in the same breath: then it is a fault.
"""

from collections.abc import Sequence
from typing import Any

from petset.api.check import IMMUTABLE, child, items, member
from petset.api.errors import FieldError, forbidden_field, invalid
from petset.api.meta import MutableObj, Obj

FOREVER = "may not change once set"
_ADDRESSES = ("clusterIP", "clusterIPs")
_FAMILIES = ("ipFamilies", "ipFamilyPolicy")


def has_node_ports(spec: Obj) -> bool:
    """Whether the type comes with node ports."""
    return spec.get("type") in ("NodePort", "LoadBalancer")


def is_external(spec: Obj) -> bool:
    """Whether the Service is reached from outside the cluster: what traffic policies are for."""
    return has_node_ports(spec) or (spec.get("type") == "ClusterIP" and bool(_externals(spec)))


def _externals(spec: Obj) -> Sequence[Any]:
    return items(spec, "externalIPs")


def needs_health_port(spec: Obj) -> bool:
    """Whether a load balancer has to ask the nodes which of them have endpoints."""
    local = spec.get("externalTrafficPolicy") == "Local"
    return spec.get("type") == "LoadBalancer" and local


def prepare_update(new: MutableObj, old: Obj) -> None:
    """Keep what was allocated, drop what the type has no use for."""
    spec, before = member(new, "spec"), child(old, "spec")
    if before.get("type") == "LoadBalancer" != spec.get("type"):
        new["status"] = {**(new.get("status") or {}), "loadBalancer": {}}
    _drop(spec, before)
    _keep(spec, before)


def _drop(spec: MutableObj, before: Obj) -> None:
    kind, was = spec.get("type"), before.get("type")
    if kind == "ExternalName" and was != kind:
        _drop_same(spec, before, (*_ADDRESSES, *_FAMILIES))
    if has_node_ports(before) and not has_node_ports(spec):
        _drop_node_ports(spec, before)
    if was == "LoadBalancer" and kind != was:
        _drop_same(spec, before, ("allocateLoadBalancerNodePorts", "loadBalancerClass"))
    if is_external(before) and not is_external(spec):
        _drop_same(spec, before, ("externalTrafficPolicy",))
    if needs_health_port(before) and not needs_health_port(spec):
        _drop_same(spec, before, ("healthCheckNodePort",))


def _keep(spec: MutableObj, before: Obj) -> None:
    if "ExternalName" not in (spec.get("type"), before.get("type")):
        if not spec.get("clusterIP"):
            _keep_absent(spec, before, _ADDRESSES)
        elif spec.get("clusterIP") != before.get("clusterIP") and _same_ips(spec, before):
            spec["clusterIPs"] = [spec["clusterIP"]]
        _keep_absent(spec, before, _FAMILIES)
    if has_node_ports(spec) and has_node_ports(before):
        _keep_node_ports(items(spec, "ports"), items(before, "ports"))
    if needs_health_port(spec) and needs_health_port(before):
        _keep_absent(spec, before, ("healthCheckNodePort",))


def _keep_absent(spec: MutableObj, before: Obj, keys: Sequence[str]) -> None:
    spec.update({key: before[key] for key in keys if before.get(key) and not spec.get(key)})


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
    used = {port.get("nodePort") for port in new}
    for port in new:
        kept = known.get(_port_key(port))
        if not port.get("nodePort") and kept and kept not in used:
            port["nodePort"] = kept


def _drop_node_ports(spec: MutableObj, before: Obj) -> None:
    known = {_port_key(port): port.get("nodePort") for port in items(before, "ports")}
    for port in items(spec, "ports"):
        if port.get("nodePort") == known.get(_port_key(port)):
            port.pop("nodePort", None)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """Cluster IPs, families, class and health port stay while the type has them."""
    after, before = child(new, "spec"), child(old, "spec")
    faults: list[FieldError] = []
    if "ExternalName" not in (after.get("type"), before.get("type")):
        faults += _address_faults(after, before)
        faults += _family_faults(after, before)
    if after.get("type") == before.get("type") == "LoadBalancer":
        given = after.get("loadBalancerClass")
        if given != before.get("loadBalancerClass"):
            faults.append(invalid("spec.loadBalancerClass", given, FOREVER))
    if needs_health_port(after) and needs_health_port(before):
        port = before.get("healthCheckNodePort")
        if port and after.get("healthCheckNodePort") != port:
            faults.append(forbidden_field("spec.healthCheckNodePort", IMMUTABLE))
    return faults


def _is_headless(spec: Obj) -> bool:
    return list(items(spec, "clusterIPs")) == ["None"]


def _address_faults(after: Obj, before: Obj) -> list[FieldError]:
    old_ips, new_ips = items(before, "clusterIPs"), items(after, "clusterIPs")
    if not old_ips or not before.get("clusterIP"):
        return []
    first = new_ips[0] if new_ips else after.get("clusterIP")
    if first == old_ips[0]:
        return []
    return [invalid("spec.clusterIPs[0]", new_ips, FOREVER)]


def _family_faults(after: Obj, before: Obj) -> list[FieldError]:
    if _is_headless(after) or _is_headless(before):
        return []
    old, new = items(before, "ipFamilies"), items(after, "ipFamilies")
    if not old or not new or old[0] == new[0]:
        return []
    return [invalid("spec.ipFamilies[0]", new, FOREVER)]
