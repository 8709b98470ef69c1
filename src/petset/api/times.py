"""RFC 3339 times as the API takes and gives them."""

import datetime
import functools
import re

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
LENGTH_MAX = 64
"""No time is longer."""
_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def is_time(text: str) -> bool:
    """Whether `text` is an RFC 3339 time that exists in the calendar."""
    return _parse(text) is not None


def canonical(text: str) -> str:
    """The time in UTC, whole seconds (`metav1.Time`). What is no time comes back as it is."""
    if _CANONICAL.fullmatch(text):
        return text
    parsed = _parse(text)
    return text if parsed is None else parsed[0].isoformat() + "Z"


def canonical_micro(text: str) -> str:
    """The time in UTC with six decimals (`metav1.MicroTime`)."""
    parsed = _parse(text)
    if parsed is None:
        return text
    moment, fraction = parsed
    return f"{moment.isoformat()}.{fraction[:6]:0<6}Z"


def _parse(text: str) -> tuple[datetime.datetime, str] | None:
    """The moment in UTC, in whole seconds and without zone, and the digits after its point."""
    return _kept(text) if len(text) <= LENGTH_MAX else None


@functools.lru_cache(maxsize=4096)
def _kept(text: str) -> tuple[datetime.datetime, str] | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        moment = datetime.datetime.fromisoformat(f"{day}T{clock}{zone}")
        utc = moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
    return utc.replace(tzinfo=None), fraction or ""
