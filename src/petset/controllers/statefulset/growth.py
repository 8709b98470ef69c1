"""Claims follow an edit of volumeClaimTemplates: size, labels, annotations. Pure.

Only after an edit (the server marks the set): claims that were found when the set was made are used
as they are, whatever their size. Member by member, last ordinal first: a claim has to have grown
before the next one is asked to. Nothing is ever made smaller and nothing is taken off a claim.
A claim whose class does not allow growth is told of once, and left alone.
"""

from collections.abc import Iterator, Mapping

from petset.api import meta, quantity
from petset.api.apps.v1 import setoptions
from petset.api.core.v1 import pvc
from petset.api.meta import MutableObj, Obj
from petset.api.quantity import Quantity
from petset.controllers.statefulset import identity, storage
from petset.controllers.statefulset.spec import Spec
from petset.reconcile.actions import Action, Emit, Patch, Reported

CLASSES = "storageclasses.storage.k8s.io"
ALLOWS = "allowVolumeExpansion"


def is_edited(spec: Spec) -> bool:
    """Whether the claim templates were edited since the set was made."""
    return setoptions.CLAIMS_EDITED in meta.annotations_of(spec.obj)


def follow(spec: Spec, claims: Mapping[str, Obj], growing: frozenset[str]) -> list[Action]:
    """The writes that bring claims nearer to their templates.

    Args:
        growing: names of the storage classes that allow growth.
    """
    if not is_edited(spec):
        return []
    actions: list[Action] = []
    for ordinal in reversed(spec.ordinals):
        wait = False
        for template, claim in _pairs(spec, claims, ordinal):
            actions += _one(spec, ordinal, (template, claim), growing)
            wait |= _is_growing(template, claim, growing)
        if wait:
            break
    return actions


def _pairs(spec: Spec, claims: Mapping[str, Obj], ordinal: int) -> Iterator[tuple[Obj, Obj]]:
    for template in spec.claim_templates:
        claim = claims.get(storage.claim_name(spec, template, ordinal))
        if claim is not None and not meta.is_deleting(claim):
            yield template, claim


def _one(spec: Spec, ordinal: int, pair: tuple[Obj, Obj], growing: frozenset[str]) -> list[Action]:
    template, claim = pair
    patch, words = _metadata(spec, template, claim), []
    if patch:
        words.append("labels and annotations")
    wanted, present = request_of(template), request_of(claim)
    larger = wanted is not None and present is not None and wanted > present
    refused = larger and pvc.class_of(claim) not in growing
    if larger and not refused and _is_bound(claim):
        patch = {**patch, "spec": {"resources": {"requests": {"storage": str(wanted)}}}}
        words.append(f"storage {present} -> {wanted}")
    found: list[Action] = []
    if refused and _is_news(spec):
        message = (
            f"Claim {meta.name_of(claim)} stays at {present}: storage class "
            f"{pvc.class_of(claim) or '(none)'} does not allow volume expansion"
        )
        found.append(Emit(spec.involved, "Warning", "VolumeExpansionNotAllowed", message))
    if patch:
        found.append(_write(spec, ordinal, claim, (patch, " and ".join(words))))
    return found


def _write(spec: Spec, ordinal: int, claim: Obj, change: tuple[MutableObj, str]) -> Action:
    name, pod = meta.name_of(claim), identity.pod_name(spec.name, ordinal)
    patch, words = change
    done = f"update Claim {name} Pod {pod} in StatefulSet {spec.name} success: {words}"
    failed = f"update Claim {name} for Pod {pod} in StatefulSet {spec.name} failed error: "
    return Reported(
        Patch(storage.RESOURCE, spec.namespace, name, patch, uid=meta.uid_of(claim)),
        success=Emit(spec.involved, "Normal", "SuccessfulUpdate", done),
        failure=Emit(spec.involved, "Warning", "FailedUpdate", failed),
        quiet=("Conflict",),
    )


def _metadata(spec: Spec, template: Obj, claim: Obj) -> MutableObj:
    """What the template's labels and annotations add to the claim or change in it."""
    labels = {**meta.labels_of(template), **spec.match_labels}
    wanted = {"labels": labels, "annotations": meta.annotations_of(template)}
    present = {"labels": meta.labels_of(claim), "annotations": meta.annotations_of(claim)}
    changes = {
        field: {k: v for k, v in values.items() if present[field].get(k) != v}
        for field, values in wanted.items()
    }
    changed = {field: values for field, values in changes.items() if values}
    return {"metadata": changed} if changed else {}


def request_of(claim: Obj) -> Quantity | None:
    """The storage that a claim or its template asks for; None when it does not say."""
    resources = (claim.get("spec") or {}).get("resources") or {}
    return _quantity((resources.get("requests") or {}).get("storage"))


def _is_growing(template: Obj, claim: Obj, growing: frozenset[str]) -> bool:
    """Whether the claim is asked to grow and has not grown yet."""
    wanted = request_of(template)
    if wanted is None or pvc.class_of(claim) not in growing or not _is_bound(claim):
        return False
    has = _quantity(((claim.get("status") or {}).get("capacity") or {}).get("storage"))
    return has is None or has < wanted


def _is_bound(claim: Obj) -> bool:
    return (claim.get("status") or {}).get("phase") == "Bound"


def _is_news(spec: Spec) -> bool:
    """Whether the last edit of the claim templates was not answered yet."""
    edited = meta.annotations_of(spec.obj).get(setoptions.CLAIMS_EDITED) or ""
    answered = int((spec.obj.get("status") or {}).get("observedGeneration") or 0)
    return not edited.isdecimal() or int(edited) > answered


def _quantity(amount: object) -> Quantity | None:
    try:
        return None if amount is None else quantity.parse(amount)
    except ValueError:
        return None
