"""ResourceQuota: canonical amounts, validation, update rules, columns."""

from collections.abc import Iterable, Sequence
from typing import Any

from petset.api.check import IMMUTABLE, Faults, child, items
from petset.api.core.v1.resources import (
    amount_faults,
    canonical_list,
    is_quota_name,
    quota_name_faults,
)
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

_PODS = frozenset({"pods"})
_POD_RESOURCES = frozenset(
    {
        "pods",
        "cpu",
        "memory",
        "limits.cpu",
        "limits.memory",
        "requests.cpu",
        "requests.memory",
    }
)
_CLAIMS = frozenset({"persistentvolumeclaims", "requests.storage"})
SCOPES = {
    "Terminating": _POD_RESOURCES,
    "NotTerminating": _POD_RESOURCES,
    "BestEffort": _PODS,
    "NotBestEffort": _POD_RESOURCES,
    "PriorityClass": _POD_RESOURCES,
    "CrossNamespacePodAffinity": _POD_RESOURCES,
    "VolumeAttributesClass": _CLAIMS,
}
"""Scopes, and the standard resources that each may go with."""
_EXCLUSIVE = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_EXISTS_ONLY = (
    "BestEffort",
    "NotBestEffort",
    "Terminating",
    "NotTerminating",
    "CrossNamespacePodAffinity",
)


def default(quota: MutableObj) -> None:
    """Canonical amounts."""
    for part in ("spec", "status"):
        if isinstance(quota.get(part), dict):
            canonical_list(quota[part], "hard")
            canonical_list(quota[part], "used")


def validate(quota: Obj) -> list[FieldError]:
    """Every fault of a quota."""
    return list(_faults(child(quota, "spec")))


def _faults(spec: Obj) -> Faults:
    hard = child(spec, "hard")
    yield from _amounts_faults("spec.hard", hard)
    scopes = items(spec, "scopes")
    for scope in scopes:
        if scope not in SCOPES:
            yield invalid("spec.scopes", scopes, "unsupported scope")
        for _ in _unfit(hard, scope):
            yield invalid("spec.scopes", scopes, "unsupported scope applied to resource")
    yield from _conflict_faults(scopes, scopes)
    yield from _selector_faults(spec, hard)


def _amounts_faults(path: str, amounts: Obj) -> Faults:
    for name, amount in amounts.items():
        yield from quota_name_faults(f"{path}[{name}]", name)
        yield from amount_faults(f"{path}[{name}]", name, amount)


def _unfit(hard: Obj, scope: object) -> list[str]:
    """The resources that a known scope does not go with."""
    fits = SCOPES.get(str(scope))
    if fits is None:
        return []
    return [name for name in sorted(hard) if is_quota_name(name) and name not in fits]


def _conflict_faults(scopes: Iterable[Any], shown: Sequence[Any]) -> Faults:
    given = {*scopes}
    for pair in _EXCLUSIVE:
        if pair <= given:
            yield invalid("spec.scopes", shown, "conflicting scopes")


def _selector_faults(spec: Obj, hard: Obj) -> Faults:
    path = "spec.scopeSelector.matchExpressions"
    wanted = items(child(spec, "scopeSelector"), "matchExpressions")
    for one in wanted:
        scope = one.get("scopeName") or ""
        if scope not in SCOPES:
            yield invalid(f"{path}.scopeName", scope, "unsupported scope")
        for _ in _unfit(hard, scope):
            selector = spec.get("scopeSelector")
            yield invalid(path, selector, "unsupported scope applied to resource")
        yield from _operator_faults(path, scope, one)
    yield from _conflict_faults([one.get("scopeName") for one in wanted], items(spec, "scopes"))


def _operator_faults(path: str, scope: str, one: Obj) -> Faults:
    operator, values = one.get("operator") or "", items(one, "values")
    if scope in _EXISTS_ONLY and operator != "Exists":
        words = (
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
            "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
            "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        yield invalid(f"{path}.operator", operator, words)
    if operator in ("In", "NotIn"):
        if not values:
            words = (
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            )
            yield required(f"{path}.values", words)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            words = (
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            )
            yield invalid(f"{path}.values", values, words)
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The scopes stay."""
    after, before = (items(child(one, "spec"), "scopes") for one in (new, old))
    return [] if {*after} == {*before} else [invalid("spec.scopes", after, IMMUTABLE)]


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Amounts are well formed."""
    del old
    status = child(new, "status")
    faults = list(_amounts_faults("status.hard", child(status, "hard")))
    return [*faults, *_amounts_faults("status.used", child(status, "used"))]


def _shown(quota: Obj, names: Iterable[str]) -> str:
    hard, used = child(quota, "status", "hard"), child(quota, "status", "used")
    return ", ".join(f"{n}: {used.get(n, '0')}/{hard[n]}" for n in names)


def _cells(quota: Obj, now: float) -> list[Any]:
    hard = sorted(child(quota, "status", "hard"))
    limits = [name for name in hard if name.startswith("limits.")]
    rest = [name for name in hard if not name.startswith("limits.")]
    return [name_of(quota), _shown(quota, rest), _shown(quota, limits), age_of(quota, now)]


BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    table=Table((NAME, Column("Request"), Column("Limit"), AGE), _cells),
    deletion_returns_object=True,
)
