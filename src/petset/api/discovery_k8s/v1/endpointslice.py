"""EndpointSlice: defaults, validation, update rules, columns."""

from collections.abc import Sequence
from typing import Any

from petset.api import addresses as address_rules
from petset.api import names
from petset.api.check import (
    Faults,
    child,
    fill,
    items,
    one_of,
    optional,
    port_number,
    unchanged,
    worded,
)
from petset.api.core.v1.container import PROTOCOLS
from petset.api.core.v1.endpoints import SHOWN, shorten
from petset.api.domains import fully_qualified
from petset.api.errors import FieldError, duplicate, required, too_many
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, labels_of, name_of
from petset.api.table import AGE, NAME, age_of

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
ENDPOINTS_MAX = 1000
ADDRESSES_MAX = 100
PORTS_MAX = 20_000
TOPOLOGY_MAX = 16
HINTS_MAX = 8


def default(piece: MutableObj) -> None:
    """Ports have a name (possibly empty) and a protocol."""
    for port in items(piece, "ports"):
        if port.get("name") is None:
            port["name"] = ""
        fill(port, "protocol", "TCP")


def validate(piece: Obj) -> list[FieldError]:
    """Every fault of a slice."""
    kind = piece.get("addressType")
    return [
        *one_of("addressType", kind, ADDRESS_TYPES, need=True),
        *_endpoints_faults(items(piece, "endpoints"), kind),
        *_ports_faults(items(piece, "ports")),
    ]


def _endpoints_faults(endpoints: Sequence[Any], kind: object) -> Faults:
    if len(endpoints) > ENDPOINTS_MAX:
        yield too_many("endpoints", len(endpoints), ENDPOINTS_MAX)
        return
    for i, endpoint in enumerate(endpoints):
        where, addresses = f"endpoints[{i}]", items(endpoint, "addresses")
        if not addresses:
            yield required(f"{where}.addresses", "must contain at least 1 address")
        elif len(addresses) > ADDRESSES_MAX:
            yield too_many(f"{where}.addresses", len(addresses), ADDRESSES_MAX)
        for j, address in enumerate(addresses):
            yield from _address_faults(f"{where}.addresses[{j}]", address, kind)
        yield from _place_faults(where, endpoint)


def _place_faults(path: str, endpoint: Obj) -> Faults:
    """Where an endpoint is: node, labels of an older API, host name, zones it is meant for."""
    node, host = endpoint.get("nodeName"), endpoint.get("hostname")
    if node is not None:
        yield from worded(f"{path}.nodeName", node, names.dns_subdomain(str(node)))
    topology = child(endpoint, "deprecatedTopology")
    if len(topology) > TOPOLOGY_MAX:
        yield too_many(f"{path}.deprecatedTopology", len(topology), TOPOLOGY_MAX)
    yield from names.labels(f"{path}.deprecatedTopology", topology)
    if host is not None:
        yield from worded(f"{path}.hostname", host, names.dns_label(str(host)))
    hints = child(endpoint, "hints")
    for key, rule in (("forZones", names.label_value), ("forNodes", names.dns_subdomain)):
        where, given, seen = f"{path}.hints.{key}", items(hints, key), set[str]()
        if len(given) > HINTS_MAX:
            yield too_many(where, len(given), HINTS_MAX)
            continue
        for i, one in enumerate(given):
            name = str(one.get("name") or "")
            if name in seen:
                yield duplicate(f"{where}[{i}].name", name)
            seen.add(name)
            yield from worded(f"{where}[{i}].name", name, rule(name))


def _address_faults(path: str, address: object, kind: object) -> Faults:
    if kind == "FQDN":
        yield from fully_qualified(path, address)
    elif kind in ("IPv4", "IPv6"):
        yield from address_rules.of_family(path, address, 4 if kind == "IPv4" else 6)
        yield from address_rules.non_special(path, address)


def _ports_faults(ports: Sequence[Any]) -> Faults:
    if len(ports) > PORTS_MAX:
        yield too_many("ports", len(ports), PORTS_MAX)
        return
    seen: set[str] = set()
    for i, port in enumerate(ports):
        where, name = f"ports[{i}]", port.get("name") or ""
        yield from optional(f"{where}.name", name, names.dns_label)
        if name in seen:
            yield duplicate(f"{where}.name", name)
        seen.add(name)
        # Upstream takes any number here; what is no port would spoil the rules of every proxy.
        yield from port_number(f"{where}.port", port.get("port"))
        yield from one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS, need=True)
        yield from optional(f"{where}.appProtocol", port.get("appProtocol"), names.qualified_name)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The type of the addresses stays."""
    return list(unchanged("addressType", new.get("addressType"), old.get("addressType")))


def warnings(piece: Obj) -> list[str]:
    """Domain names as endpoints, and addresses in an unusual form."""
    if piece.get("addressType") == "FQDN":
        return ["spec.addressType: FQDN endpoints are deprecated"]
    if labels_of(piece).get(_MANAGED_BY) in _KNOWN_TO_BE_RIGHT:
        return []
    found: list[str] = []
    for i, endpoint in enumerate(items(piece, "endpoints")):
        for j, address in enumerate(items(endpoint, "addresses")):
            found += address_rules.ip_warnings(f"endpoints[{i}].addresses[{j}]", address)
    return found


_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_KNOWN_TO_BE_RIGHT = (
    "endpointslice-controller.k8s.io",
    "endpointslicemirroring-controller.k8s.io",
)
"""Controllers that write addresses in their usual form."""


def _ports_cell(ports: Sequence[Any]) -> str:
    if not ports:
        return "<unset>"
    texts = [_port_text(port) for port in ports]
    return shorten(texts)


def _port_text(port: Obj) -> str:
    number, name = port.get("port"), port.get("name")
    if number is not None:
        return str(number)
    return "*" if name is None else str(name)


def _endpoints_cell(endpoints: Sequence[Any]) -> str:
    addresses = [str(a) for endpoint in endpoints for a in items(endpoint, "addresses")]
    return shorten(addresses) if addresses else "<unset>"


def _cells(piece: Obj, now: float) -> list[Any]:
    return [
        name_of(piece),
        piece.get("addressType") or "",
        _ports_cell(items(piece, "ports")),
        _endpoints_cell(items(piece, "endpoints")),
        age_of(piece, now),
    ]


TABLE = Table(
    (
        NAME,
        Column("AddressType"),
        Column("Ports", description=f"The first {SHOWN} ports."),
        Column("Endpoints", description=f"The first {SHOWN} addresses."),
        AGE,
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    table=TABLE,
    generation=True,
)
