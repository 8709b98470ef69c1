"""Claims of the pods of a set: names, contents, and who owns them. Pure.

Rules: workload-semantics 1.9 and 1.18. Invariant: nothing here deletes a claim; the garbage
collector does, by the references set here.
"""

from collections.abc import Iterable, Sequence

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.statefulset.spec import API_VERSION, KIND, Spec

RESOURCE = "persistentvolumeclaims"


def claim_name(spec: Spec, template: Obj, ordinal: int) -> str:
    """The name of the claim that `template` gives to `ordinal`."""
    return f"{meta.name_of(template)}-{spec.name}-{ordinal}"


def claim_names(spec: Spec, ordinal: int) -> list[str]:
    """The names of all claims of `ordinal`."""
    return [claim_name(spec, t, ordinal) for t in spec.claim_templates]


def new_claims(spec: Spec, ordinal: int) -> list[MutableObj]:
    """The claims of `ordinal`; the selector's labels win over the template's."""
    return [_claim(spec, template, ordinal) for template in spec.claim_templates]


def _claim(spec: Spec, template: Obj, ordinal: int) -> MutableObj:
    metadata: MutableObj = {
        "name": claim_name(spec, template, ordinal),
        "namespace": spec.namespace,
    }
    if labels := {**meta.labels_of(template), **spec.match_labels}:
        metadata["labels"] = labels
    if annotations := meta.annotations_of(template):
        metadata["annotations"] = dict(annotations)
    if finalizers := (template.get("metadata") or {}).get("finalizers"):
        metadata["finalizers"] = list(finalizers)
    if not spec.retain_on_delete:
        metadata["ownerReferences"] = [spec.reference]
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": dict(template.get("spec") or {}),
    }


def volumes_for(spec: Spec, ordinal: int, others: Iterable[Obj]) -> list[MutableObj]:
    """The volumes of the pod: its claims first, then those of `others` with another name."""
    claimed = {meta.name_of(t): claim_name(spec, t, ordinal) for t in spec.claim_templates}
    volumes: list[MutableObj] = [
        {"name": name, "persistentVolumeClaim": {"claimName": claim}}
        for name, claim in claimed.items()
    ]
    volumes += [dict(v) for v in others if v.get("name") not in claimed]
    return volumes


def with_claims(spec: Spec, pod: MutableObj, ordinal: int) -> MutableObj:
    """The pod with the volumes of its claims."""
    volumes = volumes_for(spec, ordinal, pod["spec"].get("volumes") or ())
    if not volumes:
        return pod
    return {**pod, "spec": {**pod["spec"], "volumes": volumes}}


def has_storage(spec: Spec, pod: Obj, ordinal: int) -> bool:
    """Whether the pod mounts the claims of its ordinal."""
    if not spec.claim_templates:
        return True
    present = {
        v.get("name"): (v.get("persistentVolumeClaim") or {}).get("claimName")
        for v in (pod.get("spec") or {}).get("volumes") or ()
    }
    return all(
        present.get(meta.name_of(t)) == claim_name(spec, t, ordinal) for t in spec.claim_templates
    )


def is_stale(claim: Obj, pod_name: str, pod_uid: str) -> bool:
    """Whether the claim goes with an older pod of that name (scaled down, not yet collected)."""
    return any(
        _is_pod(owner, pod_name) and owner.get("uid") != pod_uid for owner in meta.owners_of(claim)
    )


def has_foreign_controller(spec: Spec, claim: Obj, pod_name: str) -> bool:
    """Whether somebody else controls the claim, so that the retention policy does not count."""
    controller = meta.controller_of(claim)
    return (
        controller is not None
        and not _is_set(controller, spec)
        and not _is_pod(controller, pod_name)
    )


def owners_wanted(spec: Spec, claim: Obj, pod: Obj, *, condemned: bool) -> Sequence[Obj]:
    """The owner references that the policy wants on a claim; others' references are kept.

    Args:
        pod: the pod of the claim's ordinal; has its uid when `condemned`.
        condemned: whether the pod is to go because of a scale-down.
    """
    pod_name = meta.name_of(pod)
    rest = [o for o in meta.owners_of(claim) if not (_is_set(o, spec) or _is_pod(o, pod_name))]
    if has_foreign_controller(spec, claim, pod_name):
        return rest
    if condemned and not spec.retain_on_scale:
        return [*rest, meta.owner_reference(pod, api_version="v1", kind="Pod")]
    if not spec.retain_on_delete:
        return [*rest, spec.reference]
    return rest


def owning_sets(claim: Obj) -> list[str]:
    """The uids of the StatefulSets that the claim refers to as owners."""
    return [str(o.get("uid")) for o in meta.owners_of(claim) if o.get("kind") == KIND]


def is_of(spec: Spec, name: str) -> bool:
    """Whether a claim of that name belongs to some ordinal of the set."""
    of_all, _, ordinal = name.rpartition("-")
    names = (f"{meta.name_of(t)}-{spec.name}" for t in spec.claim_templates)
    return ordinal.isdecimal() and of_all in names


def without_set(spec: Spec, claim: Obj) -> Sequence[Obj]:
    """The claim's owner references but for those to the set."""
    return [o for o in meta.owners_of(claim) if not _is_set(o, spec)]


def owners_differ(claim: Obj, wanted: Sequence[Obj]) -> bool:
    """Whether the claim's references are not the wanted ones, whatever their order."""

    def keys(owners: Iterable[Obj]) -> list[tuple[str, ...]]:
        fields = ("uid", "kind", "name", "controller", "blockOwnerDeletion")
        return sorted(tuple(str(o.get(f, "")) for f in fields) for o in owners)

    return keys(meta.owners_of(claim)) != keys(wanted)


def _is_set(owner: Obj, spec: Spec) -> bool:
    return (
        owner.get("kind") == KIND
        and owner.get("apiVersion") == API_VERSION
        and owner.get("name") == spec.name
    )


def _is_pod(owner: Obj, pod_name: str) -> bool:
    return (
        owner.get("kind") == "Pod"
        and owner.get("apiVersion") == "v1"
        and owner.get("name") == pod_name
    )
