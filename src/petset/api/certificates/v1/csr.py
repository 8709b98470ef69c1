"""CertificateSigningRequest: columns."""

from typing import Any

from petset.api.ages import human
from petset.api.check import child, items
from petset.api.errors import FieldError, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, name_of
from petset.api.table import AGE, NAME, age_of


def validate(request: Obj) -> list[FieldError]:
    """What must be there: the request, the signer, the usages."""
    spec = child(request, "spec")
    return [
        required(f"spec.{key}") for key in ("request", "signerName", "usages") if not spec.get(key)
    ]


def _condition(request: Obj) -> str:
    status = child(request, "status")
    kinds = {condition.get("type") for condition in items(status, "conditions")}
    words = [next((kind for kind in ("Denied", "Approved") if kind in kinds), "Pending")]
    if "Failed" in kinds:
        words.append("Failed")
    if status.get("certificate"):
        words.append("Issued")
    return ",".join(words)


def _cells(request: Obj, now: float) -> list[Any]:
    spec = child(request, "spec")
    seconds = spec.get("expirationSeconds")
    return [
        name_of(request),
        age_of(request, now),
        spec.get("signerName") or "<none>",
        spec.get("username") or "",
        "<none>" if seconds is None else human(seconds),
        _condition(request),
    ]


TABLE = Table(
    (
        NAME,
        AGE,
        Column("SignerName"),
        Column("Requestor"),
        Column("RequestedDuration"),
        Column("Condition"),
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    validate=validate,
    fields={"spec.signerName": lambda r: str(child(r, "spec").get("signerName") or "")},
    table=TABLE,
)
