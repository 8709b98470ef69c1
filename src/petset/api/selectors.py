"""Label selectors: text and object form, matching, validation.

Grammar and error words follow upstream: requirements joined by commas; `!=` and `notin` also match
objects that have no such label.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from petset.api import errors, names
from petset.api.errors import FieldError, StatusError
from petset.api.meta import Obj

Labels = Mapping[str, str]
Predicate = Callable[[Labels], bool]

_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")


class Requirement(NamedTuple):
    """One condition on labels. `operator`: = == != in notin exists ! > <; values are sorted."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


class LabelSelector:
    """A compiled label selector.

    Attributes:
        requirements: in order of their keys.
        matches: whether a mapping of labels fulfils all of them.
        is_everything: whether there is no requirement at all.
    """

    __slots__ = ("is_everything", "is_nothing", "matches", "requirements")

    def __init__(self, requirements: Iterable[Requirement], *, nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda r: r.key))
        self.is_nothing = nothing
        self.is_everything = not nothing and not self.requirements
        self.matches: Predicate = _compile(self.requirements, nothing=nothing)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"LabelSelector({'nothing' if self.is_nothing else str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelSelector):
            return NotImplemented
        return (self.requirements, self.is_nothing) == (other.requirements, other.is_nothing)

    def __hash__(self) -> int:
        return hash((self.requirements, self.is_nothing))


def _compile(requirements: Sequence[Requirement], *, nothing: bool) -> Predicate:
    if nothing:
        return lambda labels: False
    if all(r.operator in ("=", "==") for r in requirements):
        wanted = [(r.key, r.values[0]) for r in requirements]
        if len(wanted) == 1:
            ((key, value),) = wanted
            return lambda labels: labels.get(key) == value
        return lambda labels: all(labels.get(k) == v for k, v in wanted)
    tests = [_test(r) for r in requirements]
    return lambda labels: all(test(labels) for test in tests)


def _test(requirement: Requirement) -> Predicate:
    key, operator, values = requirement.key, requirement.operator, frozenset(requirement.values)
    match operator:
        case "=" | "==" | "in":
            return lambda labels: labels.get(key) in values
        case "!=" | "notin":
            return lambda labels: labels.get(key) not in values
        case "exists":
            return lambda labels: key in labels
        case "!":
            return lambda labels: key not in labels
        case _:
            return _compare(key, int(requirement.values[0]), more=operator == ">")


def _compare(key: str, limit: int, *, more: bool) -> Predicate:
    def test(labels: Labels) -> bool:
        text = labels.get(key, "")
        if not _INTEGER.fullmatch(text):
            return False
        return int(text) > limit if more else int(text) < limit

    return test


EVERYTHING = LabelSelector(())
NOTHING = LabelSelector((), nothing=True)


# -- text form ------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)")
_WORDS = ("in", "notin")
_OPERATORS = {"=": "=", "==": "==", "!=": "!=", ">": ">", "<": "<", "in": "in", "notin": "notin"}
_SYMBOLS = frozenset({"", "=", "==", "!=", ">", "<", "!", "(", ")", ","})


def parse(text: str) -> LabelSelector:
    """The selector that `text` (`a=b,c in (d,e),!f`) stands for. Raises StatusError 400."""
    return _Parser(text).parse() if text.strip() else EVERYTHING


class _Parser:
    """Recursive descent over the tokens; "" stands for the end of the text."""

    def __init__(self, text: str) -> None:
        self.tokens = [m[1] for m in _TOKEN.finditer(text)] + [""]
        self.position = 0

    @property
    def next(self) -> str:
        return self.tokens[self.position]

    def take(self) -> str:
        token = self.tokens[self.position]
        self.position = min(self.position + 1, len(self.tokens) - 1)
        return token

    def parse(self) -> LabelSelector:
        requirements = []
        if self.next in _SYMBOLS - {"!"}:
            raise _unexpected(self.next, "!, identifier, or 'end of string'")
        while True:
            try:
                requirements.append(self.requirement())
            except ValueError as error:
                raise errors.bad_request(f"unable to parse requirement: {error}") from None
            end = self.take()
            if not end:
                return LabelSelector(requirements)
            if end != ",":
                raise _unexpected(end, "',' or 'end of string'")
            if self.next in _SYMBOLS - {"!"}:
                raise _unexpected(self.next, "identifier after ','")

    def requirement(self) -> Requirement:
        negated = self.next == "!"
        if negated:
            self.take()
        key = self.identifier()
        _check_key(key)
        if negated:
            return Requirement(key, "!")
        if self.next in ("", ","):
            return Requirement(key, "exists")
        operator = _OPERATORS.get(self.take())
        if operator is None:
            found = self.tokens[self.position - 1]
            raise ValueError(f"found '{found}', expected: in, notin, =, ==, !=, gt, lt")
        values = self.set() if operator in _WORDS else [self.value()]
        return _checked(Requirement(key, operator, tuple(sorted(set(values)))))

    def identifier(self) -> str:
        token = self.take()
        if token in _SYMBOLS:
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def value(self) -> str:
        return "" if self.next in ("", ",") else self.identifier()

    def set(self) -> list[str]:
        if (token := self.take()) != "(":
            raise ValueError(f"found '{token}' expected: '('")
        if self.next == ")":
            self.take()
            return []
        values = [self.member()]
        while self.next == ",":
            self.take()
            values.append(self.member())
        if (token := self.take()) != ")":
            raise ValueError(f"found '{token}', expected: ',' or ')'")
        return values

    def member(self) -> str:
        if self.next in (",", ")"):
            return ""
        if self.next in _SYMBOLS:
            raise ValueError(f"found '{self.next}', expected: ',', ')' or identifier")
        return self.take()


