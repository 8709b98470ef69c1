"""What to do next for one claim. Pure.

Rules: workload-semantics 3.4. Legal phases: Pending -> Bound -> Lost, Lost -> Bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.volumebinder import binding, match, provision
from petset.controllers.volumebinder.binding import CLAIMS, VOLUMES
from petset.reconcile.actions import Action, Plan


@dataclass(frozen=True, slots=True)
class ObservedClaim:
    """What was seen of a claim.

    Attributes:
        volumes: those kept for the claim or for none, and the one that it names, at least.
        classes: every class.
        users: pods that name it and are not finished.
        node: hostname label of the node that the scheduler selected, "" for none.
        node_gone: the scheduler selected a node that is no more.
        unused: a live look found no scheduled, unfinished pod that names it.
    """

    claim: Obj
    volumes: Sequence[Obj]
    classes: Sequence[Obj]
    users: Sequence[Obj]
    volumes_root: str
    node: str = ""
    node_gone: bool = False
    unused: bool = False


def plan_claim(seen: ObservedClaim) -> Plan:
    """The actions for a claim."""
    claim = seen.claim
    if meta.is_deleting(claim):
        free = seen.unused and not scheduled(seen.users)
        done = binding.unprotect(CLAIMS, claim, binding.CLAIM_PROTECTION) if free else []
        return Plan(tuple(done))
    if guard := binding.protect(CLAIMS, claim, binding.CLAIM_PROTECTION):
        return Plan(tuple(guard))  # seen again at once, with the new version
    if binding.BIND_COMPLETED in meta.annotations_of(claim):
        return Plan(tuple(_bound(seen)))
    if name := match.spec_of(claim).get("volumeName"):
        return Plan(tuple(_named(seen, name)))
    return _unbound(seen)


def scheduled(pods: Sequence[Obj]) -> list[Obj]:
    """Pods that have a node and are not shut down: only these keep a claim from going.

    A pod that is deleted with no grace left is through with its volumes, or was given up by force.
    It may wait for its claim itself, when it owns it and is deleted in the foreground.
    """
    return [p for p in pods if (p.get("spec") or {}).get("nodeName") and not is_shut_down(p)]


def is_shut_down(pod: Obj) -> bool:
    """Whether a pod is deleted and has no grace left."""
    return meta.is_deleting(pod) and pod["metadata"].get("deletionGracePeriodSeconds") == 0


def _unbound(seen: ObservedClaim) -> Plan:
    claim = seen.claim
    class_ = _class(seen)
    waits = (class_ or {}).get("volumeBindingMode") == "WaitForFirstConsumer"
    volume = match.best(claim, seen.volumes, reserved_only=waits)
    if volume is not None:
        return Plan(tuple(binding.bind(claim, volume)))
    if not match.has_class(claim):
        default = match.default_class(seen.classes)
        if default is not None:
            named = {"storageClassName": meta.name_of(default)}
            return Plan((binding.set_spec(CLAIMS, claim, named),))
    pending = binding.unbound(claim, "Pending")
    if waits and not meta.annotations_of(claim).get(binding.SELECTED_NODE):
        return Plan((*pending, _waiting(seen)))
    if match.class_of(claim):
        return _provision(seen, pending, class_)
    message = "no persistent volumes available for this claim and no storage class is set"
    return Plan((*pending, binding.emit(claim, "FailedBinding", message)))


def _provision(seen: ObservedClaim, pending: list[Action], class_: Obj | None) -> Plan:
    """Make a volume; where that fails on the selected node, the scheduler chooses another."""
    claim, again = seen.claim, binding.reschedule(seen.claim)
    if seen.node_gone and again is not None and provision.is_ours(class_):
        node = meta.annotations_of(claim)[binding.SELECTED_NODE]
        message = f'failed to get target node: node "{node}" not found'
        told = binding.emit(claim, "ProvisioningFailed", message, warning=True)
        return Plan((*pending, told, again))
    actions = provision.provision(claim, class_, seen.volumes_root, seen.node)
    return Plan((*pending, *actions), status_if_failed=again)


def _named(seen: ObservedClaim, name: str) -> list[Action]:
    """The claim names a volume but is not bound yet."""
    claim = seen.claim
    pending = binding.unbound(claim, "Pending")
    volume = _volume(seen, name)
    if volume is None:
        return pending
    if not match.claim_ref(volume):
        if why := match.misfit(claim, volume):
            message = f'Cannot bind to requested volume "{name}": {why}'
            return [*pending, binding.emit(claim, "VolumeMismatch", message, warning=True)]
        return binding.bind(claim, volume)
    if match.is_reserved_for(volume, claim):
        return binding.bind(claim, volume)
    message = f'volume "{name}" already bound to a different claim.'
    return [*pending, binding.emit(claim, "FailedBinding", message, warning=True)]


def _bound(seen: ObservedClaim) -> list[Action]:
    """The claim was bound once; see whether it still is."""
    claim = seen.claim
    name = match.spec_of(claim).get("volumeName") or ""
    volume = _volume(seen, name) if name else None
    if volume is None:
        message = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        if name:
            message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        return _lost(claim, "ClaimLost", message)
    if not match.claim_ref(volume) or match.is_reserved_for(volume, claim):
        return [*binding.bind(claim, volume), *_expand(claim, volume, _class(seen))]
    message = "Two claims are bound to the same volume, this one is bound incorrectly"
    return _lost(claim, "ClaimMisbound", message)


def _lost(claim: Obj, reason: str, message: str) -> list[Action]:
    change = binding.unbound(claim, "Lost")
    return [*change, binding.emit(claim, reason, message, warning=True)] if change else []


def _expand(claim: Obj, volume: Obj, class_: Obj | None) -> list[Action]:
    """Directories have no size of their own: a larger request is granted by writing it down.

    Volumes of others are left to whoever made them.
    """
    status = claim.get("status") or {}
    if status.get("phase") != "Bound" or not (class_ or {}).get("allowVolumeExpansion"):
        return []
    actions: list[Action] = []
    wanted = match.request_of(claim)
    if not provision.directory_of(volume):
        if match.capacity_of(volume) >= wanted:
            return []
        message = "waiting for an external controller to expand this PVC"
        return [binding.emit(claim, "ExternalExpanding", message)]
    if match.capacity_of(volume) < wanted:
        actions.append(binding.set_spec(VOLUMES, volume, {"capacity": {"storage": str(wanted)}}))
    granted = max(wanted, match.capacity_of(volume))
    present = (status.get("capacity") or {}).get("storage")
    if present is None or str(granted) != str(present):
        fields = {"capacity": {"storage": str(granted)}}
        actions.append(binding.set_status(CLAIMS, claim, fields))
        message = "Resize volume succeeded"
        actions.append(binding.emit(claim, "VolumeResizeSuccessful", message))
    return actions


def _waiting(seen: ObservedClaim) -> Action:
    waiting = [pod for pod in seen.users if not (pod.get("spec") or {}).get("nodeName")]
    if waiting:
        names = ", ".join(sorted(meta.name_of(pod) for pod in waiting))
        plural = "s" if len(waiting) > 1 else ""
        message = f"waiting for pod{plural} {names} to be scheduled"
        return binding.emit(seen.claim, "WaitForPodScheduled", message)
    message = "waiting for first consumer to be created before binding"
    return binding.emit(seen.claim, "WaitForFirstConsumer", message)


def _class(seen: ObservedClaim) -> Obj | None:
    name = match.class_of(seen.claim)
    return next((c for c in seen.classes if meta.name_of(c) == name), None)


def _volume(seen: ObservedClaim, name: str) -> Obj | None:
    return next((v for v in seen.volumes if meta.name_of(v) == name), None)
