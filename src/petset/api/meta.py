"""Object metadata: keys, times, owners, conditions. Pure helpers over plain dicts."""

import calendar
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

Obj = Mapping[str, Any]
"""An object as decoded from JSON. Shared ones are never mutated."""

MutableObj = dict[str, Any]
"""A private copy that may be changed in place."""

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:?\d\d)$"
)


def format_time(seconds: float) -> str:
    """RFC 3339 in whole seconds, UTC (`metav1.Time`): 2026-11-20T05:02:52Z."""
    return _format(int(seconds // 1)) + "Z"


def format_micro_time(seconds: float) -> str:
    """RFC 3339 with microseconds, UTC (`metav1.MicroTime`)."""
    whole = int(seconds // 1)
    micros = min(999_999, int((seconds - whole) * 1_000_000))
    return f"{_format(whole)}.{micros:06d}Z"


@functools.lru_cache(maxsize=64)
def _format(whole: int) -> str:
    days, rest = divmod(whole, 86_400)
    year, month, day = _civil(days)
    clock = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}"


def _civil(days: int) -> tuple[int, int, int]:
    """Gregorian date of a day number since 1970 (400-year cycles counted from March 1st)."""
    shifted = days + 719_468
    era, doe = divmod(shifted, 146_097)
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) // 5 + 1


def parse_time(text: object) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None for anything else."""
    match = _TIME.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    seconds = float(calendar.timegm((year, month, day, hour, minute, second)))
    if match[7]:
        seconds += int(match[7]) / 10 ** len(match[7])
    zone = match[8]
    if zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds


def name_of(obj: Obj) -> str:
    """metadata.name, or ""."""
    return (obj.get("metadata") or {}).get("name") or ""


def namespace_of(obj: Obj) -> str:
    """metadata.namespace, or ""."""
    return (obj.get("metadata") or {}).get("namespace") or ""


def uid_of(obj: Obj) -> str:
    """metadata.uid, or ""."""
    return (obj.get("metadata") or {}).get("uid") or ""


def version_of(obj: Obj) -> str:
    """metadata.resourceVersion, or ""."""
    return (obj.get("metadata") or {}).get("resourceVersion") or ""


def labels_of(obj: Obj) -> Mapping[str, str]:
    """metadata.labels, possibly empty."""
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Obj) -> Mapping[str, str]:
    """metadata.annotations, possibly empty."""
    return (obj.get("metadata") or {}).get("annotations") or {}


def is_deleting(obj: Obj) -> bool:
    """Whether deletion of the object has begun."""
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def owners_of(obj: Obj) -> Iterable[Obj]:
    """metadata.ownerReferences."""
    return (obj.get("metadata") or {}).get("ownerReferences") or ()


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference that has controller=true, if any."""
    for owner in owners_of(obj):
        if owner.get("controller"):
            return owner
    return None


def owner_reference(owner: Obj, *, api_version: str, kind: str) -> MutableObj:
    """A controller owner reference to `owner`, blocking its foreground deletion."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition_of(obj: Obj, kind: str) -> Obj | None:
    """The condition of type `kind` in status.conditions."""
    condition: Obj
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            return condition
    return None


def is_condition_true(obj: Obj, kind: str) -> bool:
    """Whether status.conditions has `kind` with status True."""
    condition = condition_of(obj, kind)
    return condition is not None and condition.get("status") == "True"


def key_of(obj: Obj) -> str:
    """`namespace/name`, or `name` for cluster-scoped objects: the key of queues and caches."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def reference_to(obj: Obj) -> MutableObj:
    """The ObjectReference that an Event carries for `obj` (which has kind and apiVersion)."""
    reference = {
        "kind": obj.get("kind", ""),
        "apiVersion": obj.get("apiVersion", ""),
        "name": name_of(obj),
        "uid": uid_of(obj),
        "resourceVersion": version_of(obj),
    }
    if namespace := namespace_of(obj):
        reference["namespace"] = namespace
    return {k: v for k, v in reference.items() if v}
