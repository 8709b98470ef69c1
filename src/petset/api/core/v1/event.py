"""Event, in its two spellings: core/v1 and events.k8s.io/v1 (wire reference, "Events").

Every reader here takes either spelling, so that one behaviour serves both views of the store.
"""

from typing import Any

from petset.api import names
from petset.api.ages import age
from petset.api.check import IMMUTABLE, Faults, child, member, semantically, worded
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of, namespace_of
from petset.api.table import NAME

WORDS_MAX, MESSAGE_MAX = 128, 1024
"""Bytes of an event's short members, and of its message, where it tells the time of one event."""

_KEPT = (
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
)


def _either(event: Obj, *keys: str) -> Any:
    return next((event[key] for key in keys if event.get(key)), None)


def regarding(event: Obj) -> Obj:
    """What the event is about."""
    found: Obj = _either(event, "involvedObject", "regarding") or {}
    return found


def source(event: Obj) -> Obj:
    """The reporting component as core/v1 has it."""
    found: Obj = _either(event, "source", "deprecatedSource") or {}
    return found


def reporter(event: Obj) -> str:
    """The controller that reports, in either spelling."""
    return str(_either(event, "reportingComponent", "reportingController") or "")


def default(event: MutableObj) -> None:
    """An event that is stored has a source, if an empty one."""
    member(event, "source")


def validate(event: Obj) -> list[FieldError]:
    """Every fault of an event, in the form in which it is stored."""
    return list(_faults(event))


def validate_strictly(event: Obj) -> list[FieldError]:
    """Every fault of an event that was created through events.k8s.io/v1."""
    return [*_faults(event), *_series_faults(event), *_strict_faults(event)]


def _strict_faults(event: Obj) -> Faults:
    if not event.get("eventTime"):
        yield required("eventTime")
    if event.get("type") not in ("Normal", "Warning"):
        yield invalid("type", "", f"has invalid value: {event.get('type') or ''}")
    for key in ("firstTimestamp", "lastTimestamp", "count"):
        if event.get(key):
            yield invalid(key, "", "needs to be unset")
    if any(child(event, "source").values()):
        yield invalid("source", "", "needs to be unset")


def _series_faults(event: Obj) -> Faults:
    series = event.get("series")
    if series is None:
        return
    if (series.get("count") or 0) < 2:
        yield invalid("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        yield required("series.lastObservedTime")


def validate_strict_update(new: Obj, old: Obj) -> list[FieldError]:
    """Through events.k8s.io/v1 only the series and the metadata of an event change."""
    faults = list(_faults(new))
    if semantically(new.get("series")) != semantically(old.get("series")):
        faults += _series_faults(new)
    for key in _KEPT:
        if semantically(new.get(key)) != semantically(old.get(key)):
            path = "reportingController" if key == "reportingComponent" else key
            faults.append(invalid(path, new.get(key), IMMUTABLE))
    return faults


def _faults(event: Obj) -> Faults:
    about, namespace = regarding(event).get("namespace") or "", namespace_of(event)
    elsewhere = invalid("involvedObject.namespace", about, "does not match event.namespace")
    if not event.get("eventTime"):
        if namespace != about and (about or namespace not in ("", "default")):
            yield elsewhere
        return
    if not about and namespace not in ("default", "kube-system"):
        yield elsewhere
    who = reporter(event)
    if not who:
        yield required("reportingController")
    yield from worded("reportingController", who, names.qualified_name(who))
    for key in ("reportingInstance", "action", "reason"):
        if not event.get(key):
            yield required(key)
        yield from _length_faults(key, event.get(key), WORDS_MAX)
    message = _either(event, "message", "note")
    yield from _length_faults("message", message, MESSAGE_MAX)


def _length_faults(path: str, value: object, limit: int) -> Faults:
    if len(str(value or "").encode()) > limit:
        yield invalid(path, "", f"can have at most {limit} characters")


def _source_cell(event: Obj) -> str:
    who = source(event)
    component = who.get("component") or reporter(event)
    host = who.get("host") or event.get("reportingInstance")
    return ", ".join(str(part) for part in (component, host) if part)


def _object_cell(event: Obj) -> str:
    about = regarding(event)
    kind, name = (about.get("kind") or "").lower(), about.get("name") or ""
    return f"{kind}/{name}" if name else kind


def _first(event: Obj) -> Any:
    return _either(event, "firstTimestamp", "deprecatedFirstTimestamp", "eventTime")


def _last(event: Obj) -> Any:
    series = child(event, "series").get("lastObservedTime")
    return series or _either(event, "lastTimestamp", "deprecatedLastTimestamp") or _first(event)


def _cells(event: Obj, now: float) -> list[Any]:
    count = child(event, "series").get("count") or _either(event, "count", "deprecatedCount")
    return [
        age(_last(event), now),
        event.get("type") or "",
        event.get("reason") or "",
        _object_cell(event),
        regarding(event).get("fieldPath") or "",
        _source_cell(event),
        str(_either(event, "message", "note") or "").strip(),
        age(_first(event), now),
        count or 1,
        name_of(event),
    ]


TABLE = Table(
    (
        Column("Last Seen"),
        Column("Type"),
        Column("Reason"),
        Column("Object"),
        Column("Subobject", priority=1),
        Column("Source", priority=1),
        Column("Message"),
        Column("First Seen", priority=1),
        Column("Count", priority=1),
        Column("Name", priority=1, format="name", description=NAME.description),
    ),
    _cells,
)

_ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _about(key: str) -> Any:
    return lambda event: str(regarding(event).get(key) or "")


def _plain(key: str) -> Any:
    return lambda event: str(event.get(key) or "")


BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    fields={
        **{f"involvedObject.{key}": _about(key) for key in _ABOUT},
        "reason": _plain("reason"),
        "type": _plain("type"),
        "reportingComponent": reporter,
        "source": lambda event: str(source(event).get("component") or reporter(event)),
    },
    table=TABLE,
    name_rule="path",
    create_on_update=True,
)

EVENTS_V1 = Behaviour(
    validate=validate_strictly,
    validate_update=validate_strict_update,
    validates_update_alone=True,
    fields={
        **{f"regarding.{key}": _about(key) for key in _ABOUT},
        "reason": _plain("reason"),
        "type": _plain("type"),
        "reportingController": reporter,
    },
    table=TABLE,
    create_on_update=True,
)
"""The same for events.k8s.io."""
