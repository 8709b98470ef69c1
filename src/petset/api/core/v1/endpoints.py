"""Endpoints: the older list of a Service's addresses."""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.check import Faults, fill, ip, items, one_of, optional, parse_ip, port_number
from petset.api.core.v1.container import PROTOCOLS
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

SHOWN = 3


def default(endpoints: MutableObj) -> None:
    """Ports are TCP."""
    for subset in items(endpoints, "subsets"):
        for port in items(subset, "ports"):
            fill(port, "protocol", "TCP")


def validate(endpoints: Obj) -> list[FieldError]:
    """Every fault of the subsets."""
    return list(_faults(items(endpoints, "subsets")))


def _faults(subsets: Sequence[Any]) -> Faults:
    for i, subset in enumerate(subsets):
        where = f"subsets[{i}]"
        if not items(subset, "addresses") and not items(subset, "notReadyAddresses"):
            yield required(where, "must specify `addresses` or `notReadyAddresses`")
        for kind in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(items(subset, kind)):
                yield from _address_faults(f"{where}.{kind}[{j}]", address)
        yield from ports_faults(f"{where}.ports", items(subset, "ports"))


def _address_faults(path: str, address: Obj) -> Faults:
    yield from optional(f"{path}.hostname", address.get("hostname"), names.dns_label)
    yield from optional(f"{path}.nodeName", address.get("nodeName"), names.dns_subdomain)
    yield from endpoint_ip_faults(f"{path}.ip", address.get("ip"))


def endpoint_ip_faults(path: str, value: object) -> Faults:
    """An address at which another machine can be reached."""
    yield from ip(path, value)
    address = parse_ip(value)
    if address is None:
        return
    if address.is_unspecified:
        yield invalid(path, value, f"may not be unspecified ({value})")
    if address.is_loopback:
        yield invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        words = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        yield invalid(path, value, words)


def ports_faults(path: str, ports: Sequence[Any]) -> Faults:
    """Ports of a subset: several need names."""
    for i, port in enumerate(ports):
        where = f"{path}[{i}]"
        if not port.get("name") and len(ports) > 1:
            yield required(f"{where}.name")
        yield from optional(f"{where}.name", port.get("name"), names.dns_label)
        yield from port_number(f"{where}.port", port.get("port") or 0)
        yield from one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS, need=True)


def shorten(texts: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    more = len(texts) - SHOWN
    joined = ",".join(texts[:SHOWN])
    return f"{joined} + {more} more..." if more > 0 else joined


def _addresses(endpoints: Obj) -> list[str]:
    found = []
    for subset in items(endpoints, "subsets"):
        ports = items(subset, "ports")
        for address in items(subset, "addresses"):
            host = str(address.get("ip") or "")
            bracketed = f"[{host}]" if ":" in host else host
            found += [f"{bracketed}:{port.get('port')}" for port in ports] or [host]
    return found


def _cells(endpoints: Obj, now: float) -> list[Any]:
    addresses = _addresses(endpoints)
    return [name_of(endpoints), shorten(addresses) or "<none>", age_of(endpoints, now)]


TABLE = Table((NAME, Column("Endpoints"), AGE), _cells)

BEHAVIOUR = Behaviour(default=default, validate=validate, table=TABLE, create_on_update=True)
