"""Roles and their bindings: defaults, validation, update rules, columns."""

from collections.abc import Sequence
from typing import Any

from petset.api import names, selectors
from petset.api.check import (
    Faults,
    child,
    fill,
    items,
    member,
    needed,
    optional,
    semantically,
)
from petset.api.errors import FieldError, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of, namespace_of
from petset.api.table import AGE, CREATED, NAME, age_of

GROUP = "rbac.authorization.k8s.io"
_KINDS = ("ServiceAccount", "User", "Group")


def default_binding(binding: MutableObj) -> None:
    """The API groups of the role and of users and groups."""
    fill(member(binding, "roleRef"), "apiGroup", GROUP)
    for subject in items(binding, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            fill(subject, "apiGroup", GROUP)


def validate_role(role: Obj) -> list[FieldError]:
    """Every fault of a role's rules, and of what it gathers from other roles."""
    namespaced = role.get("kind") == "Role"
    faults = list(_rules_faults(items(role, "rules"), namespaced))
    return faults if namespaced else [*faults, *_aggregation_faults(role)]


def _aggregation_faults(role: Obj) -> Faults:
    if role.get("aggregationRule") is None:
        return
    path = "aggregationRule.clusterRoleSelectors"
    chosen = items(child(role, "aggregationRule"), "clusterRoleSelectors")
    if not chosen:
        words = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        yield required(path, words)
    for i, selector in enumerate(chosen):
        yield from selectors.validate(selector, f"{path}[{i}]")


def _rules_faults(rules: Sequence[Any], namespaced: bool) -> Faults:
    for i, rule in enumerate(rules):
        where = f"rules[{i}]"
        if not items(rule, "verbs"):
            yield required(f"{where}.verbs", "verbs must contain at least one value")
        urls = items(rule, "nonResourceURLs")
        if urls:
            if namespaced:
                words = "namespaced rules cannot apply to non-resource URLs"
                yield invalid(f"{where}.nonResourceURLs", urls, words)
            if any(items(rule, key) for key in ("apiGroups", "resources", "resourceNames")):
                words = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid(f"{where}.nonResourceURLs", urls, words)
            continue
        for key, word in (("apiGroups", "one api group"), ("resources", "one resource")):
            if not items(rule, key):
                yield required(f"{where}.{key}", f"resource rules must supply at least {word}")


def validate_binding(binding: Obj) -> list[FieldError]:
    """Every fault of a binding."""
    return list(_binding_faults(binding, bool(namespace_of(binding))))


def _binding_faults(binding: Obj, namespaced: bool) -> Faults:
    role = child(binding, "roleRef")
    if role.get("apiGroup") != GROUP:
        yield not_supported("roleRef.apiGroup", role.get("apiGroup") or "", [GROUP])
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if role.get("kind") not in kinds:
        yield not_supported("roleRef.kind", role.get("kind") or "", kinds)
    yield from needed("roleRef.name", role.get("name"), names.path_segment)
    for i, subject in enumerate(items(binding, "subjects")):
        yield from _subject_faults(f"subjects[{i}]", subject, namespaced)


def _subject_faults(path: str, subject: Obj, namespaced: bool) -> Faults:
    kind, name = subject.get("kind") or "", subject.get("name") or ""
    group = subject.get("apiGroup") or ""
    if not name:
        yield required(f"{path}.name")
    if kind not in _KINDS:
        yield not_supported(f"{path}.kind", kind, _KINDS)
    elif kind == "ServiceAccount":
        yield from optional(f"{path}.name", name, names.dns_subdomain)
        if group:
            yield not_supported(f"{path}.apiGroup", group, [""])
        if not namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")
    else:
        if not name:
            yield invalid(f"{path}.name", "", f"{kind.lower()} name cannot be empty")
        if group != GROUP:
            yield not_supported(f"{path}.apiGroup", group, [GROUP])


def validate_binding_update(new: Obj, old: Obj) -> list[FieldError]:
    """A binding keeps its role."""
    if semantically(new.get("roleRef")) == semantically(old.get("roleRef")):
        return []
    role = child(new, "roleRef")
    members = {"APIGroup": "apiGroup", "Kind": "kind", "Name": "name"}
    shown = {word: role.get(key) or "" for word, key in members.items()}
    return [invalid("roleRef", shown, "cannot change roleRef")]


def _binding_cells(binding: Obj, now: float) -> list[Any]:
    role = child(binding, "roleRef")
    by_kind: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for subject in items(binding, "subjects"):
        name = str(subject.get("name") or "")
        if subject.get("kind") == "ServiceAccount":
            name = f"{subject.get('namespace') or ''}/{name}"
        by_kind.setdefault(subject.get("kind") or "", []).append(name)
    return [
        name_of(binding),
        f"{role.get('kind')}/{role.get('name')}",
        age_of(binding, now),
        ", ".join(by_kind["User"]),
        ", ".join(by_kind["Group"]),
        ", ".join(by_kind["ServiceAccount"]),
    ]


_BINDING_TABLE = Table(
    (
        NAME,
        Column("Role"),
        AGE,
        Column("Users", priority=1),
        Column("Groups", priority=1),
        Column("ServiceAccounts", priority=1),
    ),
    _binding_cells,
)

ROLE = Behaviour(validate=validate_role, table=CREATED, name_rule="path", create_on_update=True)

BINDING = Behaviour(
    default=default_binding,
    validate=validate_binding,
    validate_update=validate_binding_update,
    table=_BINDING_TABLE,
    name_rule="path",
    create_on_update=True,
)
