"""Volumes: claims have to be bound, or bindable on the node; bound volumes keep to their nodes.

Claims of a WaitForFirstConsumer class are decided here: per node, either an available volume is
promised to the claim or the node is named to the provisioner.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from petset.api import meta, quantity, selectors
from petset.api.meta import Obj
from petset.api.nodeselector import selector_matches
from petset.scheduler.plugins.types import (
    Check,
    NodeInfo,
    PodInfo,
    Refusal,
    Volumes,
    World,
    holder_of,
)

UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
ELSEWHERE = "node(s) had volume node affinity conflict"
GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
WRONG_ZONE = "node(s) had no available volume zone"
ONE_POD = (
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
)
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
ZONES = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a node means for the pod's unbound claims.

    Attributes:
        promise: (volume name, claim key): the volume is to be kept for the claim.
        provision: keys of the claims whose provisioner is to be told the node.
    """

    promise: tuple[tuple[str, str], ...] = ()
    provision: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Claims:
    bound: tuple[Obj, ...]
    waiting: tuple[Obj, ...]


def is_bound(claim: Obj) -> bool:
    """Whether the binder has finished with the claim."""
    return bool(
        (claim.get("spec") or {}).get("volumeName")
        and meta.annotations_of(claim).get(BIND_COMPLETED)
    )


def prepare(pod: PodInfo, world: World) -> Check | Refusal | None:
    """Refuse the pod for claims that cannot be used at all, and nodes by their volumes."""
    if not pod.claims:
        return None
    found = _sort(pod, world)
    if isinstance(found, Refusal):
        return found
    claims = found
    both = (*claims.bound, *claims.waiting)
    if any(_one_pod_only(claim) and _used(claim, pod, world) for claim in both):
        return lambda node: (ONE_POD,)

    def check(node: NodeInfo) -> Sequence[str]:
        for claim in claims.bound:
            if reason := _bound_conflict(claim, node, world):
                return (reason,)
        return () if _choose(claims.waiting, node, world) is not None else (NO_VOLUME,)

    return check


def choose(pod: PodInfo, world: World, node: NodeInfo) -> Choice:
    """What to do about the pod's unbound claims when it goes to `node`, which passed the check."""
    found = _sort(pod, world) if pod.claims else None
    if found is None or isinstance(found, Refusal):
        return Choice()
    return _choose(found.waiting, node, world) or Choice()


def _sort(pod: PodInfo, world: World) -> _Claims | Refusal:
    bound, waiting = [], []
    for key in pod.claims:
        claim = world.claims.get(key)
        name = key.partition("/")[2]
        if claim is None:
            return Refusal(f'persistentvolumeclaim "{name}" not found')
        if meta.is_deleting(claim):
            return Refusal(f'persistentvolumeclaim "{name}" is being deleted')
        if (claim.get("status") or {}).get("phase") == "Lost":
            return Refusal(
                f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume '
                f'"{(claim.get("spec") or {}).get("volumeName", "")}"'
            )
        if not _made_for(claim, key, pod):
            return Refusal(
                f'PVC "{key}" was not created for pod "{pod.namespace}/{pod.name}" '
                "(pod is not owner)"
            )
        if is_bound(claim):
            bound.append(claim)
        elif _waits_for_consumer(claim, world):
            waiting.append(claim)
        else:
            return Refusal(UNBOUND)
    return _Claims(tuple(bound), tuple(waiting))


def _made_for(claim: Obj, key: str, pod: PodInfo) -> bool:
    """Whether an ephemeral volume's claim belongs to this very pod; others need not."""
    ephemeral = {
        f"{pod.namespace}/{pod.name}-{v['name']}"
        for v in pod.spec.get("volumes") or ()
        if v.get("ephemeral")
    }
    if key not in ephemeral:
        return True
    owner = meta.controller_of(claim)
    return owner is not None and owner.get("uid") == pod.uid


def _waits_for_consumer(claim: Obj, world: World) -> bool:
    spec = claim.get("spec") or {}
    if spec.get("volumeName"):
        return False  # being bound by the binder, or by a person
    kind = world.classes.get(spec.get("storageClassName") or "")
    return kind is not None and kind.get("volumeBindingMode") == "WaitForFirstConsumer"


