"""EndpointSlice: defaults, validation, update rules, columns."""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.check import Faults, fill, items, one_of, optional, port_number, unchanged, worded
from petset.api.core.v1.container import PROTOCOLS
from petset.api.core.v1.endpoints import SHOWN, endpoint_ip_faults, shorten
from petset.api.errors import FieldError, duplicate, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
ENDPOINTS_MAX = 1000
ADDRESSES_MAX = 100
PORTS_MAX = 20_000


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


def _too_many(path: str, count: int, limit: int) -> FieldError:
    words = f"Too many: {count}: must have at most {limit} items"
    return FieldError(path, "FieldValueTooMany", words)


def _endpoints_faults(endpoints: Sequence[Any], kind: object) -> Faults:
    if len(endpoints) > ENDPOINTS_MAX:
        yield _too_many("endpoints", len(endpoints), ENDPOINTS_MAX)
        return
    for i, endpoint in enumerate(endpoints):
        where, addresses = f"endpoints[{i}]", items(endpoint, "addresses")
        if not addresses:
            yield required(f"{where}.addresses", "must contain at least 1 address")
        elif len(addresses) > ADDRESSES_MAX:
            yield _too_many(f"{where}.addresses", len(addresses), ADDRESSES_MAX)
        for j, address in enumerate(addresses):
            yield from _address_faults(f"{where}.addresses[{j}]", address, kind)
        yield from optional(f"{where}.nodeName", endpoint.get("nodeName"), names.dns_subdomain)
        yield from optional(f"{where}.hostname", endpoint.get("hostname"), names.dns_label)


def _address_faults(path: str, address: object, kind: object) -> Faults:
    if kind == "FQDN":
        yield from worded(path, address, names.dns_subdomain(str(address)))
        return
    yield from endpoint_ip_faults(path, address)
    if kind == "IPv4" and ":" in str(address):
        yield invalid(path, address, "must be a valid IPv4 address")
    elif kind == "IPv6" and ":" not in str(address):
        yield invalid(path, address, "must be a valid IPv6 address")


def _ports_faults(ports: Sequence[Any]) -> Faults:
    if len(ports) > PORTS_MAX:
        yield _too_many("ports", len(ports), PORTS_MAX)
        return
    seen: set[str] = set()
    for i, port in enumerate(ports):
        where, name = f"ports[{i}]", port.get("name") or ""
        yield from optional(f"{where}.name", name, names.dns_label)
        if name in seen:
            yield duplicate(f"{where}.name", name)
        seen.add(name)
        yield from port_number(f"{where}.port", port.get("port"))
        yield from one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS, need=True)
        yield from optional(f"{where}.appProtocol", port.get("appProtocol"), names.qualified_name)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The type of the addresses stays."""
    return list(unchanged("addressType", new.get("addressType"), old.get("addressType")))


def _ports_cell(ports: Sequence[Any]) -> str:
    if not ports:
        return "<unset>"
    texts = [str(port.get("port") or port.get("name") or "*") for port in ports]
    return shorten(texts)


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
    table=TABLE,
    generation=True,
)
