"""Resources of a pod as a whole (spec.resources): defaults and validation."""

from collections.abc import Mapping
from typing import Any

from petset.api.check import Faults, child, items
from petset.api.core.v1 import resources
from petset.api.core.v1.resources import parsed
from petset.api.errors import forbidden_field, invalid, not_supported
from petset.api.meta import MutableObj, Obj
from petset.api.quantity import Quantity

SUPPORTED = ("cpu", "memory")


def default(spec: MutableObj, *, in_pod: bool) -> None:
    """Canonical quantities; in a Pod requests follow the containers' requests, or the limits."""
    whole = spec["resources"]
    resources.default_requirements(whole, requests_from_limits=False)
    limits = child(whole, "limits")
    if not in_pod or not limits:
        return
    sums = _of_containers(spec).items()
    known = (*limits, *SUPPORTED)
    wanted = {**limits, **{name: str(amount) for name, amount in sums if name in known}}
    given = child(whole, "requests")
    requests = {**{name: wanted[name] for name in wanted if is_supported(name)}, **given}
    if requests:
        whole["requests"] = requests


def is_supported(name: str) -> bool:
    """Whether a resource can be given to a pod as a whole."""
    return name in SUPPORTED or resources.is_hugepages(name)


def _of_containers(spec: Obj) -> dict[str, Quantity]:
    """What the containers ask for together: side by side, or while the pod starts."""
    total = _sum(items(spec, "containers"), {})
    beside: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in items(spec, "initContainers"):
        if container.get("restartPolicy") == "Always":
            total, beside = _sum([container], total), _sum([container], beside)
            peak = _largest(peak, beside)
        else:
            peak = _largest(peak, _sum([container], beside))
    return _largest(total, peak)


def _sum(containers: Any, start: Mapping[str, Quantity]) -> dict[str, Quantity]:
    found = dict(start)
    for container in containers:
        for name, amount in child(container, "resources", "requests").items():
            value = parsed(amount)
            if value is not None:
                found[name] = found[name] + value if name in found else value
    return found


def _largest(one: Mapping[str, Quantity], other: Mapping[str, Quantity]) -> dict[str, Quantity]:
    found = dict(one)
    for name, amount in other.items():
        if name not in found or found[name] < amount:
            found[name] = amount
    return found


def faults(path: str, spec: Obj) -> Faults:
    """Every fault of a pod's own resources, also against those of its containers."""
    whole = child(spec, "resources")
    if whole.get("claims"):
        words = "claims cannot be set for Resources at pod-level"
        yield forbidden_field(f"{path}.claims", words)
    limits, requests = child(whole, "limits"), child(whole, "requests")
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name in amounts:
            if not is_supported(name):
                yield not_supported(f"{path}.{kind}[{name}]", name, SUPPORTED)
    yield from resources.requirement_faults(path, whole)
    for name, asked in _of_containers(spec).items():
        given = parsed(requests.get(name, "0"))
        if given is not None and asked > given and is_supported(name):
            words = f"must be greater than or equal to aggregate container requests of {asked}"
            yield invalid(f"{path}.requests[{name}]", str(given), words)
    for i, container in enumerate(items(spec, "containers")):
        for name, amount in child(container, "resources", "limits").items():
            limit, most = parsed(amount), parsed(limits.get(name))
            if limit is not None and most is not None and limit > most:
                words = f"must be less than or equal to pod limits of {most}"
                where = f"{path}.containers[{i}][{name}].limits"
                yield invalid(where, str(limit), words)