def _one_pod_only(claim: Obj) -> bool:
    return "ReadWriteOncePod" in ((claim.get("spec") or {}).get("accessModes") or ())


def _used(claim: Obj, pod: PodInfo, world: World) -> bool:
    return bool(world.claim_users.get(meta.key_of(claim), frozenset()) - {pod.uid})


def _bound_conflict(claim: Obj, node: NodeInfo, world: World) -> str:
    volume = world.volumes.get((claim.get("spec") or {}).get("volumeName", ""))
    if volume is None:
        return GONE
    if not _reaches(volume, node):
        return ELSEWHERE
    for key in ZONES:
        zones = meta.labels_of(volume).get(key)
        if zones is not None and key in node.labels and node.labels[key] not in zones.split("__"):
            return WRONG_ZONE
    return ""


def _reaches(volume: Obj, node: NodeInfo) -> bool:
    affinity = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    return affinity is None or selector_matches(affinity, node.labels, node.name)


def _choose(claims: Iterable[Obj], node: NodeInfo, world: World) -> Choice | None:
    """A volume or a provisioner for each claim on `node`; None when one has neither."""
    promise: list[tuple[str, str]] = []
    provision: list[str] = []
    taken = dict(world.reserved)
    for claim in sorted(claims, key=_wanted_size):
        key = meta.key_of(claim)
        selected = meta.annotations_of(claim).get(SELECTED_NODE)
        volume = None if selected else _smallest(claim, node, world.volumes, taken)
        if volume is not None:
            promise.append((volume, key))
            taken[volume] = key
        elif selected in (None, "", node.name) and _can_provision(claim, node, world):
            provision.append(key)
        else:
            return None
    return Choice(tuple(promise), tuple(provision))


def _wanted_size(claim: Obj) -> tuple[int, str]:
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
    return quantity.whole(requests.get("storage", 0)), meta.key_of(claim)


def _smallest(claim: Obj, node: NodeInfo, volumes: Volumes, taken: Mapping[str, str]) -> str | None:
    """The smallest available volume that fits the claim on this node; one kept for it first."""
    key = meta.key_of(claim)
    fitting = []
    for name, volume in (*volumes.kept_for(key).items(), *volumes.kept_for("").items()):
        holder = holder_of(volume) or taken.get(name, "")
        if holder not in ("", key) or not _reaches(volume, node):
            continue
        if _serves(claim, volume) and (holder or _is_chosen(claim, volume)):
            fitting.append((holder != key, _capacity(volume), name))
    return min(fitting)[2] if fitting else None


def _capacity(volume: Obj) -> int:
    return quantity.whole(((volume.get("spec") or {}).get("capacity") or {}).get("storage", 0))


def _serves(claim: Obj, volume: Obj) -> bool:
    """Whether the volume has what the claim needs."""
    want, have = claim.get("spec") or {}, volume.get("spec") or {}
    return (
        not meta.is_deleting(volume)
        and (volume.get("status") or {}).get("phase") in ("Available", "Bound", None)
        and set(want.get("accessModes") or ()) <= set(have.get("accessModes") or ())
        and (want.get("volumeMode") or "Filesystem") == (have.get("volumeMode") or "Filesystem")
        and _capacity(volume) >= _wanted_size(claim)[0]
    )


def _is_chosen(claim: Obj, volume: Obj) -> bool:
    """Whether class and selector pick the volume; one that was kept for the claim needs neither."""
    want, have = claim.get("spec") or {}, volume.get("spec") or {}
    labels = selectors.from_object(want.get("selector") or {})
    same_class = (want.get("storageClassName") or "") == (have.get("storageClassName") or "")
    return same_class and labels.matches(meta.labels_of(volume))


def _can_provision(claim: Obj, node: NodeInfo, world: World) -> bool:
    kind = world.classes.get((claim.get("spec") or {}).get("storageClassName") or "")
    if kind is None or kind.get("provisioner") in (None, "", NO_PROVISIONER):
        return False
    terms = kind.get("allowedTopologies") or ()
    return not terms or any(_topology_allows(t, node) for t in terms)


def _topology_allows(term: Obj, node: NodeInfo) -> bool:
    return all(
        node.labels.get(e.get("key", "")) in (e.get("values") or ())
        for e in term.get("matchLabelExpressions") or ()
    )
