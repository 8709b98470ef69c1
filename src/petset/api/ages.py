"""Ages as Tables print them: the short form of a duration (wire reference, "Ages")."""

from petset.api.meta import parse_time

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def human(seconds: float) -> str:
    """A duration in one or two units, finer ones only while they matter: 5m20s, 5h12m, 400d."""
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    whole = int(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 48 * _HOUR:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    return _years(whole // _DAY)


def _two(whole: int, big: int, big_unit: str, small: int, small_unit: str) -> str:
    rest = whole % big // small
    return f"{whole // big}{big_unit}" + (f"{rest}{small_unit}" if rest else "")


def _years(days: int) -> str:
    if days < 730:
        return f"{days}d"
    years, rest = divmod(days, 365)
    return f"{years}y{rest}d" if days < 8 * 365 and rest else f"{years}y"


def age(timestamp: object, now: float) -> str:
    """The age of an RFC 3339 time at `now` (epoch seconds); `<unknown>` when there is none."""
    seconds = parse_time(timestamp)
    return "<unknown>" if seconds is None else human(now - seconds)
