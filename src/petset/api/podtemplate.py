"""Pod templates as workloads carry them: defaults, validation, selectors, cells of Tables."""

from collections.abc import Callable, Sequence
from typing import Any

from petset.api import names, selectors
from petset.api.check import Faults, child, items, member, non_negative, number
from petset.api.core.v1 import podannotations, podspec, podwarnings
from petset.api.errors import forbidden_field, invalid, not_supported, required
from petset.api.kind import Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of


def default_template(template: MutableObj) -> None:
    """Defaults of a template's pod spec."""
    podspec.default(member(template, "spec"), in_pod=False)


def default_in(spec: MutableObj) -> None:
    """Defaults of the template in a workload's spec."""
    default_template(member(spec, "template"))


def template_faults(path: str, template: Obj, claims: Sequence[str] = ()) -> Faults:
    """Every fault of a template; `claims` names volumes that claim templates bring.

    Labels and annotations are told beside `spec`, without `metadata`, as upstream does.
    """
    metadata, spec = child(template, "metadata"), child(template, "spec")
    annotations = child(metadata, "annotations")
    yield from names.labels(f"{path}.labels", child(metadata, "labels"))
    yield from names.annotations(f"{path}.annotations", annotations)
    yield from podannotations.faults(f"{path}.annotations", annotations, spec)
    yield from podspec.faults(f"{path}.spec", spec, claims=claims)
    if items(spec, "ephemeralContainers"):
        words = "ephemeral containers not allowed in pod template"
        yield forbidden_field(f"{path}.spec.ephemeralContainers", words)


def endless_faults(path: str, template: Obj, kind: str) -> Faults:
    """Pods of a workload that never ends are always restarted and have no deadline."""
    spec = child(template, "spec")
    policy = spec.get("restartPolicy")
    if policy not in (None, "", "Always"):
        yield not_supported(f"{path}.spec.restartPolicy", policy, ["Always"])
    if spec.get("activeDeadlineSeconds") is not None:
        yield forbidden_field(
            f"{path}.spec.activeDeadlineSeconds",
            f"activeDeadlineSeconds in {kind} is not Supported",
        )


def selected_faults(spec: Obj, word: str, kind: str) -> Faults:
    """Every fault of the selector and the template of a workload that never ends.

    `word` names it in messages about the selector, `kind` in those about the template. With a
    selector that is malformed the template is not looked at.
    """
    selector, template = spec.get("selector"), child(spec, "template")
    if selector is None:
        yield required("spec.selector")
    else:
        faults = selectors.validate(selector, "spec.selector")
        yield from faults
        if not any(selector.values()):
            yield invalid("spec.selector", selector, f"empty selector is invalid for {word}")
        if faults:
            yield invalid("spec.selector", selector, "invalid label selector")
            return
    yield from match_faults("spec", spec)
    yield from template_faults("spec.template", template)
    yield from endless_faults("spec.template", template, kind)


def match_faults(path: str, spec: Obj) -> Faults:
    """A well formed selector must match the template's labels; none at all matches nothing."""
    selector = spec.get("selector")
    labels = child(spec, "template", "metadata", "labels")
    if selector is None or not selectors.from_object(selector).matches(labels):
        words = "`selector` does not match template `labels`"
        yield invalid(f"{path}.template.metadata.labels", dict(labels) or None, words)


def selector_faults(spec: Obj, kind: str) -> Faults:
    """A workload's selector: there, not empty, well formed, and matching the template."""
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
        yield from match_faults("spec", spec)
        return
    faults = selectors.validate(selector, "spec.selector")
    yield from faults
    if not any(selector.values()):
        yield invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
    if faults:
        yield invalid("spec.selector", selector)
    else:
        yield from match_faults("spec", spec)


def part_faults(new: Obj, counts: tuple[str, ...]) -> Faults:
    """Counts of a status are not negative, and no part is larger than the whole."""
    status = child(new, "status")
    others = ("terminatingReplicas", "observedGeneration", "collisionCount")
    for key in ("replicas", *counts, *others):
        yield from non_negative(f"status.{key}", status.get(key))
    for key in counts:
        if number(status.get(key)) > number(status.get("replicas")):
            yield invalid(
                f"status.{key}", status.get(key), "cannot be greater than status.replicas"
            )
    if number(status.get("availableReplicas")) > number(status.get("readyReplicas")):
        yield invalid(
            "status.availableReplicas",
            status.get("availableReplicas"),
            "cannot be greater than readyReplicas",
        )


def collision_faults(new: Obj, old: Obj) -> Faults:
    """The collision count of a workload's status never goes down."""
    count = number(new.get("collisionCount"))
    if count < number(old.get("collisionCount")):
        yield invalid("status.collisionCount", count, "cannot be decremented")


def template_warnings(workload: Obj) -> list[str]:
    """Warnings about the template of a workload."""
    template = child(workload, "spec", "template")
    return list(podwarnings.of_template("spec.template", template))


def warnings_of(workload: Obj) -> list[str]:
    """Warnings about a new workload whose name goes into those of its pods."""
    return [*podwarnings.of_name(workload, "Pod names and hostnames"), *template_warnings(workload)]


def update_warnings_of(new: Obj, old: Obj) -> list[str]:
    """Warnings about a workload whose spec was changed."""
    return template_warnings(new) if is_changed(new, old) else []


def is_changed(new: Obj, old: Obj) -> bool:
    """Whether an update counts a new generation."""
    after, before = (child(obj, "metadata").get("generation") for obj in (new, old))
    return after != before


CONTAINERS = Column("Containers", priority=1, description="Names of the template's containers.")
IMAGES = Column("Images", priority=1, description="Images of the template's containers.")
SELECTOR = Column("Selector", priority=1, description="Labels of the pods it is about.")


def container_cells(template: Obj) -> list[Any]:
    """The cells of Containers and Images."""
    containers = items(child(template, "spec"), "containers")
    return [",".join(c.get(key) or "" for c in containers) for key in ("name", "image")]


def selector_cell(workload: Obj) -> str:
    """The cell of Selector."""
    selector = child(workload, "spec").get("selector")
    return selectors.show(selector) if selector is not None else "<none>"


def replicas_table(selector: Callable[[Obj], str]) -> Table:
    """How workloads print whose pods are interchangeable; `selector` makes the last cell."""

    def cells(workload: Obj, now: float) -> list[Any]:
        spec, status = child(workload, "spec"), child(workload, "status")
        return [
            name_of(workload),
            number(spec.get("replicas")),
            number(status.get("replicas")),
            number(status.get("readyReplicas")),
            age_of(workload, now),
            *container_cells(child(spec, "template")),
            selector(workload),
        ]

    counts = (Column(name, type="integer") for name in ("Desired", "Current", "Ready"))
    return Table((NAME, *counts, AGE, CONTAINERS, IMAGES, SELECTOR), cells)
