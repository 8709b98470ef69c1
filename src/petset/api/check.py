"""Small checks that the validation of several kinds is made of.

A check yields `FieldError`s; callers combine checks with `yield from`, so that all
faults of an object come out at once. A null counts as absent everywhere.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from petset.api.errors import FieldError, duplicate, invalid, not_supported, required, show
from petset.api.meta import Obj

Faults = Iterator[FieldError]
"""Faults as they are found."""

NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
INT32_MAX = 2**31 - 1
ADDRESS_LENGTH_MAX = 45
"""The longest text of an IP address: six times `ffff:`, then one of IPv4."""

_PERCENT = re.compile(r"[0-9]+%")
_DIGITS_MAX = 20


def items(obj: Obj, key: str) -> Sequence[Any]:
    """A list member, empty when absent."""
    value = obj.get(key)
    return value if isinstance(value, list | tuple) else ()


def child(obj: Obj, *keys: str) -> Mapping[str, Any]:
    """A member object below `keys`, empty when absent."""
    value: Any = obj
    for key in keys:
        value = value.get(key)
        if type(value) is not dict and not isinstance(value, Mapping):
            return {}
    found: Mapping[str, Any] = value
    return found


def number_of(digits: str) -> int:
    """The number that ASCII digits stand for; all that no field could hold are one large one.

    Python refuses to read thousands of digits.
    """
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= _DIGITS_MAX else 10**_DIGITS_MAX


def number(value: object, default: int = 0) -> int:
    """An integer member; `default` when absent."""
    return value if isinstance(value, int) else default


def text(value: object) -> str:
    """A string member; "" when absent."""
    return value if isinstance(value, str) else ""


def non_negative(path: str, value: object) -> Faults:
    """A number, if given, must not be below 0."""
    if isinstance(value, int) and value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def positive(path: str, value: object) -> Faults:
    """A number, if given, must be over 0."""
    if isinstance(value, int) and value <= 0:
        yield invalid(path, value, "must be greater than 0")


def between(path: str, value: object, low: int, high: int) -> Faults:
    """A number, if given, must lie in a range, ends included."""
    if isinstance(value, int) and not low <= value <= high:
        yield invalid(path, value, f"must be between {low} and {high}, inclusive")


def port_number(path: str, value: object) -> Faults:
    """A port number must be 1 to 65535."""
    yield from between(path, value, 1, 65535)


def one_of(path: str, value: object, allowed: Sequence[str], *, need: bool = False) -> Faults:
    """A word must be one of `allowed`; absent is a fault only if `need`."""
    if value in (None, ""):
        if need:
            yield required(path)
    elif value not in allowed:
        yield not_supported(path, value, allowed)


def worded(path: str, value: object, messages: Iterable[str]) -> Faults:
    """One Invalid per message that a format check gave for `value`."""
    for message in messages:
        yield invalid(path, value, message)


def needed(path: str, value: object, rule: Callable[[str], list[str]]) -> Faults:
    """A text must be there and keep to the format `rule`."""
    if not value:
        yield required(path)
    else:
        yield from worded(path, value, rule(str(value)))


def optional(path: str, value: object, rule: Callable[[str], list[str]]) -> Faults:
    """A text, if there, must keep to the format `rule`."""
    if value:
        yield from worded(path, value, rule(str(value)))


def unique(path: str, things: Sequence[Any], key: str) -> Faults:
    """No two list elements may share the value of `key`."""
    seen: set[Any] = set()
    for i, thing in enumerate(things):
        value = thing.get(key)
        if not value:
            continue
        if value in seen:
            yield duplicate(f"{path}[{i}].{key}", value)
        seen.add(value)


def one_source(given: int, path: str, value: object, names: str) -> Faults:
    """Exactly one of several members must be set; `names` lists them for the message."""
    if given == 0:
        yield invalid(path, value, f"must specify one of: {names}")
    elif given > 1:
        yield invalid(path, value, "may not have more than one field specified at a time")


def unchanged(path: str, new: object, old: object) -> Faults:
    """A value may not differ from the stored one (absent, null and empty are the same)."""
    if new != old and (new or old):
        yield invalid(path, new, IMMUTABLE)


def int_or_percent(path: str, value: object) -> Faults:
    """A number not below 0, or a percentage."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            yield invalid(
                path,
                value,
                "a valid percent string must be a numeric string followed by an ending '%' "
                "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )
    else:
        yield from non_negative(path, value)


def not_over_hundred_percent(path: str, value: object) -> Faults:
    """A percentage may not exceed 100%."""
    if isinstance(value, str) and _PERCENT.fullmatch(value) and number_of(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def is_zero(value: object) -> bool:
    """Whether an int-or-percent is 0 or 0%."""
    if isinstance(value, str):
        return bool(_PERCENT.fullmatch(value)) and number_of(value[:-1]) == 0
    return value == 0


def parse_ip(value: object) -> IPv4Address | IPv6Address | None:
    """An IP address; None for anything else."""
    if not isinstance(value, str) or len(value) > ADDRESS_LENGTH_MAX or "%" in value:
        return None
    return _address(value)


@functools.lru_cache(maxsize=4096)
def _address(value: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(value)
    except ValueError:
        return None


def ip(path: str, value: object) -> Faults:
    """A text must be an IP address."""
    if parse_ip(value) is None:
        yield invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def drop(obj: Obj, *keys: str) -> dict[str, Any]:
    """A shallow copy without `keys`."""
    return {k: v for k, v in obj.items() if k not in keys}


def semantically(value: Any) -> Any:
    """A form in which absent, null and empty members compare equal."""
    if isinstance(value, Mapping):
        members = {k: semantically(v) for k, v in value.items()}
        return {k: v for k, v in members.items() if v not in (None, {}, [], "")}
    if isinstance(value, list | tuple):
        return [semantically(v) for v in value]
    return value


def same_semantically(a: Any, b: Any) -> bool:
    """Whether two values are `semantically` equal; quick where they differ in little."""
    if a == b:
        return True
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return all(_same_member(a.get(key), b.get(key)) for key in {*a, *b})
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same_semantically, a, b))
    return False


def _same_member(a: Any, b: Any) -> bool:
    """As `same_semantically`; what is empty is the same as any other that is."""
    return same_semantically(a, b) or (_is_void(a) and _is_void(b))


def _is_void(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_void, value.values()))
    return not value and not isinstance(value, int | float)


def fill(obj: dict[str, Any], key: str, value: Any) -> None:
    """Set a member that is absent, null or "" (what counts as unset for most fields)."""
    if obj.get(key) in (None, ""):
        obj[key] = value


def fill_number(obj: dict[str, Any], key: str, value: int) -> None:
    """Set a number that is absent or 0, for fields where 0 means unset."""
    if not obj.get(key):
        obj[key] = value


def member(obj: dict[str, Any], key: str) -> dict[str, Any]:
    """A member object to work on in place, made when absent."""
    value = obj.get(key)
    if not isinstance(value, dict):
        value = obj[key] = {}
    return value


def changes(new: Any, old: Any, path: str = "") -> str:
    """The differences of two values, a line each, as `immutable` answers append them."""
    if new == old:
        return ""
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        keys = sorted({*new, *old})
        return "".join(changes(new.get(k), old.get(k), f"{path}.{k}" if path else k) for k in keys)
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return "".join(
            changes(n, o, f"{path}[{i}]") for i, (n, o) in enumerate(zip(new, old, strict=True))
        )
    return f"\n  {path}: {show(old)} -> {show(new)}"
