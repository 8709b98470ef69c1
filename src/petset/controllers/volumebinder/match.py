"""Which volume suits a claim. Pure.

Rules: workload-semantics 3.4 ("Match rule").
"""

from collections.abc import Iterable, Sequence

from petset.api import meta, quantity, selectors
from petset.api.meta import Obj

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def spec_of(obj: Obj) -> Obj:
    """spec, possibly empty."""
    return obj.get("spec") or {}


def class_of(obj: Obj) -> str:
    """The class name of a claim or volume, "" for none."""
    old = meta.annotations_of(obj).get(CLASS_ANNOTATION)
    return old if old is not None else spec_of(obj).get("storageClassName") or ""


def has_class(claim: Obj) -> bool:
    """Whether the claim names a class, be it "" (never provision)."""
    annotated = CLASS_ANNOTATION in meta.annotations_of(claim)
    return annotated or spec_of(claim).get("storageClassName") is not None


def mode_of(obj: Obj) -> str:
    """The volume mode."""
    return spec_of(obj).get("volumeMode") or "Filesystem"


def attributes_of(obj: Obj) -> str:
    """The name of the VolumeAttributesClass of a claim or volume, "" for none."""
    return spec_of(obj).get("volumeAttributesClassName") or ""


def request_of(claim: Obj) -> quantity.Quantity:
    """How much storage the claim asks for."""
    requests = (spec_of(claim).get("resources") or {}).get("requests") or {}
    return quantity.parse(requests.get("storage") or "0")


def capacity_of(volume: Obj) -> quantity.Quantity:
    """How much storage the volume has."""
    return quantity.parse((spec_of(volume).get("capacity") or {}).get("storage") or "0")


def claim_ref(volume: Obj) -> Obj:
    """The reference to the claim that the volume is kept for, possibly empty."""
    return spec_of(volume).get("claimRef") or {}


def is_reserved_for(volume: Obj, claim: Obj) -> bool:
    """Whether the volume names this claim; a reference without uid means any of that name."""
    reference = claim_ref(volume)
    return (
        reference.get("name") == meta.name_of(claim)
        and reference.get("namespace") == meta.namespace_of(claim)
        and reference.get("uid") in (None, "", meta.uid_of(claim))
    )


def misfit(claim: Obj, volume: Obj) -> str:
    """Why the volume cannot serve the claim, "" if it can."""
    if meta.is_deleting(volume):
        return f'the volume is marked for deletion "{meta.name_of(volume)}"'
    if capacity_of(volume) < request_of(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if mode_of(volume) != mode_of(claim):
        return "incompatible volumeMode"
    if not _modes(claim) <= _modes(volume):
        return "incompatible accessMode"
    if attributes_of(volume) != attributes_of(claim):
        return "volumeAttributesClassName does not match"
    return ""


def best(claim: Obj, volumes: Iterable[Obj], *, reserved_only: bool) -> Obj | None:
    """The volume to bind: one reserved for the claim first, then the smallest that suits.

    A reserved one is taken whatever its class and labels: who reserved it has chosen.

    Args:
        reserved_only: look only at volumes that name the claim (the class waits for a pod).
    """
    candidates = list(volumes)
    reserved = [v for v in candidates if is_reserved_for(v, claim) and _can_be_taken(claim, v)]
    if reserved or reserved_only:
        return min(reserved, key=_order, default=None)
    selector = spec_of(claim).get("selector")
    matches = selectors.EVERYTHING.matches
    if selector is not None:
        matches = selectors.from_object(selector).matches
    free = [v for v in candidates if _is_free(claim, v) and matches(meta.labels_of(v))]
    return min(free, key=_order, default=None)


def default_class(classes: Sequence[Obj]) -> Obj | None:
    """The newest of the classes marked as default; by name where equally old."""
    marked = [c for c in classes if _is_default(c)]
    return min(
        sorted(marked, key=meta.name_of),
        key=lambda c: -(meta.parse_time((c.get("metadata") or {}).get("creationTimestamp")) or 0),
        default=None,
    )


def _is_default(class_: Obj) -> bool:
    keys = ("storageclass.kubernetes.io/is-default-class",)
    beta = "storageclass.beta.kubernetes.io/is-default-class"
    return any(meta.annotations_of(class_).get(key) == "true" for key in (*keys, beta))


def _can_be_taken(claim: Obj, volume: Obj) -> bool:
    """Whether a volume that names the claim can serve it."""
    phase = (volume.get("status") or {}).get("phase") or "Pending"
    return (
        phase in ("Pending", "Available", "Bound")
        and not meta.is_deleting(volume)
        and capacity_of(volume) >= request_of(claim)
        and mode_of(volume) == mode_of(claim)
        and _modes(claim) <= _modes(volume)
    )


def _is_free(claim: Obj, volume: Obj) -> bool:
    """Whether the volume is nobody's and suits; one that is not Available yet soon will be."""
    phase = (volume.get("status") or {}).get("phase")
    return phase == "Available" and not claim_ref(volume) and not misfit(claim, volume)


def _order(volume: Obj) -> tuple[int, int, str]:
    return len(_modes(volume)), capacity_of(volume).nano, meta.name_of(volume)


def _modes(obj: Obj) -> set[str]:
    return set(spec_of(obj).get("accessModes") or ())
