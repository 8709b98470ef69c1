"""When a Job counts as failed or as succeeded before its pods are through: validation.

A list of indexes is text such as `0,3-5`, ascending.
"""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, items, non_negative, number, number_of, text, worded
from petset.api.errors import (
    FieldError,
    duplicate,
    invalid,
    not_supported,
    required,
    show,
    too_long,
    too_many,
)
from petset.api.meta import Obj

ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
OPERATORS = ("In", "NotIn")
STATUSES = ("False", "True", "Unknown")
RULES_MAX = 20
EXIT_CODES_MAX = 255
PATTERNS_MAX = 20
INDEXES_LENGTH_MAX = 64 * 1024


def default(policy: Obj) -> None:
    """A condition is asked to be True."""
    for rule in items(policy, "rules"):
        for pattern in items(rule, "onPodConditions"):
            if not pattern.get("status"):
                pattern["status"] = "True"


def _words(allowed: Sequence[str]) -> str:
    """What may be there, as upstream lists it when nothing is."""
    return f"valid values: [{' '.join(show(word) for word in allowed)}]"


def _chosen(path: str, value: object, allowed: Sequence[str]) -> Faults:
    if not value:
        yield required(path, _words(allowed))
    elif value not in allowed:
        yield not_supported(path, value, allowed)


def _plainly_invalid(path: str, detail: str) -> FieldError:
    """A fault of a value that is not shown."""
    return FieldError(path, "FieldValueInvalid", f"Invalid value: {detail}")


# -- failure --------------------------------------------------------------------------------------


def failure_faults(path: str, spec: Obj) -> Faults:
    """Every fault of a job's podFailurePolicy."""
    if spec.get("podFailurePolicy") is None:
        return
    rules, pod = items(child(spec, "podFailurePolicy"), "rules"), child(spec, "template", "spec")
    if len(rules) > RULES_MAX:
        yield too_many(f"{path}.rules", len(rules), RULES_MAX)
    known = {
        text(container.get("name"))
        for kind in ("containers", "initContainers")
        for container in items(pod, kind)
    }
    for i, rule in enumerate(rules):
        where, action = f"{path}.rules[{i}]", rule.get("action")
        if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            words = "requires the backoffLimitPerIndex to be set"
            yield invalid(f"{where}.action", action, words)
        yield from _chosen(f"{where}.action", action, ACTIONS)
        yield from _rule_faults(where, rule, known)


def _rule_faults(path: str, rule: Obj, known: set[str]) -> Faults:
    codes, conditions = rule.get("onExitCodes"), items(rule, "onPodConditions")
    if codes is not None:
        yield from _codes_faults(f"{path}.onExitCodes", codes, known)
    if len(conditions) > PATTERNS_MAX:
        yield too_many(f"{path}.onPodConditions", len(conditions), PATTERNS_MAX)
    for i, pattern in enumerate(conditions):
        where, kind = f"{path}.onPodConditions[{i}]", text(pattern.get("type"))
        yield from worded(f"{where}.type", kind, names.qualified_name(kind))
        yield from _chosen(f"{where}.status", pattern.get("status"), STATUSES)
    if codes is not None and conditions:
        words = "specifying both OnExitCodes and OnPodConditions is not supported"
        yield _plainly_invalid(path, words)
    elif codes is None and not conditions:
        words = "specifying one of OnExitCodes and OnPodConditions is required"
        yield _plainly_invalid(path, words)


def _codes_faults(path: str, codes: Obj, known: set[str]) -> Faults:
    operator, values = codes.get("operator"), list(items(codes, "values"))
    yield from _chosen(f"{path}.operator", operator, OPERATORS)
    name = codes.get("containerName")
    if name is not None and name not in known:
        words = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", name, words)
    where = f"{path}.values"
    if not values:
        yield invalid(where, codes.get("values"), "at least one value is required")
    elif len(values) > EXIT_CODES_MAX:
        yield too_many(where, len(values), EXIT_CODES_MAX)
    for i, value in enumerate(values):
        if operator == "In" and value == 0:
            yield invalid(f"{where}[{i}]", value, "must not be 0 for the In operator")
        if value in values[:i]:
            yield duplicate(f"{where}[{i}]", value)
    if values != sorted(values):
        yield invalid(where, values, "must be ordered")


# -- success --------------------------------------------------------------------------------------


def success_faults(path: str, spec: Obj) -> Faults:
    """Every fault of a job's successPolicy."""
    policy = spec.get("successPolicy")
    if policy is None:
        return
    if spec.get("completionMode") != "Indexed":
        yield invalid(path, policy, "requires indexed completion mode")
        return
    rules: Sequence[Any] = items(policy, "rules")
    if not rules:
        words = "at least one rules must be specified when the successPolicy is specified"
        yield required(f"{path}.rules", words)
    if len(rules) > RULES_MAX:
        yield too_many(f"{path}.rules", len(rules), RULES_MAX)
    for i, rule in enumerate(rules):
        yield from _success_rule_faults(f"{path}.rules[{i}]", rule, number(spec.get("completions")))


def _success_rule_faults(path: str, rule: Obj, completions: int) -> Faults:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        words = "at least one of succeededCount or succeededIndexes must be specified"
        yield required(path, words)
    total = 0
    if indexes is not None:
        where = f"{path}.succeededIndexes"
        if len(indexes) > INDEXES_LENGTH_MAX:
            yield too_long(where, INDEXES_LENGTH_MAX)
        total, fault = read_indexes(indexes, completions)
        if fault:
            yield invalid(where, indexes, f"error parsing succeededIndexes: {fault}")
    if count is None:
        return
    where = f"{path}.succeededCount"
    yield from non_negative(where, count)
    if count > completions:
        words = f"must be less than or equal to {completions} (the number of specified completions)"
        yield invalid(where, count, words)
    if indexes is not None and count > total:
        words = (
            f"must be less than or equal to {total} (the number of indexes in the specified "
            "succeededIndexes field)"
        )
        yield invalid(where, count, words)


def read_indexes(indexes: str, completions: int) -> tuple[int, str]:
    """How many indexes a text lists, and what is wrong with it ("" if nothing)."""
    total, last = 0, -1
    for interval in indexes.split(",") if indexes else ():
        ends = interval.split("-")
        if len(ends) > 2:
            return 0, (
                f'the fragment "{interval}" violates the requirement that an index interval '
                "can have at most two parts separated by '-'"
            )
        read: list[int] = []
        for end in ends:
            if not (end.isascii() and end.isdigit()):
                return 0, f'cannot convert string to integer for index: "{end}"'
            if number_of(end) >= completions:
                return 0, f'too large index: "{end}"'
            read.append(number_of(end))
        if last >= read[0]:
            return 0, f"non-increasing order, previous: {last}, current: {read[0]}"
        if len(read) == 2 and read[1] <= read[0]:
            return 0, f"non-increasing order, previous: {read[0]}, current: {read[1]}"
        last = read[-1]
        total += last - read[0] + 1
    return total, ""
