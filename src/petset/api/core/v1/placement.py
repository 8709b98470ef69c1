"""Where a pod may run: node selectors, affinity, tolerations, spread. Validation."""

from collections.abc import Sequence
from typing import Any

from petset.api import names, selectors
from petset.api.check import Faults, child, items, one_of, text, worded
from petset.api.errors import duplicate, forbidden_field, invalid, not_supported, required
from petset.api.meta import Obj

NOT_POSITIVE = "must be greater than zero"
SPREAD_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def node_selector_faults(path: str, selector: Obj) -> Faults:
    """Every fault of a NodeSelector (terms joined by OR)."""
    terms = items(selector, "nodeSelectorTerms")
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for i, term in enumerate(terms):
        yield from _term_faults(f"{path}.nodeSelectorTerms[{i}]", term)


def _term_faults(path: str, term: Obj, *, preferred: bool = False) -> Faults:
    """Values that no label can have are let pass where the term is only `preferred`."""
    for i, expression in enumerate(items(term, "matchExpressions")):
        where = f"{path}.matchExpressions[{i}]"
        yield from _expression_faults(where, expression)
        key = expression.get("key") or ""
        yield from worded(f"{where}.key", key, names.qualified_name(key))
        for j, value in enumerate(() if preferred else items(expression, "values")):
            yield from worded(f"{where}.values[{j}]", value, names.label_value(str(value)))
    for i, expression in enumerate(items(term, "matchFields")):
        yield from _field_faults(f"{path}.matchFields[{i}]", expression)


