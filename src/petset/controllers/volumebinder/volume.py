"""What to do next for one volume. Pure.

Rules: workload-semantics 3.4. Phases move along `NEXT`; a Failed one stays until an administrator
acts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.volumebinder import binding, match, provision
from petset.controllers.volumebinder.binding import VOLUMES
from petset.reconcile.actions import Action, Delete, External, Patch, Plan, Reported

NEXT: Mapping[str, frozenset[str]] = {
    "": frozenset({"Pending", "Available", "Bound", "Released"}),
    "Pending": frozenset({"Available", "Bound", "Released", "Failed"}),
    "Available": frozenset({"Bound", "Released", "Failed"}),
    "Bound": frozenset({"Available", "Released", "Failed"}),
    "Released": frozenset({"Available", "Bound", "Failed"}),
    "Failed": frozenset({"Available", "Bound"}),
}
"""Legal moves from phase to phase."""


@dataclass(frozen=True, slots=True)
class ObservedVolume:
    """What was seen of a volume.

    Attributes:
        claim: the claim that its reference names (by name), if there is one.
        claim_gone: a live look found no claim of that name and uid.
    """

    volume: Obj
    claim: Obj | None
    claim_gone: bool


def plan_volume(seen: ObservedVolume) -> Plan:
    """The actions for a volume."""
    volume = seen.volume
    if guard := binding.protect(VOLUMES, volume, binding.VOLUME_PROTECTION):
        return Plan(tuple(guard))  # seen again at once, with the new version
    reference = match.claim_ref(volume)
    if not reference or not reference.get("uid"):
        return Plan((*_to(volume, "Available"), *_let_go(volume)))
    if seen.claim is not None and meta.uid_of(seen.claim) == reference["uid"]:
        return _claimed(volume, seen.claim)
    if not seen.claim_gone:
        return Plan()
    return _reclaim(volume)


def _claimed(volume: Obj, claim: Obj) -> Plan:
    named = match.spec_of(claim).get("volumeName") or ""
    if named == meta.name_of(volume):
        return Plan(tuple(_to(volume, "Bound")))
    if not named:
        if match.mode_of(claim) == match.mode_of(volume):
            return Plan()  # the claim's own turn binds it
        message = (
            f'Cannot bind PersistentVolume "{meta.name_of(volume)}" to requested '
            f'PersistentVolumeClaim "{meta.name_of(claim)}" due to incompatible volumeMode'
        )
        events = (binding.emit(o, "VolumeMismatch", message, warning=True) for o in (volume, claim))
        return Plan(tuple(events))
    if binding.PROVISIONED_BY in meta.annotations_of(volume) and _policy(volume) == "Delete":
        return _reclaim(volume)
    if binding.BOUND_BY_CONTROLLER in meta.annotations_of(volume):
        patch = {
            "spec": {"claimRef": None},
            "metadata": {"annotations": {binding.BOUND_BY_CONTROLLER: None}},
        }
        return Plan((_guarded(volume, patch),))
    patch = {"spec": {"claimRef": {"uid": None, "resourceVersion": None}}}
    return Plan((_guarded(volume, patch),))


def _reclaim(volume: Obj) -> Plan:
    released = _to(volume, "Released")
    policy = _policy(volume)
    if policy == "Retain":
        return Plan((*released, *_let_go(volume)))
    path = provision.directory_of(volume)
    if policy == "Delete" and path:
        return _erase(volume, released, path)
    if policy == "Delete" and meta.annotations_of(volume).get(binding.PROVISIONED_BY):
        return Plan((*released, *_let_go(volume)))  # an external provisioner's
    if _phase(volume) == "Failed":
        return Plan(tuple(_let_go(volume)))
    reason, why = "VolumeFailedDelete", "no deletable volume plugin matched"
    if policy == "Recycle":
        reason, why = "VolumeFailedRecycle", "petset does not support the reclaim policy Recycle"
    return Plan((*released, *_fail(volume, why), binding.emit(volume, reason, why, warning=True)))


def _erase(volume: Obj, released: list[Action], path: str) -> Plan:
    told = binding.emit(volume, "VolumeFailedDelete", "", warning=True)
    name, uid = meta.name_of(volume), meta.uid_of(volume)
    actions: list[Action] = [
        *released,
        Reported(External(provision.DELETE_DIRECTORY, path), failure=told),
    ]
    if not meta.is_deleting(volume):
        actions.append(Delete(VOLUMES, "", name, uid=uid))
    actions += binding.unprotect(
        VOLUMES, volume, binding.VOLUME_PROTECTION, binding.CONTROLLER_FINALIZER
    )
    failed = _fail(volume, "its directory could not be removed")
    return Plan(tuple(actions), status=None, status_if_failed=next(iter(failed), None))


def _let_go(volume: Obj) -> list[Action]:
    """A volume that is being deleted and is not bound needs no protection any more."""
    if not meta.is_deleting(volume):
        return []
    finalizers = (binding.VOLUME_PROTECTION, binding.CONTROLLER_FINALIZER)
    return binding.unprotect(VOLUMES, volume, *finalizers)


def _fail(volume: Obj, message: str) -> list[Patch]:
    if _phase(volume) == "Failed":
        return []
    return [binding.set_status(VOLUMES, volume, {"phase": "Failed", "message": message})]


def _to(volume: Obj, phase: str) -> list[Action]:
    if phase not in NEXT.get(_phase(volume), ()):
        return []
    version = meta.version_of(volume)
    change = Patch(VOLUMES, "", meta.name_of(volume), {"status": {"phase": phase}}, "status")
    return [replace(change, uid=meta.uid_of(volume), resource_version=version)]


def _phase(volume: Obj) -> str:
    return (volume.get("status") or {}).get("phase") or ""


def _policy(volume: Obj) -> str:
    return match.spec_of(volume).get("persistentVolumeReclaimPolicy") or "Retain"


def _guarded(volume: Obj, patch: Obj) -> Patch:
    return Patch(
        VOLUMES,
        "",
        meta.name_of(volume),
        patch,
        uid=meta.uid_of(volume),
        resource_version=meta.version_of(volume),
    )