def _unexpected(found: str, expected: str) -> StatusError:
    return errors.bad_request(f"found '{found}', expected: {expected}")


def _check_key(key: str) -> None:
    if faults := names.qualified_name(key):
        raise ValueError(f"key: Invalid value: {errors.show(key)}: {'; '.join(faults)}")


def _checked(requirement: Requirement) -> Requirement:
    key, operator, values = requirement
    if not values:
        detail = "for 'in', 'notin' operators, values set can't be empty"
        raise ValueError(f"values: Invalid value: []: {detail}")
    if operator in "<>" and not _INTEGER.fullmatch(values[0]):
        detail = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise ValueError(f"values[0]: Invalid value: {errors.show(values[0])}: {detail}")
    for index, value in enumerate(values):
        if faults := names.label_value(value):
            where = f"values[{index}][{key}]"
            raise ValueError(f"{where}: Invalid value: {errors.show(value)}: {'; '.join(faults)}")
    return requirement


# -- object form ----------------------------------------------------------------------------------

_EXPRESSIONS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def from_object(selector: Obj | None) -> LabelSelector:
    """The selector of a LabelSelector object: None selects nothing, `{}` everything.

    Raises ValueError for an operator that does not exist.
    """
    if selector is None:
        return NOTHING
    requirements = from_labels(selector.get("matchLabels")).requirements
    return LabelSelector((*requirements, *map(_expression, selector.get("matchExpressions") or ())))


def from_labels(labels: Labels | None) -> LabelSelector:
    """The selector that wants exactly these labels (a Service's). None or `{}`: everything."""
    if not labels:
        return EVERYTHING
    return LabelSelector(Requirement(k, "=", (v,)) for k, v in labels.items())


def _expression(expression: Obj) -> Requirement:
    operator = _EXPRESSIONS.get(expression.get("operator") or "")
    if operator is None:
        raise ValueError(
            f"{errors.show(expression.get('operator'))} is not a valid label selector operator"
        )
    values = tuple(sorted(set(expression.get("values") or ())))
    return Requirement(expression.get("key") or "", operator, values)


def show(selector: Obj | None) -> str:
    """A LabelSelector object as tables print it: `a=b,c in (d,e)`, `<none>` when empty."""
    try:
        return str(from_object(selector)) or "<none>"
    except ValueError:
        return "<error>"


def validate(selector: Obj, path: str) -> list[FieldError]:
    """Every fault of a LabelSelector object at `path`."""
    found = [*names.labels(f"{path}.matchLabels", selector.get("matchLabels") or {})]
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        found += _validate_expression(expression, f"{path}.matchExpressions[{index}]")
    return found


def _validate_expression(expression: Mapping[str, Any], path: str) -> list[FieldError]:
    operator, key = expression.get("operator") or "", expression.get("key") or ""
    values: Sequence[str] = expression.get("values") or ()
    found = []
    if operator in ("In", "NotIn"):
        if not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            found.append(errors.required(f"{path}.values", detail))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(errors.forbidden_field(f"{path}.values", detail))
    else:
        found.append(errors.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    found += [errors.invalid(f"{path}.key", key, fault) for fault in names.qualified_name(key)]
    for index, value in enumerate(values):
        where = f"{path}.values[{index}]"
        found += [errors.invalid(where, value, fault) for fault in names.label_value(value)]
    return found
