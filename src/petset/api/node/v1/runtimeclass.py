"""RuntimeClass: validation, update rules, warnings, columns."""

from typing import Any

from petset.api import names
from petset.api.check import Faults, child, items, unchanged, worded
from petset.api.core.v1.placement import tolerations_faults
from petset.api.core.v1.podwarnings import OLD_LABELS
from petset.api.core.v1.resources import canonical_list, requirement_faults
from petset.api.errors import FieldError
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of


def default(runtime_class: MutableObj) -> None:
    """Canonical amounts."""
    overhead = runtime_class.get("overhead")
    if isinstance(overhead, dict):
        canonical_list(overhead, "podFixed")


def validate(runtime_class: Obj) -> list[FieldError]:
    """Every fault of a class."""
    return list(_faults(runtime_class))


def _faults(runtime_class: Obj) -> Faults:
    handler = str(runtime_class.get("handler") or "")
    yield from worded("handler", handler, names.dns_label(handler))
    fixed = child(runtime_class, "overhead", "podFixed")
    yield from requirement_faults("overhead", {"limits": fixed})
    scheduling = child(runtime_class, "scheduling")
    yield from names.labels("scheduling.nodeSelector", child(scheduling, "nodeSelector"))
    yield from tolerations_faults("scheduling.tolerations", items(scheduling, "tolerations"))


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The handler stays."""
    return list(unchanged("handler", new.get("handler"), old.get("handler")))


def warnings(runtime_class: Obj) -> list[str]:
    """Labels of nodes that have new names."""
    chosen = child(runtime_class, "scheduling", "nodeSelector")
    return [f"scheduling.nodeSelector: {OLD_LABELS[k]}" for k in chosen if k in OLD_LABELS]


def _cells(runtime_class: Obj, now: float) -> list[Any]:
    handler = runtime_class.get("handler") or ""
    return [name_of(runtime_class), handler, age_of(runtime_class, now)]


BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    table=Table((NAME, Column("Handler"), AGE), _cells),
    create_on_update=True,
    unconditional_update=False,
)
