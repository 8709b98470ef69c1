"""PodTemplate and ReplicationController: kinds of the core group that carry a template."""

from typing import Any

from petset.api import selectors
from petset.api.check import Faults, child, fill, member, non_negative, number
from petset.api.core.v1.podwarnings import of_template
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.podtemplate import (
    container_cells,
    default_in,
    endless_faults,
    part_faults,
    replicas_table,
    template_faults,
    update_warnings_of,
    warnings_of,
)
from petset.api.table import NAME


def _template_cells(obj: Obj, now: float) -> list[Any]:
    del now
    template = child(obj, "template")
    labels = selectors.from_labels(child(template, "metadata", "labels"))
    return [name_of(obj), *container_cells(template), str(labels) or "<none>"]


def default_controller(controller: MutableObj) -> None:
    """One replica; selector and labels follow the template's labels."""
    spec = member(controller, "spec")
    if spec.get("template") is not None:
        default_in(spec)
    fill(spec, "replicas", 1)
    labels = child(spec, "template", "metadata", "labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        metadata = member(controller, "metadata")
        if not metadata.get("labels"):
            metadata["labels"] = dict(labels)


def prepare_controller(controller: MutableObj) -> None:
    """The count that the status always shows."""
    controller["status"] = {"replicas": 0}


def validate_controller(controller: Obj) -> list[FieldError]:
    """Every fault of a replication controller."""
    return list(_controller_faults(child(controller, "spec")))


def _controller_faults(spec: Obj) -> Faults:
    selector, template = child(spec, "selector"), child(spec, "template")
    labels = child(template, "metadata", "labels")
    yield from non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    if not selector:
        yield required("spec.selector")
    yield from non_negative("spec.replicas", spec.get("replicas"))
    if spec.get("template") is None:
        yield required("spec.template")
        return
    if selector and not selectors.from_labels(selector).matches(labels):
        words = "`selector` does not match template `labels`"
        yield invalid("spec.template.metadata.labels", dict(labels) or None, words)
    yield from template_faults("spec.template", template)
    yield from endless_faults("spec.template", template, "ReplicationController")


_COUNTS = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Counts are not negative, and no part is larger than the whole."""
    del old
    return list(part_faults(new, _COUNTS))


def _selector_cell(controller: Obj) -> str:
    return str(selectors.from_labels(child(controller, "spec", "selector"))) or "<none>"


POD_TEMPLATE = Behaviour(
    default=default_in,
    validate=lambda obj: list(template_faults("template", child(obj, "template"))),
    warnings=lambda obj: list(of_template("template", child(obj, "template"))),
    table=Table(
        (NAME, Column("Containers"), Column("Images"), Column("Pod Labels")), _template_cells
    ),
    generation=True,
)

REPLICATION_CONTROLLER = Behaviour(
    default=default_controller,
    prepare_create=prepare_controller,
    validate=validate_controller,
    validate_status=validate_status,
    warnings=warnings_of,
    update_warnings=update_warnings_of,
    fields={"status.replicas": lambda rc: str(number(child(rc, "status").get("replicas")))},
    table=replicas_table(_selector_cell),
    generation=True,
    default_propagation="Orphan",
)
