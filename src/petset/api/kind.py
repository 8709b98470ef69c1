"""Behaviour of a kind as a value: what the generic verbs ask of it.

One `Behaviour` per kind that petset acts on, made in `api/<group>/<version>/<kind>.py` and listed
in `api/behaviours.py`. A kind without one gets `Behaviour()`: schema checks and metadata rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from petset.api.errors import FieldError
from petset.api.meta import MutableObj, Obj


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a Table. `priority` over 0 means: shown in wide output only."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


def _nothing(obj: MutableObj) -> None:
    del obj


def _no_errors(obj: Obj) -> list[FieldError]:
    del obj
    return []


def _no_update_errors(new: Obj, old: Obj) -> list[FieldError]:
    del new, old
    return []


def _no_prepare(new: MutableObj, old: Obj) -> None:
    del new, old


def _no_warnings(obj: Obj) -> list[str]:
    del obj
    return []


@dataclass(frozen=True, slots=True)
class Table:
    """How a kind prints: columns, and the cells of one object at time `now` (epoch seconds).

    Every cell is always made, wide ones too. `conditions` gives a row's conditions, if any.
    """

    columns: tuple[Column, ...]
    cells: Callable[[Obj, float], list[Any]]
    conditions: Callable[[Obj], list[MutableObj]] = lambda obj: []


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the verbs ask of a kind. All functions are pure; `MutableObj` ones work in place.

    Attributes:
        default: fill in defaults (after decoding, on create and on update).
        prepare_create: reset what a client may not set at creation (beside the generic status
            and metadata resets), e.g. a Pod's phase Pending.
        prepare_update: carry over from the old object what a client may not change silently.
        validate: every fault of a new object, beside metadata and schema.
        validate_update: every fault of an update of the main resource; `faults_of_update` runs
            `validate` too unless `validates_update_alone` is set.
        validate_status: every fault of an update through /status.
        warnings: texts for the Warning header, about a new object.
        update_warnings: the same about an updated object and the stored one; None: those of
            `warnings`.
        fields: extra selectable fields beside metadata.name and metadata.namespace:
            path -> value of an object as text.
        table: how it prints; None: Name and Age.
        name_rule: "subdomain", "label", "path" or "label1035": which names are allowed.
        generation: whether metadata.generation counts spec changes.
        unconditional_update: whether PUT without resourceVersion is allowed.
        create_on_update: whether PUT of a missing object creates it.
        graceful: whether deletion waits for a grace period (Pods).
        default_propagation: deletion propagation where the client says none.
        deletion_warning: the warning for deletions that name no propagation policy.
        deletion_returns_object: whether DELETE answers with the last object, not with a Status.
    """

    default: Callable[[MutableObj], None] = _nothing
    prepare_create: Callable[[MutableObj], None] = _nothing
    prepare_update: Callable[[MutableObj, Obj], None] = _no_prepare
    validate: Callable[[Obj], list[FieldError]] = _no_errors
    validate_update: Callable[[Obj, Obj], list[FieldError]] = _no_update_errors
    validates_update_alone: bool = False
    validate_status: Callable[[Obj, Obj], list[FieldError]] = _no_update_errors
    warnings: Callable[[Obj], Sequence[str]] = _no_warnings
    update_warnings: Callable[[Obj, Obj], Sequence[str]] | None = None
    fields: Mapping[str, Callable[[Obj], str]] = field(default_factory=dict)
    table: Table | None = None
    name_rule: str = "subdomain"
    generation: bool = False
    unconditional_update: bool = True
    create_on_update: bool = False
    graceful: bool = False
    default_propagation: str = "Background"
    deletion_warning: str = ""
    deletion_returns_object: bool = False

    def faults_of_update(self, new: Obj, old: Obj) -> list[FieldError]:
        """Every fault of an update of the main resource, but those that the stored object has too.

        It may be older than the rules; what is no worse than it was must not stand in the way of
        a change elsewhere.
        """
        found = [] if self.validates_update_alone else self.validate(new)
        found = [*found, *self.validate_update(new, old)]
        known = set(self.validate(old)) if found else ()
        return [fault for fault in found if fault not in known]

    def warnings_of_update(self, new: Obj, old: Obj) -> Sequence[str]:
        """Texts for the Warning header of an update."""
        tell = self.update_warnings
        return self.warnings(new) if tell is None else tell(new, old)
