"""ClusterTrustBundle: columns. An object only."""

from typing import Any

from petset.api.check import child
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, name_of
from petset.api.table import NAME


def _cells(bundle: Obj, now: float) -> list[Any]:
    del now
    return [name_of(bundle), child(bundle, "spec").get("signerName") or "<none>"]


BEHAVIOUR = Behaviour(table=Table((NAME, Column("SignerName")), _cells))