def _expression_faults(path: str, expression: Obj) -> Faults:
    operator, values = expression.get("operator"), items(expression, "values")
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden_field(
                f"{path}.values",
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(
                f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"
            )
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")


def _field_faults(path: str, expression: Obj) -> Faults:
    operator, values = expression.get("operator"), items(expression, "values")
    if operator not in ("In", "NotIn"):
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        yield required(
            f"{path}.values",
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        )
    if expression.get("key") != "metadata.name":
        yield invalid(f"{path}.key", expression.get("key"), "not a valid field selector key")
        return
    for i, value in enumerate(values):
        yield from worded(f"{path}.values[{i}]", value, names.dns_subdomain(str(value)))


def affinity_faults(path: str, affinity: Obj) -> Faults:
    """Every fault of a pod's affinity."""
    node = child(affinity, "nodeAffinity")
    if node.get(_REQUIRED) is not None:
        yield from node_selector_faults(f"{path}.nodeAffinity.{_REQUIRED}", child(node, _REQUIRED))
    for i, preferred in enumerate(items(node, _PREFERRED)):
        where = f"{path}.nodeAffinity.{_PREFERRED}[{i}]"
        yield from _weight_faults(f"{where}.weight", preferred)
        term = child(preferred, "preference")
        yield from _term_faults(f"{where}.preference", term, preferred=True)
    for kind in ("podAffinity", "podAntiAffinity"):
        yield from _pod_affinity_faults(f"{path}.{kind}", child(affinity, kind))


def _weight_faults(path: str, preferred: Obj) -> Faults:
    weight = preferred.get("weight") or 0
    if not 1 <= weight <= 100:
        yield invalid(path, weight, "must be in the range 1-100")


def _pod_affinity_faults(path: str, affinity: Obj) -> Faults:
    for i, term in enumerate(items(affinity, _REQUIRED)):
        yield from _pod_term_faults(f"{path}.{_REQUIRED}[{i}]", term)
    for i, preferred in enumerate(items(affinity, _PREFERRED)):
        where = f"{path}.{_PREFERRED}[{i}]"
        yield from _weight_faults(f"{where}.weight", preferred)
        yield from _pod_term_faults(f"{where}.podAffinityTerm", child(preferred, "podAffinityTerm"))


def _pod_term_faults(path: str, term: Obj) -> Faults:
    for key in ("labelSelector", "namespaceSelector"):
        if term.get(key) is not None:
            yield from selectors.validate(child(term, key), f"{path}.{key}")
    for namespace in items(term, "namespaces"):
        yield from worded(f"{path}.namespace", namespace, names.dns_label(str(namespace)))
    yield from _label_keys_faults(path, term)
    key, where = text(term.get("topologyKey")), f"{path}.topologyKey"
    if not key:
        yield required(where, "can not be empty")
    yield from worded(where, key, names.qualified_name(key))


def _label_keys_faults(path: str, term: Obj) -> Faults:
    """Label keys whose values come from the pod itself, in affinity terms."""
    selector = term.get("labelSelector")
    for kind in ("matchLabelKeys", "mismatchLabelKeys"):
        keys = items(term, kind)
        if keys and selector is None:
            words = "must not be specified when labelSelector is not set"
            yield forbidden_field(f"{path}.{kind}", words)
            continue
        for i, key in enumerate(keys):
            yield from worded(f"{path}.{kind}[{i}]", key, names.qualified_name(str(key)))
    same = list(items(term, "matchLabelKeys"))
    yield from _twice(path, same, child(term, "labelSelector"))
    for i, key in enumerate(same):
        if key in items(term, "mismatchLabelKeys"):
            words = "exists in both matchLabelKeys and mismatchLabelKeys"
            yield invalid(f"{path}.matchLabelKeys[{i}]", key, words)


def _twice(path: str, keys: list[Any], selector: Obj) -> Faults:
    """A pod's selector names each of its `keys` once: it has been written there (labelkeys)."""
    known = set(child(selector, "matchLabels"))
    for expression in items(selector, "matchExpressions"):
        key = expression.get("key")
        if key in keys and key in known:
            words = "exists in both matchLabelKeys and labelSelector"
            yield invalid(f"{path}[{keys.index(key)}]", key, words)
        known.add(key)


def tolerations_faults(path: str, tolerations: Sequence[Any]) -> Faults:
    """Every fault of tolerations."""
    for i, toleration in enumerate(tolerations):
        yield from _toleration_faults(f"{path}[{i}]", toleration)


def _toleration_faults(path: str, toleration: Obj) -> Faults:
    key, operator = toleration.get("key"), toleration.get("operator") or ""
    if key:
        yield from worded(f"{path}.key", key, names.qualified_name(key))
    elif operator != "Exists":
        yield invalid(
            f"{path}.operator",
            operator,
            "operator must be Exists when `key` is empty, which means "
            '"match all values and all keys"',
        )
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        yield invalid(
            f"{path}.effect",
            toleration.get("effect") or "",
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        )
    value = toleration.get("value") or ""
    if operator in ("", "Equal"):
        if faults := names.label_value(value):
            yield invalid(f"{path}.operator", value, ";".join(faults))
    elif operator == "Exists" and value:
        yield invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'")
    yield from one_of(f"{path}.operator", operator, ("Equal", "Exists"))
    yield from one_of(f"{path}.effect", toleration.get("effect"), EFFECTS)


def spread_faults(path: str, constraints: Sequence[Any]) -> Faults:
    """Every fault of topologySpreadConstraints."""
    pairs = [(c.get("topologyKey"), c.get("whenUnsatisfiable")) for c in constraints]
    for i, constraint in enumerate(constraints):
        where = f"{path}[{i}]"
        skew = constraint.get("maxSkew") or 0
        if skew <= 0:
            yield invalid(f"{where}.maxSkew", skew, NOT_POSITIVE)
        if not constraint.get("topologyKey"):
            yield required(f"{where}.topologyKey", "can not be empty")
        when = constraint.get("whenUnsatisfiable") or ""
        if when not in SPREAD_ACTIONS:
            yield not_supported(f"{where}.whenUnsatisfiable", when, SPREAD_ACTIONS)
        if pairs[i] in pairs[i + 1 :]:
            shown = f"{{{pairs[i][0]}, {pairs[i][1]}}}"
            yield duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", shown)
        yield from _domain_faults(f"{where}.minDomains", constraint.get("minDomains"), when)
        for key in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            yield from one_of(f"{where}.{key}", constraint.get(key), ("Honor", "Ignore"))
        yield from _spread_keys_faults(f"{where}.matchLabelKeys", constraint)
        selector = child(constraint, "labelSelector")
        yield from selectors.validate(selector, f"{where}.labelSelector")


def _domain_faults(path: str, domains: object, when: str) -> Faults:
    if not isinstance(domains, int):
        return
    if domains <= 0:
        yield invalid(path, domains, NOT_POSITIVE)
    if when != "DoNotSchedule":
        words = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}"
        yield invalid(path, domains, words)


def _spread_keys_faults(path: str, constraint: Obj) -> Faults:
    keys, selector = items(constraint, "matchLabelKeys"), child(constraint, "labelSelector")
    if keys and constraint.get("labelSelector") is None:
        yield forbidden_field(path, "must not be specified when labelSelector is not set")
    for i, key in enumerate(keys):
        yield from worded(f"{path}[{i}]", key, names.qualified_name(str(key)))
    yield from _twice(path, list(keys), selector)
