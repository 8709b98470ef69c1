"""ResourceClaim and its neighbours: columns. Objects only: petset allocates no devices."""

from typing import Any

from petset.api.check import child, items
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, is_deleting, name_of
from petset.api.table import AGE, NAME, PLAIN, age_of


def _state(claim: Obj) -> str:
    status = child(claim, "status")
    if status.get("allocation") is None:
        return "deleted" if is_deleting(claim) else "pending"
    states = ["deleted"] if is_deleting(claim) else []
    states.append("allocated")
    if items(status, "reservedFor"):
        states.append("reserved")
    return ",".join(states)


def _claim_cells(claim: Obj, now: float) -> list[Any]:
    return [name_of(claim), _state(claim), age_of(claim, now)]


def _slice_cells(piece: Obj, now: float) -> list[Any]:
    spec = child(piece, "spec")
    return [
        name_of(piece),
        spec.get("nodeName") or "",
        spec.get("driver") or "",
        child(spec, "pool").get("name") or "",
        age_of(piece, now),
    ]


CLAIM = Behaviour(table=Table((NAME, Column("State"), AGE), _claim_cells))
CLASS = Behaviour(table=PLAIN, generation=True)
SLICE = Behaviour(
    table=Table((NAME, Column("Node"), Column("Driver"), Column("Pool"), AGE), _slice_cells),
    generation=True,
)
