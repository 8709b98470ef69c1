"""FlowSchema and PriorityLevelConfiguration: columns. Objects only: nothing queues by them."""

from typing import Any

from petset.api.check import child, number
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, condition_of, name_of
from petset.api.table import AGE, NAME, age_of

_NONE = "<none>"


def _schema_cells(schema: Obj, now: float) -> list[Any]:
    spec = child(schema, "spec")
    dangling = condition_of(schema, "Dangling")
    return [
        name_of(schema),
        child(spec, "priorityLevelConfiguration").get("name") or "",
        number(spec.get("matchingPrecedence")),
        child(spec, "distinguisherMethod").get("type") or _NONE,
        age_of(schema, now),
        "?" if dangling is None else dangling.get("status") or "",
    ]


def _level_cells(level: Obj, now: float) -> list[Any]:
    spec = child(level, "spec")
    limited = child(spec, "limited")
    queuing = child(limited, "limitResponse", "queuing")
    keys = ("queues", "handSize", "queueLengthLimit")
    return [
        name_of(level),
        spec.get("type") or "",
        limited.get("nominalConcurrencyShares", _NONE),
        *(queuing.get(key, _NONE) for key in keys),
        age_of(level, now),
    ]


SCHEMA = Behaviour(
    table=Table(
        (
            NAME,
            Column("PriorityLevel"),
            Column("MatchingPrecedence"),
            Column("DistinguisherMethod"),
            AGE,
            Column("MissingPL"),
        ),
        _schema_cells,
    ),
    generation=True,
    unconditional_update=False,
)

LEVEL = Behaviour(
    table=Table(
        (
            NAME,
            Column("Type"),
            Column("NominalConcurrencyShares"),
            Column("Queues"),
            Column("HandSize"),
            Column("QueueLengthLimit"),
            AGE,
        ),
        _level_cells,
    ),
    generation=True,
    unconditional_update=False,
)
