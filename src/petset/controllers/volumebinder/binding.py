"""The writes that bind a claim and a volume to each other, and finalizers and phases. Pure.

Order of binding: the volume names the claim, the volume is Bound, the claim names the volume, the
claim is Bound. Each write is left out where it is done already, so a crash in between is harmless.
"""

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.volumebinder import match
from petset.reconcile.actions import Action, Emit, Patch, status_patch

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
CONTROLLER_FINALIZER = "kubernetes.io/pv-controller"


def reference_to_claim(claim: Obj) -> MutableObj:
    """A volume's reference to its claim."""
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": meta.namespace_of(claim),
        "name": meta.name_of(claim),
        "uid": meta.uid_of(claim),
        "resourceVersion": meta.version_of(claim),
    }


def bind(claim: Obj, volume: Obj) -> list[Action]:
    """Everything that is still to be done until both are bound."""
    actions: list[Action] = []
    reference = match.claim_ref(volume)
    if reference.get("uid") != meta.uid_of(claim):
        patch: MutableObj = {"spec": {"claimRef": reference_to_claim(claim)}}
        if not reference:
            patch["metadata"] = {"annotations": {BOUND_BY_CONTROLLER: "yes"}}
        actions.append(_patch(VOLUMES, volume, patch))
    actions += phase(VOLUMES, volume, "Bound")
    return actions + bind_claim(claim, volume)


def bind_claim(claim: Obj, volume: Obj) -> list[Action]:
    """The claim's half of a binding; `volume` may be one that the plan has just made."""
    actions: list[Action] = []
    annotations = meta.annotations_of(claim)
    named = match.spec_of(claim).get("volumeName") or ""
    patch: MutableObj = {}
    if not named:
        patch["spec"] = {"volumeName": meta.name_of(volume)}
    wanted = {BIND_COMPLETED: "yes"} | ({} if named else {BOUND_BY_CONTROLLER: "yes"})
    if provisioner := meta.annotations_of(volume).get(PROVISIONED_BY):
        wanted |= {STORAGE_PROVISIONER: provisioner, BETA_STORAGE_PROVISIONER: provisioner}
    if missing := {k: v for k, v in wanted.items() if k not in annotations}:
        patch["metadata"] = {"annotations": missing}
    if patch:
        actions.append(_patch(CLAIMS, claim, patch))
    status = claim.get("status") or {}
    if status.get("phase") != "Bound":
        bound = {
            "phase": "Bound",
            "accessModes": match.spec_of(volume).get("accessModes") or [],
            "capacity": match.spec_of(volume).get("capacity") or {},
        }
        actions.append(status_patch(CLAIMS, claim, bound))
    return actions


def phase(resource: str, obj: Obj, wanted: str, **more: str) -> list[Action]:
    """Write a phase where it is not the present one."""
    if (obj.get("status") or {}).get("phase") == wanted:
        return []
    return [status_patch(resource, obj, {"phase": wanted, **more})]


def unbound(claim: Obj, phase_: str) -> list[Action]:
    """Write the phase of a claim that has no volume; what it had of one is taken off."""
    status = claim.get("status") or {}
    fields: MutableObj = {} if status.get("phase") == phase_ else {"phase": phase_}
    fields |= {key: None for key in ("accessModes", "capacity") if status.get(key)}
    return [status_patch(CLAIMS, claim, fields)] if fields else []


def reschedule(claim: Obj) -> Patch | None:
    """Take the selected node off, so that the scheduler chooses anew; None where there is none.

    Guarded by the version: a claim that was bound meanwhile keeps its node.
    """
    if SELECTED_NODE not in meta.annotations_of(claim):
        return None
    return _patch(CLAIMS, claim, {"metadata": {"annotations": {SELECTED_NODE: None}}})


def set_status(resource: str, obj: Obj, fields: Obj) -> Patch:
    """Write these fields of the status."""
    return status_patch(resource, obj, fields)


def set_spec(resource: str, obj: Obj, fields: Obj) -> Patch:
    """Write these fields of the spec, guarded by the version seen."""
    return _patch(resource, obj, {"spec": fields})


def protect(resource: str, obj: Obj, finalizer: str) -> list[Action]:
    """Add the finalizer where it is missing."""
    present = list((obj.get("metadata") or {}).get("finalizers") or ())
    if finalizer in present or meta.is_deleting(obj):
        return []
    return [_patch(resource, obj, {"metadata": {"finalizers": [*present, finalizer]}})]


def unprotect(resource: str, obj: Obj, *finalizers: str) -> list[Action]:
    """Take finalizers off; the guard is the uid alone, as other writes may have gone before."""
    present = list((obj.get("metadata") or {}).get("finalizers") or ())
    left = [f for f in present if f not in finalizers]
    if left == present:
        return []
    patch = {"metadata": {"finalizers": left or None}}
    return [Patch(resource, meta.namespace_of(obj), meta.name_of(obj), patch, uid=meta.uid_of(obj))]


def emit(obj: Obj, reason: str, message: str, *, warning: bool = False) -> Emit:
    """An event on a claim or a volume."""
    kind = "PersistentVolumeClaim" if meta.namespace_of(obj) else "PersistentVolume"
    involved = meta.reference_to({**obj, "kind": kind, "apiVersion": "v1"})
    return Emit(involved, "Warning" if warning else "Normal", reason, message)


def _patch(resource: str, obj: Obj, patch: Obj) -> Patch:
    return Patch(
        resource,
        meta.namespace_of(obj),
        meta.name_of(obj),
        patch,
        uid=meta.uid_of(obj),
        resource_version=meta.version_of(obj),
    )
