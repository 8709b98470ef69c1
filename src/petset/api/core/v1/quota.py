"""ResourceQuota and LimitRange: canonical amounts, validation, columns."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from petset.api.check import Faults, child, items
from petset.api.core.v1.resources import amount_faults, canonical_list, name_faults, parsed
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, CREATED, NAME, age_of

_RANGES = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def default_quota(quota: MutableObj) -> None:
    """Canonical amounts."""
    for part in ("spec", "status"):
        if isinstance(quota.get(part), dict):
            canonical_list(quota[part], "hard")
            canonical_list(quota[part], "used")


def validate_quota(quota: Obj) -> list[FieldError]:
    """Every fault of a quota."""
    faults: list[FieldError] = []
    for name, amount in child(quota, "spec", "hard").items():
        where = f"spec.hard[{name}]"
        faults += name_faults(where, name) if not name.startswith("count/") else ()
        faults += amount_faults(where, name, amount)
    return faults


def _used(quota: Obj, names: Iterable[str]) -> str:
    hard = child(quota, "status", "hard") or child(quota, "spec", "hard")
    used = child(quota, "status", "used")
    return ", ".join(f"{n}: {used.get(n, '0')}/{hard[n]}" for n in names if n in hard)


def _quota_cells(quota: Obj, now: float) -> list[Any]:
    hard = child(quota, "status", "hard") or child(quota, "spec", "hard")
    limits = sorted(name for name in hard if name.startswith("limits."))
    rest = sorted(name for name in hard if not name.startswith("limits."))
    return [name_of(quota), _used(quota, rest), _used(quota, limits), age_of(quota, now)]


def default_range(limit_range: MutableObj) -> None:
    """Limits of containers follow each other: default from max, request from default or min."""
    for limit in items(child(limit_range, "spec"), "limits"):
        for key in _RANGES:
            canonical_list(limit, key)
        if limit.get("type") == "Container":
            default = {**child(limit, "max"), **child(limit, "default")}
            request = {**child(limit, "min"), **default, **child(limit, "defaultRequest")}
            if default:
                limit["default"] = default
            if request:
                limit["defaultRequest"] = request


def validate_range(limit_range: Obj) -> list[FieldError]:
    """Every fault of a limit range."""
    faults: list[FieldError] = []
    for i, limit in enumerate(items(child(limit_range, "spec"), "limits")):
        faults += _limit_faults(f"spec.limits[{i}]", limit)
    return faults


def _limit_faults(path: str, limit: Obj) -> Faults:
    if not limit.get("type"):
        yield required(f"{path}.type")
    for key in _RANGES:
        for name, amount in child(limit, key).items():
            where = f"{path}.{key}[{name}]"
            yield from name_faults(where, name)
            yield from amount_faults(where, name, amount)
    order = ("min", "defaultRequest", "default", "max")
    for low, high in pairwise(order):
        for name, amount in child(limit, low).items():
            below, above = parsed(amount), parsed(child(limit, high).get(name))
            if below is not None and above is not None and below > above:
                words = f"{low} value {below} is greater than {high} value {above}"
                yield invalid(f"{path}.{low}[{name}]", str(below), words)


QUOTA = Behaviour(
    default=default_quota,
    validate=validate_quota,
    table=Table((NAME, Column("Request"), Column("Limit"), AGE), _quota_cells),
    deletion_returns_object=True,
)

LIMIT_RANGE = Behaviour(
    default=default_range, validate=validate_range, table=CREATED, create_on_update=True
)
