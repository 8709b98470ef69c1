"""Endpoints: the older list of a Service's addresses."""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.addresses import endpoint, ip_warnings
from petset.api.check import Faults, fill, items, one_of, optional, port_number
from petset.api.core.v1.container import PROTOCOLS
from petset.api.errors import FieldError, required
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
    yield from endpoint(f"{path}.ip", address.get("ip") or "")


def ports_faults(path: str, ports: Sequence[Any]) -> Faults:
    """Ports of a subset: several need names."""
    for i, port in enumerate(ports):
        where = f"{path}[{i}]"
        if not port.get("name") and len(ports) > 1:
            yield required(f"{where}.name")
        yield from optional(f"{where}.name", port.get("name"), names.dns_label)
        yield from port_number(f"{where}.port", port.get("port") or 0)
        yield from one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS, need=True)
        yield from optional(f"{where}.appProtocol", port.get("appProtocol"), names.qualified_name)


def warnings(endpoints: Obj) -> list[str]:
    """Addresses in an unusual form."""
    found: list[str] = []
    for i, subset in enumerate(items(endpoints, "subsets")):
        for kind in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(items(subset, kind)):
                found += ip_warnings(f"subsets[{i}].{kind}[{j}].ip", address.get("ip"))
    return found


def shorten(texts: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    more = len(texts) - SHOWN
    joined = ",".join(texts[:SHOWN])
    return f"{joined} + {more} more..." if more > 0 else joined


def _addresses(endpoints: Obj) -> list[str]:
    found = []
    for subset in items(endpoints, "subsets"):
        ports = items(subset, "ports")
        hosts = [str(address.get("ip") or "") for address in items(subset, "addresses")]
        joined = [f"[{host}]" if ":" in host else host for host in hosts]
        found += [f"{h}:{port.get('port')}" for port in ports for h in joined] if ports else hosts
    return found


def _shown(endpoints: Obj, addresses: Sequence[str]) -> str:
    return shorten(addresses) if items(endpoints, "subsets") else "<none>"


def _cells(endpoints: Obj, now: float) -> list[Any]:
    addresses = _addresses(endpoints)
    return [name_of(endpoints), _shown(endpoints, addresses), age_of(endpoints, now)]


TABLE = Table((NAME, Column("Endpoints"), AGE), _cells)

BEHAVIOUR = Behaviour(
    default=default, validate=validate, warnings=warnings, table=TABLE, create_on_update=True
)
