"""VolumeAttributesClass: validation, update rules, columns. An object only: nothing acts on it."""

from typing import Any

from petset.api.check import child
from petset.api.errors import FieldError
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import Obj, annotations_of, name_of
from petset.api.storage.v1.storageclass import (
    frozen_faults,
    parameters_faults,
    provisioner_faults,
)
from petset.api.table import AGE, NAME, age_of

_IS_DEFAULT = "storage.alpha.kubernetes.io/is-default-volumeattributesclass"


def validate(attributes_class: Obj) -> list[FieldError]:
    """Every fault of a class: a driver, and at least one parameter for it."""
    parameters = child(attributes_class, "parameters")
    return [
        *provisioner_faults("driverName", attributes_class.get("driverName")),
        *parameters_faults("parameters", parameters, need=True),
    ]


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """Driver and parameters stay."""
    return list(frozen_faults(new, old, ("driverName", "parameters")))


def _cells(attributes_class: Obj, now: float) -> list[Any]:
    name = name_of(attributes_class)
    chosen = annotations_of(attributes_class).get(_IS_DEFAULT) == "true"
    return [
        f"{name} (default)" if chosen else name,
        attributes_class.get("driverName") or "",
        age_of(attributes_class, now),
    ]


BEHAVIOUR = Behaviour(
    validate=validate,
    validate_update=validate_update,
    table=Table((NAME, Column("DriverName"), AGE), _cells),
)
