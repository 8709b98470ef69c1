"""NetworkPolicy: defaults, validation, columns. An object only: petset does not enforce it."""

from typing import Any

from petset.api import names, selectors
from petset.api.addresses import cidr, cidr_warnings, parse_network
from petset.api.check import Faults, child, fill, items, member, one_of, port_number, worded
from petset.api.errors import FieldError, forbidden_field, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

TYPES = ("Ingress", "Egress")
PROTOCOLS = ("TCP", "UDP", "SCTP")
_SIDES = (("ingress", "from"), ("egress", "to"))


def default(policy: MutableObj) -> None:
    """Ports are TCP; the directions follow from the rules."""
    spec = member(policy, "spec")
    for direction, _ in _SIDES:
        for rule in items(spec, direction):
            for port in items(rule, "ports"):
                fill(port, "protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def validate(policy: Obj) -> list[FieldError]:
    """Every fault of a policy."""
    return list(_faults(child(policy, "spec")))


def _faults(spec: Obj) -> Faults:
    yield from selectors.validate(child(spec, "podSelector"), "spec.podSelector")
    for direction, peers in _SIDES:
        for i, rule in enumerate(items(spec, direction)):
            where = f"spec.{direction}[{i}]"
            for j, port in enumerate(items(rule, "ports")):
                yield from _port_faults(f"{where}.ports[{j}]", port)
            for j, peer in enumerate(items(rule, peers)):
                yield from _peer_faults(f"{where}.{peers}[{j}]", peer)
    types = items(spec, "policyTypes")
    if len(types) > len(TYPES):
        words = "may not specify more than two policyTypes"
        yield invalid("spec.policyTypes", types, words)
        return
    for i, one in enumerate(types):
        if one not in TYPES:
            yield not_supported(f"spec.policyTypes[{i}]", one, TYPES)


def _port_faults(path: str, port: Obj) -> Faults:
    yield from one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
    first, last, where = port.get("port"), port.get("endPort"), f"{path}.endPort"
    if first is None:
        if last is not None:
            yield invalid(where, last, "may not be specified when `port` is not specified")
    elif isinstance(first, int):
        yield from port_number(f"{path}.port", first)
        if last is not None:
            if last < first:
                yield invalid(where, first, "must be greater than or equal to `port`")
            yield from port_number(where, last)
    else:
        if last is not None:
            yield invalid(where, last, "may not be specified when `port` is non-numeric")
        yield from worded(f"{path}.port", first, names.port_name(str(first)))


def _peer_faults(path: str, peer: Obj) -> Faults:
    given = [key for key in ("podSelector", "namespaceSelector") if peer.get(key) is not None]
    for key in given:
        yield from selectors.validate(peer[key], f"{path}.{key}")
    if peer.get("ipBlock") is not None:
        yield from _block_faults(f"{path}.ipBlock", child(peer, "ipBlock"))
        if given:
            yield forbidden_field(path, "may not specify both ipBlock and another peer")
    elif not given:
        yield required(path, "must specify a peer")


def _block_faults(path: str, block: Obj) -> Faults:
    if not block.get("cidr"):
        yield required(f"{path}.cidr")
        return
    yield from cidr(f"{path}.cidr", block["cidr"])
    whole = parse_network(block["cidr"])
    if whole is None:
        return
    for i, text in enumerate(items(block, "except")):
        where, part = f"{path}.except[{i}]", parse_network(text)
        yield from cidr(where, text)
        if part is None:
            continue
        same = part[1].version == whole[1].version
        inside = same and part[1].network_address in whole[1]
        if not inside or whole[1].prefixlen >= part[1].prefixlen:
            yield invalid(where, text, "must be a strict subset of `cidr`")


def warnings(policy: Obj) -> list[str]:
    """Networks in an unusual form."""
    found: list[str] = []
    for direction, peers in _SIDES:
        for i, rule in enumerate(items(child(policy, "spec"), direction)):
            for j, peer in enumerate(items(rule, peers)):
                where, block = f"spec.{direction}[{i}].{peers}[{j}].ipBlock", child(peer, "ipBlock")
                found += cidr_warnings(f"{where}.cidr", block.get("cidr"))
                for k, part in enumerate(items(block, "except")):
                    found += cidr_warnings(f"{where}.except[{k}]", part)
    return found


def _cells(policy: Obj, now: float) -> list[Any]:
    chosen = child(policy, "spec", "podSelector")
    return [name_of(policy), selectors.show(chosen), age_of(policy, now)]


BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    warnings=warnings,
    table=Table((NAME, Column("Pod-Selector"), AGE), _cells),
    generation=True,
)
