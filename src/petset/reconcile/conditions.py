"""Conditions in a status: setting one without touching the others. Pure."""

from petset.api import meta
from petset.api.meta import MutableObj, Obj


def with_condition(obj: Obj, condition: Obj, now: float) -> list[MutableObj] | None:
    """The conditions of `obj` with `condition` set; None when nothing would change.

    lastTransitionTime moves only when the condition's status does.
    """
    present: list[MutableObj] = [dict(c) for c in (obj.get("status") or {}).get("conditions") or ()]
    old = next((c for c in present if c.get("type") == condition["type"]), None)
    new: MutableObj = {**(old or {}), **condition}
    if old is None or old.get("status") != condition["status"]:
        new["lastTransitionTime"] = meta.format_time(now)
    if new == old:
        return None
    if old is None:
        return [*present, new]
    return [new if c is old else c for c in present]
