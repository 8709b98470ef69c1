"""LimitRange: canonical amounts, defaults, validation, columns."""

from collections.abc import Mapping
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, items, worded
from petset.api.core.v1.resources import (
    canonical_list,
    container_name_faults,
    is_hugepages,
    is_native,
    name_faults,
    parsed,
)
from petset.api.errors import FieldError, duplicate, forbidden_field, invalid, required
from petset.api.kind import Behaviour
from petset.api.meta import MutableObj, Obj
from petset.api.quantity import NANO, Quantity
from petset.api.table import CREATED

TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_AMOUNTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_ORDER = (
    ("min", "min", "min", "max", "max"),
    ("defaultRequest", "min", "min", "default request", "defaultRequest"),
    ("defaultRequest", "defaultRequest", "default request", "max", "max"),
    ("defaultRequest", "defaultRequest", "default request", "default limit", "default"),
    ("default", "min", "min", "default", "default"),
    ("default", "default", "default", "max", "max"),
)
"""Where a fault is told; the lower amount and its name in words; the name of the higher and it."""


def default(limit_range: MutableObj) -> None:
    """Limits of containers follow each other: default from max, request from default or min."""
    for limit in items(child(limit_range, "spec"), "limits"):
        for key in _AMOUNTS:
            canonical_list(limit, key)
        if limit.get("type") == "Container":
            most = {**child(limit, "max"), **child(limit, "default")}
            request = {**child(limit, "min"), **most, **child(limit, "defaultRequest")}
            if most:
                limit["default"] = most
            if request:
                limit["defaultRequest"] = request


def validate(limit_range: Obj) -> list[FieldError]:
    """Every fault of a limit range."""
    faults: list[FieldError] = []
    seen: set[str] = set()
    for i, limit in enumerate(items(child(limit_range, "spec"), "limits")):
        path, kind = f"spec.limits[{i}]", str(limit.get("type") or "")
        faults += _type_faults(f"{path}.type", kind)
        if kind in seen:
            faults.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        faults += _limit_faults(path, kind, limit)
    return faults


def _type_faults(path: str, kind: str) -> Faults:
    faults = list(worded(path, kind, names.qualified_name(kind)))
    if not faults and "/" not in kind and kind not in TYPES:
        faults.append(invalid(path, kind, "must be a standard limit type or fully qualified"))
    yield from faults


def _limit_faults(path: str, kind: str, limit: Obj) -> Faults:
    rule = container_name_faults if kind in ("Pod", "Container") else name_faults
    given: dict[str, Mapping[str, Any]] = {}
    for key in _AMOUNTS:
        amounts = child(limit, key)
        if kind == "Pod" and key in ("default", "defaultRequest"):
            if amounts:
                yield forbidden_field(f"{path}.{key}", "may not be specified when `type` is 'Pod'")
            continue
        given[key] = amounts
        for name in amounts:
            yield from rule(f"{path}.{key}[{name}]", name)
    bounded = any("storage" in child(limit, key) for key in ("min", "max"))
    if kind == "PersistentVolumeClaim" and not bounded:
        words = "either minimum or maximum storage value is required, but neither was provided"
        yield required(f"{path}.limits", words)
    for name in dict.fromkeys(name for amounts in given.values() for name in amounts):
        found = {key: parsed(amounts.get(name)) for key, amounts in given.items()}
        yield from _order_faults(path, name, {k: v for k, v in found.items() if v is not None})


def _order_faults(path: str, name: str, found: Mapping[str, Quantity]) -> Faults:
    """The amounts of one resource stand in order."""
    for where, low, low_words, high_words, high in _ORDER:
        if low in found and high in found and found[low] > found[high]:
            words = (
                f"{low_words} value {found[low]} is greater than {high_words} value {found[high]}"
            )
            shown = found[_shown(where, low, high)]
            yield invalid(f"{path}.{where}[{name}]", str(shown), words)
    yield from _ratio_faults(f"{path}.maxLimitRequestRatio[{name}]", found)
    limit, request = found.get("default"), found.get("defaultRequest")
    overcommit = is_native(name) and not is_hugepages(name)
    if not overcommit and limit is not None and request is not None and limit != request:
        words = f"default value {limit} must equal to defaultRequest value {request} in {name}"
        yield invalid(f"{path}.defaultRequest[{name}]", str(request), words)


def _shown(where: str, low: str, high: str) -> str:
    """Which amount a fault quotes: for `default` it is the other one, as upstream does."""
    if where == "default":
        return "min" if low == "min" else high
    return where


def _ratio_faults(path: str, found: Mapping[str, Quantity]) -> Faults:
    ratio, low, high = (found.get(key) for key in ("maxLimitRequestRatio", "min", "max"))
    if ratio is None:
        return
    if ratio.nano < NANO:
        yield invalid(path, str(ratio), f"ratio {ratio} is less than 1")
    if low is not None and high is not None and low.nano > 0:
        most = high.nano / low.nano
        if ratio.nano / NANO > most:
            words = f"ratio {ratio} is greater than max/min = {most:f}"
            yield invalid(path, str(ratio), words)


BEHAVIOUR = Behaviour(default=default, validate=validate, table=CREATED, create_on_update=True)
