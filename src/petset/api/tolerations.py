"""Which taints of a node a pod tolerates. Pure."""

from collections.abc import Iterable

from petset.api.meta import Obj


def tolerates(toleration: Obj, taint: Obj) -> bool:
    """Whether one toleration covers `taint`: effect, key and value, by its operator."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    ours, theirs = toleration.get("value") or "", taint.get("value") or ""
    match operator:
        case "Exists":
            return True
        case "Equal":
            return bool(ours == theirs)
        case "Lt" | "Gt":
            return _compares(operator, theirs, ours)
        case _:
            return False


def _compares(operator: str, theirs: str, ours: str) -> bool:
    try:
        taint, limit = int(theirs), int(ours)
    except ValueError:
        return False
    return taint < limit if operator == "Lt" else taint > limit


def tolerated(taint: Obj, tolerations: Iterable[Obj]) -> bool:
    """Whether any of `tolerations` covers `taint`."""
    return any(tolerates(t, taint) for t in tolerations)
