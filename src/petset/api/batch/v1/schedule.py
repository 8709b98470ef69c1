"""When a CronJob runs: schedules of five fields or words, and time zones. Validation."""

import re

from petset.api.batch.v1.zones import ZONES
from petset.api.check import number_of

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []),
    (0, 23, []),
    (1, 31, []),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
"""Minute, hour, day of the month, month, day of the week: bounds, and words for numbers."""
_WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = re.compile(r"@every ([0-9.]+(ns|us|µs|ms|s|m|h))+")
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S*)\s+")
_ZONE_PART = re.compile(r"[A-Za-z._0-9+-]{1,14}")


def schedule_fault(text: str) -> str:
    """What is wrong with a schedule, "" if nothing, in the words of the usual parser."""
    if match := _ZONE.match(text):
        if zone_faults(match[1]):
            return f"provided bad location {match[1]}: unknown time zone {match[1]}"
        text = text[match.end() :].strip()
    if text in _WORDS or _EVERY.fullmatch(text):
        return ""
    if text.startswith("@every "):
        duration = text.removeprefix("@every ")
        return f'failed to parse duration {text}: time: invalid duration "{duration}"'
    if text.startswith("@"):
        return f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for field, (low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in filter(None, field.split(",")):
            if fault := _part_fault(part, low, high, words):
                return fault
    return ""


def _part_fault(part: str, low: int, high: int, words: list[str]) -> str:
    """What is wrong with `a`, `a-b`, `*`, each with or without `/step`."""
    steps = part.split("/")
    ends = steps[0].split("-")
    step, start, end = 1, low, high
    if ends[0] not in ("*", "?"):
        if len(ends) > 2:
            return f"too many hyphens: {part}"
        values = [_value(text, low, words) for text in ends]
        if fault := next((value for value in values if isinstance(value, str)), ""):
            return fault
        start, end = int(values[0]), int(values[-1])
    if len(steps) > 2:
        return f"too many slashes: {part}"
    if len(steps) == 2:
        read = _value(steps[1], 0, [])
        if isinstance(read, str):
            return read
        step, end = read, high if len(ends) == 1 else end
    return _range_fault(part, (start, end, step), low, high)


def _range_fault(part: str, read: tuple[int, int, int], low: int, high: int) -> str:
    start, end, step = read
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {part}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {part}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {part}"
    return "" if step else f"step of range should be a positive number: {part}"


def _value(text: str, low: int, words: list[str]) -> int | str:
    """A number or one of `words`; what is wrong with it if it is neither."""
    if text.lower() in words:
        return words.index(text.lower()) + low
    if text.isascii() and text.isdigit():
        return number_of(text)
    return f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'


def zone_faults(zone: str) -> list[str]:
    """What is wrong with the name of a time zone (IANA)."""
    if not zone:
        return ["timeZone must be nil or non-empty string"]
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            return [f"unknown time zone {zone}"]
    found = []
    if zone.lower() == "local":
        words = "timeZone must be an explicit time zone as defined in"
        found.append(f"{words} https://www.iana.org/time-zones")
    if zone not in ZONES and zone != "Local":
        found.append(f"unknown time zone {zone}")
    return found
