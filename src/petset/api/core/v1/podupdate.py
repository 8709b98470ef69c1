"""What may change in a Pod's spec after its creation."""

from collections.abc import Sequence
from typing import Any

from petset.api.check import Faults, changes, child, drop, items, semantically
from petset.api.errors import FieldError, forbidden_field, invalid
from petset.api.meta import MutableObj, Obj

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def spec_faults(new: Obj, old: Obj) -> Faults:
    """Every fault of an update of a pod's spec through the main resource, as far as upstream looks.

    Where containers come or go, or the deadline is wrong, the rest is not looked at.
    """
    before, after = child(old, "spec"), child(new, "spec")
    for kind in ("containers", "initContainers"):
        if len(items(after, kind)) != len(items(before, kind)):
            yield forbidden_field(f"spec.{kind}", "pod updates may not add or remove containers")
            return
    deadline = _deadline_fault(after, before)
    if deadline is not None:
        yield deadline
        if after.get("activeDeadlineSeconds") is not None:
            return
    yield from _toleration_faults(items(after, "tolerations"), items(before, "tolerations"))
    yield from _gate_faults(after, before)
    if items(before, "schedulingGates"):
        yield from _gated_faults(after, before)
    frozen_after, frozen_before = _frozen(after, before), _frozen(before, before)
    if frozen_after != frozen_before:
        yield forbidden_field("spec", _FROZEN + changes(frozen_after, frozen_before))


def _deadline_fault(new: Obj, old: Obj) -> FieldError | None:
    path, after, before = (
        "spec.activeDeadlineSeconds",
        new.get("activeDeadlineSeconds"),
        old.get("activeDeadlineSeconds"),
    )
    if before is None:
        return None
    if after is None:
        return invalid(path, after, "must not update from a positive integer to nil value")
    if after > before:
        return invalid(path, after, "must be less than or equal to previous value")
    return None


def _toleration_faults(new: Sequence[Any], old: Sequence[Any]) -> Faults:
    kept = [drop(toleration, "tolerationSeconds") for toleration in new]
    if any(drop(toleration, "tolerationSeconds") not in kept for toleration in old):
        yield forbidden_field(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        )


def _gate_faults(new: Obj, old: Obj) -> Faults:
    known = {gate.get("name") for gate in items(old, "schedulingGates")}
    for i, gate in enumerate(items(new, "schedulingGates")):
        if gate.get("name") not in known:
            yield forbidden_field(
                f"spec.schedulingGates[{i}].name",
                f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
            )


def _gated_faults(new: Obj, old: Obj) -> Faults:
    """A pod that waits at a gate may be told to run on fewer nodes, never on more."""
    before, after = child(old, "nodeSelector"), child(new, "nodeSelector")
    if any(after.get(key) != value for key, value in before.items()):
        words = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        yield invalid("spec.nodeSelector", dict(after), words)
    path = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
    known, terms = _terms(old), _terms(new)
    if not known:
        return
    if len(known) != len(terms):
        words = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        yield invalid(path, list(terms), words)
        return
    for i, (term, had) in enumerate(zip(terms, known, strict=True)):
        if not _only_more(term, had):
            words = "only additions are allowed (no mutations or deletions)"
            yield invalid(f"{path}[{i}]", term, words)


def _terms(spec: Obj) -> Sequence[Any]:
    return items(child(spec, "affinity", "nodeAffinity", _REQUIRED), "nodeSelectorTerms")


def _only_more(new: Obj, old: Obj) -> bool:
    kinds = ("matchExpressions", "matchFields")
    if not any(items(old, kind) for kind in kinds):
        return not any(items(new, kind) for kind in kinds)
    return all(
        semantically(list(items(new, kind)[: len(items(old, kind))]))
        == semantically(list(items(old, kind)))
        for kind in kinds
    )


def _frozen(spec: Obj, old: Obj) -> Any:
    """The spec without what may change."""
    left = drop(spec, "activeDeadlineSeconds", "tolerations", "schedulingGates")
    for kind in ("containers", "initContainers"):
        left[kind] = [drop(container, "image") for container in items(spec, kind)]
    grace = "terminationGracePeriodSeconds"
    if (old.get(grace) or 0) < 0 and left.get(grace) in (1, old.get(grace)):
        del left[grace]
    if items(old, "schedulingGates"):
        left = drop(left, "nodeSelector")
        left["affinity"] = drop(child(spec, "affinity"), "nodeAffinity")
    return semantically(left)


def carry_over(new: MutableObj, old: Obj) -> None:
    """Keep the quality class, which a writer of the status may leave out."""
    quality = child(old, "status").get("qosClass")
    status = new.get("status")
    if quality and isinstance(status, dict) and not status.get("qosClass"):
        status["qosClass"] = quality
