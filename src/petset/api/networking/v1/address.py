"""IPAddress and ServiceCIDR: objects that petset keeps; its Services' range is a setting."""

from typing import Any

from petset.api import names
from petset.api.addresses import cidr, parse_network
from petset.api.check import IMMUTABLE, Faults, child, items, needed, optional, semantically
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, name_of
from petset.api.table import AGE, NAME, age_of

_RANGES_MAX = 2


def validate_address(address: Obj) -> list[FieldError]:
    """Every fault of an IPAddress."""
    return list(_parent_faults(child(address, "spec")))


def _parent_faults(spec: Obj) -> Faults:
    path, parent = "spec.parentRef", child(spec, "parentRef")
    if spec.get("parentRef") is None:
        yield required(path)
        return
    yield from optional(f"{path}.group", parent.get("group"), names.dns_subdomain)
    for key in ("resource", "name"):
        yield from needed(f"{path}.{key}", parent.get(key), names.path_segment)
    yield from optional(f"{path}.namespace", parent.get("namespace"), names.path_segment)


def _frozen(new: Obj, old: Obj, key: str) -> list[FieldError]:
    after, before = (child(one, "spec").get(key) for one in (new, old))
    same = semantically(after) == semantically(before)
    return [] if same else [invalid(f"spec.{key}", after, IMMUTABLE)]


def _address_cells(address: Obj, now: float) -> list[Any]:
    del now
    parent = child(address, "spec", "parentRef")
    keys = ("resource", "group", "namespace", "name")
    resource, group, namespace, name = (str(parent.get(key) or "") for key in keys)
    what = f"{resource}.{group}" if group else resource
    shown = "/".join(part for part in (what, namespace, name) if part)
    return [name_of(address), shown or "<none>"]


def validate_range(service_range: Obj) -> list[FieldError]:
    """Every fault of a ServiceCIDR."""
    return list(_range_faults(child(service_range, "spec")))


def _range_faults(spec: Obj) -> Faults:
    path, ranges = "spec.cidrs", items(spec, "cidrs")
    if not ranges:
        yield required(path, "at least one CIDR required")
        return
    if len(ranges) > _RANGES_MAX:
        yield invalid(path, {"CIDRs": ranges}, "may only hold up to 2 values")
        return
    families = [found[1].version for found in map(parse_network, ranges) if found]
    if len(ranges) == _RANGES_MAX and len(set(families)) != _RANGES_MAX:
        words = (
            "may specify no more than one IP for each IP family, "
            "i.e 192.168.0.0/24 and 2001:db8::/64"
        )
        yield invalid(path, {"CIDRs": ranges}, words)
        return
    for i, value in enumerate(ranges):
        yield from cidr(f"{path}[{i}]", value)


def _range_cells(service_range: Obj, now: float) -> list[Any]:
    ranges = items(child(service_range, "spec"), "cidrs")
    return [name_of(service_range), ",".join(map(str, ranges)), age_of(service_range, now)]


ADDRESS = Behaviour(
    validate=validate_address,
    validate_update=lambda new, old: _frozen(new, old, "parentRef"),
    table=Table((NAME, Column("ParentRef")), _address_cells),
    name_rule="ip",
)

RANGE = Behaviour(
    validate=validate_range,
    validate_update=lambda new, old: _frozen(new, old, "cidrs"),
    table=Table((NAME, Column("CIDRs"), AGE), _range_cells),
)
