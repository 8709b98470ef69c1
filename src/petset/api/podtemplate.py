"""Pod templates as workloads carry them: defaults, validation, selectors, cells of Tables."""

from collections.abc import Sequence
from typing import Any

from petset.api import names, selectors
from petset.api.check import Faults, child, items, member
from petset.api.core.v1 import podspec, podwarnings
from petset.api.errors import FieldError, forbidden_field, invalid, not_supported, required
from petset.api.kind import Column
from petset.api.meta import MutableObj, Obj


def default_template(template: MutableObj) -> None:
    """Defaults of a template's pod spec."""
    podspec.default(member(template, "spec"), in_pod=False)


def default_in(spec: MutableObj) -> None:
    """Defaults of the template in a workload's spec."""
    default_template(member(spec, "template"))


def template_faults(path: str, template: Obj, claims: Sequence[str] = ()) -> Faults:
    """Every fault of a template; `claims` names volumes that claim templates bring."""
    metadata = child(template, "metadata")
    yield from names.labels(f"{path}.metadata.labels", child(metadata, "labels"))
    yield from names.annotations(f"{path}.metadata.annotations", child(metadata, "annotations"))
    spec = child(template, "spec")
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


def selector_faults(spec: Obj, kind: str) -> Faults:
    """A workload's selector: there, not empty, well formed, and matching the template."""
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
        yield _mismatch(spec)
        return
    if not any(selector.values()):
        yield invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
    faults = selectors.validate(selector, "spec.selector")
    yield from faults
    labels = child(spec, "template", "metadata", "labels")
    if not faults and not selectors.from_object(selector).matches(labels):
        yield _mismatch(spec)


def _mismatch(spec: Obj) -> FieldError:
    labels = child(spec, "template", "metadata", "labels")
    words = "`selector` does not match template `labels`"
    return invalid("spec.template.metadata.labels", dict(labels) or None, words)


def warnings_of(workload: Obj) -> list[str]:
    """Warnings about the template of a workload."""
    spec = child(workload, "spec", "template", "spec")
    return list(podwarnings.of_spec("spec.template.spec", spec))


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
