"""Node: validation, update rules, columns."""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.addresses import cidr, cidr_warnings, parse_network
from petset.api.check import Faults, child, items, member, needed, one_of
from petset.api.core.v1.placement import EFFECTS
from petset.api.core.v1.resources import amount_faults, canonical_list
from petset.api.errors import FieldError, duplicate, forbidden_field, invalid
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, condition_of, labels_of, name_of
from petset.api.table import AGE, NAME, age_of

_ROLE = "node-role.kubernetes.io/"


def default(node: MutableObj) -> None:
    """Canonical amounts; what is allocatable follows the capacity where it is not told."""
    member(node, "spec")
    status = node.get("status")
    if isinstance(status, dict):
        canonical_list(status, "capacity")
        canonical_list(status, "allocatable")
        if status.get("capacity") and not status.get("allocatable"):
            status["allocatable"] = dict(status["capacity"])


def validate(node: Obj) -> list[FieldError]:
    """Every fault of a node: taints, addresses, amounts, ranges of pod addresses."""
    spec = child(node, "spec")
    return [
        *_taint_faults(spec),
        *_status_faults(child(node, "status")),
        *_range_faults(items(spec, "podCIDRs")),
    ]


def _taint_faults(spec: Obj) -> Faults:
    seen: set[tuple[object, object]] = set()
    for i, taint in enumerate(items(spec, "taints")):
        # Upstream tells the faults of taints at metadata.
        where, key = f"metadata.taints[{i}]", taint.get("key") or ""
        for message in names.qualified_name(key):
            yield invalid(f"{where}.key", key, message)
        value = taint.get("value") or ""
        if messages := names.label_value(value):
            yield invalid(f"{where}.value", value, ";".join(messages))
        yield from one_of(f"{where}.effect", taint.get("effect"), EFFECTS, need=True)
        pair = (taint.get("effect"), key)
        if pair in seen:
            yield duplicate(where, taint, "taints must be unique by key and effect pair")
        seen.add(pair)


def _range_faults(ranges: Sequence[Any]) -> Faults:
    path, seen = "spec.podCIDRs", set[object]()
    for i, value in enumerate(ranges):
        yield from cidr(f"{path}[{i}]", value)
    networks = [found[1] for found in map(parse_network, ranges) if found]
    if len(ranges) > 1 and (len(ranges) > 2 or len({n.version for n in networks}) < 2):
        yield invalid(path, ranges, "may specify no more than one CIDR for each IP family")
    for i, value in enumerate(ranges):
        if value in seen:
            yield duplicate(f"{path}[{i}]", value)
        seen.add(value)


def _status_faults(status: Obj) -> Faults:
    seen: set[tuple[object, object]] = set()
    for i, address in enumerate(items(status, "addresses")):
        pair = (address.get("type"), address.get("address"))
        if pair in seen:
            yield duplicate(f"status.addresses[{i}]", address)
        seen.add(pair)
    for kind in ("capacity", "allocatable"):
        for name, amount in child(status, kind).items():
            yield from amount_faults(f"status.{kind}.{name}", name, amount)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The pod address range and the provider's id, once set, stay."""
    after, before = child(new, "spec"), child(old, "spec")
    faults: list[FieldError] = []
    ranges = items(before, "podCIDRs")
    if ranges and list(items(after, "podCIDRs")) != list(ranges):
        words = 'node updates may not change podCIDR except from "" to valid'
        faults.append(forbidden_field("spec.podCIDRs", words))
    if before.get("providerID") and after.get("providerID") != before["providerID"]:
        words = 'node updates may not change providerID except from "" to valid'
        faults.append(forbidden_field("spec.providerID", words))
    if (after.get("externalID") or "") != (before.get("externalID") or ""):
        faults.append(forbidden_field("spec.externalID", "may not be updated"))
    return faults


def warnings(node: Obj) -> list[str]:
    """Members of a node's spec that do nothing any more, and addresses in an unusual form."""
    spec, found = child(node, "spec"), []
    if spec.get("configSource") is not None:
        found.append("spec.configSource: the feature is no longer supported")
    if spec.get("externalID"):
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    for i, value in enumerate(items(spec, "podCIDRs")):
        found += cidr_warnings(f"spec.podCIDRs[{i}]", value)
    return found


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Addresses and amounts are well formed."""
    del old
    faults = list(_status_faults(child(new, "status")))
    for i, condition in enumerate(items(child(new, "status"), "conditions")):
        where = f"status.conditions[{i}].type"
        faults += needed(where, condition.get("type"), lambda _: [])
    return faults


def status_of(node: Obj) -> str:
    """Ready, NotReady or Unknown, and whether pods may be scheduled there."""
    ready = condition_of(node, "Ready")
    word = "Unknown"
    if ready is not None:
        word = "Ready" if ready.get("status") == "True" else "NotReady"
    cordoned = child(node, "spec").get("unschedulable")
    return f"{word},SchedulingDisabled" if cordoned else word


def roles_of(node: Obj) -> str:
    """Roles from labels, sorted."""
    roles = set()
    for key, value in labels_of(node).items():
        if key.startswith(_ROLE) and key != _ROLE:
            roles.add(key.removeprefix(_ROLE))
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    return ",".join(sorted(roles)) or "<none>"


def address_of(node: Obj, kind: str) -> str:
    """The first address of a kind (InternalIP, ExternalIP), "" when there is none."""
    addresses = items(child(node, "status"), "addresses")
    return next((a.get("address") or "" for a in addresses if a.get("type") == kind), "")


def _cells(node: Obj, now: float) -> list[Any]:
    info = child(node, "status", "nodeInfo")
    return [
        name_of(node),
        status_of(node),
        roles_of(node),
        age_of(node, now),
        info.get("kubeletVersion") or "",
        address_of(node, "InternalIP") or "<none>",
        address_of(node, "ExternalIP") or "<none>",
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


TABLE = Table(
    (
        NAME,
        Column("Status"),
        Column("Roles"),
        AGE,
        Column("Version"),
        Column("Internal-IP", priority=1),
        Column("External-IP", priority=1),
        Column("OS-Image", priority=1),
        Column("Kernel-Version", priority=1),
        Column("Container-Runtime", priority=1),
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=warnings,
    fields={
        "spec.unschedulable": lambda n: "true" if child(n, "spec").get("unschedulable") else "false"
    },
    table=TABLE,
)
