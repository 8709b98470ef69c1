"""Tables: what `kubectl get` prints, made by the server (wire reference, "Table rendering").

Every column is always sent, wide ones too: the client hides what it does not want.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from petset.api.ages import age
from petset.api.check import child
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of

Include = Literal["Metadata", "Object", "None"]
"""What a row carries beside its cells."""

NAME = Column(
    "Name",
    format="name",
    description="Name must be unique within a namespace or, for cluster kinds, in the cluster.",
)
AGE = Column("Age", description="Time since the object was created.")
CREATED_AT = Column("Created At", type="date", description="When the object was created.")


def age_of(obj: Obj, now: float) -> str:
    """The cell of the Age column."""
    return age(child(obj, "metadata").get("creationTimestamp"), now)


def created_at_of(obj: Obj) -> Any:
    """The cell of the Created At column: the time as stored."""
    return child(obj, "metadata").get("creationTimestamp")


def _plain_cells(obj: Obj, now: float) -> list[Any]:
    return [name_of(obj), age_of(obj, now)]


PLAIN = Table((NAME, AGE), _plain_cells)
"""Name and Age: for kinds without columns of their own."""


def _scale_cells(obj: Obj, now: float) -> list[Any]:
    wanted, current = child(obj, "spec"), child(obj, "status")
    return [name_of(obj), wanted.get("replicas", 0), current.get("replicas", 0), age_of(obj, now)]


SCALE = Table(
    (
        NAME,
        Column("Desired", "integer", description="Replicas asked for."),
        Column("Available", "integer", description="Replicas that there are."),
        AGE,
    ),
    _scale_cells,
)
"""For the scale subresource of any workload."""

CREATED = Table((NAME, CREATED_AT), lambda obj, now: [name_of(obj), created_at_of(obj)])
"""Name and Created At: what upstream prints for kinds without a printer."""


def render(
    behaviour: Behaviour,
    objs: Sequence[Obj],
    now: float,
    include: Include = "Metadata",
    version: str = "v1",
) -> MutableObj:
    """A Table of `objs` at `now` (epoch seconds), in meta.k8s.io/`version` (v1 or v1beta1).

    The list's own metadata (resourceVersion, continue, remainingItemCount) is the caller's to
    set; `of_one` and `of_event` set it for a single object.
    """
    table = behaviour.table or PLAIN
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": {},
        "columnDefinitions": [_definition(column) for column in table.columns],
        "rows": rows(behaviour, objs, now, include, version),
    }


def rows(
    behaviour: Behaviour,
    objs: Sequence[Obj],
    now: float,
    include: Include = "Metadata",
    version: str = "v1",
) -> list[dict[str, Any]]:
    """The rows alone of the Table that `render` makes."""
    table = behaviour.table or PLAIN
    return [_row(table, obj, now, include, version) for obj in objs]


def of_one(
    behaviour: Behaviour, obj: Obj, now: float, include: Include = "Metadata", version: str = "v1"
) -> MutableObj:
    """A Table of one row, at the object's resourceVersion."""
    rendered = render(behaviour, (obj,), now, include, version)
    if resource_version := child(obj, "metadata").get("resourceVersion"):
        rendered["metadata"] = {"resourceVersion": resource_version}
    return rendered


def without_columns(rendered: Obj) -> MutableObj:
    """The form of every event of a watch but the first: column definitions are told once."""
    return {**rendered, "columnDefinitions": None}


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(table: Table, obj: Obj, now: float, include: Include, version: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": [_cell(cell) for cell in table.cells(obj, now)]}
    if conditions := table.conditions(obj):
        row["conditions"] = conditions
    if include == "Metadata":
        row["object"] = partial(obj, version)
    elif include == "Object":
        row["object"] = obj
    return row


def _cell(value: Any) -> Any:
    """A cell as sent: texts end at their first line break."""
    if isinstance(value, str) and "\n" in value:
        return value[: value.index("\n")] + "..."
    return value


def partial(obj: Obj, version: str = "v1") -> dict[str, Any]:
    """The PartialObjectMetadata of an object."""
    metadata: Mapping[str, Any] = child(obj, "metadata")
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(metadata),
    }
