"""Resource lists and requirements: canonical quantities, names, requests below limits."""

from collections.abc import Mapping
from typing import Any

from petset.api import names, quantity
from petset.api.check import NOT_NEGATIVE, Faults, child, worded
from petset.api.errors import forbidden_field, invalid, required
from petset.api.meta import MutableObj, Obj

COMPUTE = ("cpu", "memory", "ephemeral-storage")
COUNTED = (
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
"""Resources of which there are whole ones only."""

_STANDARD = (
    *COMPUTE,
    "storage",
    *COUNTED,
    *(f"requests.{name}" for name in (*COMPUTE, "storage")),
    *(f"limits.{name}" for name in COMPUTE),
)


def canonical(amount: object) -> Any:
    """The canonical text of a quantity; anything else is left for validation to refuse."""
    try:
        return quantity.canonical(amount)
    except ValueError:
        return amount


def canonical_list(holder: MutableObj, key: str) -> None:
    """Put the quantities of a resource list in canonical form."""
    amounts = holder.get(key)
    if isinstance(amounts, dict):
        holder[key] = {name: canonical(amount) for name, amount in amounts.items()}


def default_requirements(resources: MutableObj, *, requests_from_limits: bool) -> None:
    """Canonical quantities; in a Pod (not in a template) requests follow limits."""
    canonical_list(resources, "limits")
    canonical_list(resources, "requests")
    limits = resources.get("limits")
    if requests_from_limits and limits:
        resources["requests"] = {**limits, **(resources.get("requests") or {})}


def parsed(amount: object) -> quantity.Quantity | None:
    """The quantity, or None if it is none."""
    try:
        return quantity.parse(amount)
    except ValueError:
        return None


def quantity_faults(path: str, amount: object) -> Faults:
    """A quantity that is well formed and not negative."""
    try:
        value = quantity.parse(amount)
    except ValueError as error:
        yield invalid(path, amount, str(error))
        return
    if value.nano < 0:
        yield invalid(path, canonical(amount), NOT_NEGATIVE)


def basic_faults(path: str, amount: object) -> Faults:
    """A quantity that is well formed and not negative, as volumes put it."""
    value = parsed(amount)
    if value is None:
        yield from quantity_faults(path, amount)
    elif value.nano < 0:
        yield invalid(path, value.whole, "must be a valid resource quantity")


def positive_faults(path: str, amount: object) -> Faults:
    """A quantity, if well formed, is over zero."""
    value = parsed(amount)
    if value is not None and value.nano <= 0:
        yield invalid(path, canonical(amount), "must be greater than zero")


def is_fractional(amount: object) -> bool:
    """Whether an amount, if there is one, is no whole number."""
    value = parsed(amount) if amount is not None else None
    return value is not None and value.milli % 1000 != 0


def is_hugepages(name: str) -> bool:
    """Whether a resource is huge pages of some size."""
    return name.startswith("hugepages-")


def is_native(name: str) -> bool:
    """Whether a resource is one of Kubernetes' own, not an extended one."""
    prefix, slash, _ = name.rpartition("/")
    return not slash or prefix.endswith("kubernetes.io")


def is_extended(name: str) -> bool:
    """Whether a resource is of the kind that device plugins offer (vendor.com/thing)."""
    return not is_native(name) and not name.startswith("requests.")


def _is_standard(name: str) -> bool:
    return name in _STANDARD or name.startswith(("hugepages-", "requests.hugepages-"))


def name_faults(path: str, name: str) -> Faults:
    """A resource name: qualified; without a prefix only the standard ones."""
    faults = names.qualified_name(name)
    yield from worded(path, name, faults)
    if not faults and "/" not in name and not _is_standard(name):
        yield invalid(path, name, "must be a standard resource type or fully qualified")


def quota_name_faults(path: str, name: str) -> Faults:
    """A resource name that a quota may bound."""
    yield from name_faults(path, name)
    if "/" not in name and not is_quota_name(name):
        yield invalid(path, name, "must be a standard resource for quota")


def is_quota_name(name: str) -> bool:
    """Whether a quota may bound a resource of this name, which has no prefix."""
    return _is_standard(name) and name != "storage"


def container_name_faults(path: str, name: str) -> Faults:
    """A resource name that a container may ask for."""
    yield from name_faults(path, name)
    if "/" not in name:
        if name not in COMPUTE and not is_hugepages(name):
            yield invalid(path, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def amount_faults(path: str, name: str, amount: object) -> Faults:
    """An amount of a resource: not negative, whole for extended resources."""
    yield from quantity_faults(path, amount)
    value = parsed(amount)
    counted = is_extended(name) or name in COUNTED
    if value is not None and counted and value.milli % 1000:
        yield invalid(path, canonical(amount), "must be an integer")


def requirement_faults(path: str, resources: Obj) -> Faults:
    """Every fault of a container's `resources`, but for its claims."""
    limits, requests = child(resources, "limits"), child(resources, "requests")
    for name, amount in limits.items():
        yield from _container_amount_faults(f"{path}.limits[{name}]", name, amount)
    for name, amount in requests.items():
        yield from _container_amount_faults(f"{path}.requests[{name}]", name, amount)
        yield from _request_faults(path, name, amount, limits)
    both = {*limits, *requests}
    if any(is_hugepages(name) for name in both) and not both & {"cpu", "memory"}:
        yield forbidden_field(path, "HugePages require cpu or memory")


def _container_amount_faults(path: str, name: str, amount: object) -> Faults:
    yield from container_name_faults(path, name)
    yield from amount_faults(path, name, amount)
    page = parsed(name.removeprefix("hugepages-")) if is_hugepages(name) else None
    size = parsed(amount)
    if page is None or size is None or page.nano <= 0:
        return
    if size.nano <= 0 or size.nano % page.nano:
        words = f"{canonical(amount)} is not positive integer multiple of {name}"
        yield invalid(path, canonical(amount), words)


def _request_faults(path: str, name: str, amount: object, limits: Mapping[str, Any]) -> Faults:
    overcommit = is_native(name) and not is_hugepages(name)
    if name not in limits:
        if not overcommit:
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        return
    request, limit = parsed(amount), parsed(limits[name])
    if request is None or limit is None:
        return
    where = f"{path}.requests"
    if not overcommit and request != limit:
        yield invalid(where, str(request), f"must be equal to {name} limit of {limit}")
    elif request > limit:
        yield invalid(where, str(request), f"must be less than or equal to {name} limit of {limit}")
