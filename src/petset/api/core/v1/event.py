"""Event, in its two spellings: core/v1 and events.k8s.io/v1 (wire reference, "Events").

Every reader here takes either spelling, so that one behaviour serves both views of the store.
"""

from typing import Any

from petset.api.ages import age
from petset.api.check import Faults, child
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, name_of, namespace_of
from petset.api.table import NAME


def _either(event: Obj, *keys: str) -> Any:
    return next((event[key] for key in keys if event.get(key)), None)


def regarding(event: Obj) -> Obj:
    """What the event is about."""
    found: Obj = _either(event, "involvedObject", "regarding") or {}
    return found


def source(event: Obj) -> Obj:
    """The older way to tell who reports."""
    found: Obj = _either(event, "source", "deprecatedSource") or {}
    return found


def reporter(event: Obj) -> str:
    """The controller that reports, in either spelling."""
    return str(_either(event, "reportingComponent", "reportingController") or "")


def validate(event: Obj) -> list[FieldError]:
    """Every fault of an event."""
    return list(_faults(event))


def _faults(event: Obj) -> Faults:
    about, namespace = regarding(event).get("namespace") or "", namespace_of(event)
    if (about and about != namespace) or (
        not about and namespace not in ("default", "kube-system", "")
    ):
        yield invalid("involvedObject.namespace", about, "does not match event.namespace")
    if not event.get("eventTime"):
        return
    if not reporter(event):
        yield required("reportingController")
    for key, limit in (("reportingInstance", 128), ("action", 128), ("reason", 128)):
        value = event.get(key) or ""
        if not value:
            yield required(key)
        elif len(value) > limit:
            yield invalid(key, "", f"can have at most {limit} characters")
    if event.get("type") not in ("Normal", "Warning"):
        yield invalid("type", event.get("type") or "", "must be Normal or Warning")


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
    validate=validate,
    fields={
        **{f"involvedObject.{key}": _about(key) for key in _ABOUT},
        "reason": _plain("reason"),
        "type": _plain("type"),
        "reportingComponent": reporter,
        "source": lambda event: str(source(event).get("component") or reporter(event)),
    },
    table=TABLE,
    create_on_update=True,
)

EVENTS_V1 = Behaviour(
    validate=validate,
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
