"""Getting out of a broken roll-out: replacing what blocks it, and going back. Pure.

Upstream waits for a pod of a broken revision even when that revision is no longer wanted (67250).
Here such a pod makes room when

- it is not Ready, and holds up an ordered set (so every lower ordinal is healthy), or is below the
  partition of a Parallel one (others are the rolling update's), and
- another revision is wanted for its ordinal, and
- its own revision never brought the whole set to Ready; or the pod says itself that it will not
  get Ready (image, configuration, crash loop, no node), or it has taken longer than the deadline.

Invariant: a Ready pod is never replaced here, nor is one replaced by the same revision.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.statefulset import absence, identity, rollout, trouble
from petset.controllers.statefulset.spec import RESOURCE, Spec
from petset.controllers.statefulset.status import Status
from petset.controllers.statefulset.trouble import Trouble
from petset.controllers.statefulset.world import World, is_healthy
from petset.reconcile import podtemplate, revisions
from petset.reconcile.actions import Action, Emit, Patch, Reported, Update
from petset.reconcile.revisions import Resolved

PROVEN = "petset.dev/was-ready"
"""Annotation of a ControllerRevision: the whole set was Ready at it once."""


@dataclass(frozen=True, slots=True)
class Return:
    """A roll-out that is late, and the revision to go back to."""

    to: Obj
    why: Trouble


def proven(listed: Iterable[Obj]) -> frozenset[str]:
    """The revisions, as pods are labelled, of which the whole set was once Ready."""
    return frozenset(identity.label_of(r) for r in listed if _is_proven(r))


def prove(spec: Spec, resolved: Resolved, counted: Status) -> list[Action]:
    """Note that the whole set is Ready at the update revision, once."""
    revision = resolved.update
    counts = {counted.replicas, counted.updated, counted.available}
    if not spec.replicas or counts != {spec.replicas} or _is_proven(revision):
        return []
    patch = {"metadata": {"annotations": {PROVEN: "true"}}}
    name, uid = meta.name_of(revision), meta.uid_of(revision)
    return [Patch(revisions.RESOURCE, spec.namespace, name, patch, uid=uid)] if uid else []


def replaces(world: World, index: int, pod: Obj) -> Trouble | None:
    """Why the pod of slot `index`, which is not healthy, is replaced; None: it is not."""
    spec = world.spec
    if not spec.options.heal or spec.options.paused or spec.strategy != "RollingUpdate":
        return None
    seen = world.troubles[index]
    if seen is None or meta.is_deleting(pod) or not is_unwanted(world, index, pod):
        return None
    untested = identity.revision_of(pod) not in world.proven
    late = trouble.is_late(seen, spec.options.deadline_s, world.now)
    return seen if untested or seen.hopeless or late else None


def is_waited_for(world: World, pod: Obj) -> bool:
    """Whether a condemned pod is not healthy, but may become so.

    Of two condemned pods that are not healthy the higher one waits for the lower one. Upstream it
    does so for ever when the lower one has ended or will not get Ready, and the set never shrinks.
    """
    if is_healthy(world, pod):
        return False
    seen = trouble.of_pod(pod)
    if seen is None or not world.spec.options.heal:
        return True
    late = trouble.is_late(seen, world.spec.options.deadline_s, world.now)
    return not (seen.hopeless or late or podtemplate.is_finished(pod))


def told(world: World, pod: Obj, why: Trouble) -> Emit:
    """The event that tells of the replacement."""
    message = (
        f"{why.message} and has revision {identity.revision_of(pod)}, which is no longer wanted: "
        "it is replaced"
    )
    return Emit(world.spec.involved, "Normal", "ReplacingBrokenPod", message)


def late(world: World) -> Trouble | None:
    """What a pod of the update revision has waited for longer than the deadline, highest first.

    Or that one cannot even be created, for as long.
    """
    update = identity.label_of(world.update)
    for (_, pod), seen in reversed(list(zip(world.slots, world.troubles, strict=True))):
        if seen is None or pod is None or meta.is_deleting(pod):
            continue
        overdue = trouble.is_late(seen, world.spec.options.deadline_s, world.now)
        if overdue and identity.revision_of(pod) == update:
            return trouble.overdue(seen)
    refused = refusal(world)
    if refused is not None and trouble.is_late(refused, world.spec.options.deadline_s, world.now):
        return refused
    return None


def refusal(world: World) -> Trouble | None:
    """That the pod to be made next, one of the update revision, could not be created."""
    missing = next((i for i, (_, pod) in enumerate(world.slots) if pod is None), None)
    if missing is None:
        return None
    if rollout.wants_current(world.spec, missing, rollout.current_replicas(world.spec)):
        return None
    return absence.refused(world.spec, world.update)


def going_back(world: World, listed: Sequence[Obj]) -> Return | None:
    """Whether the roll-out goes back by itself, and to which revision."""
    spec = world.spec
    if not spec.options.rollback or spec.options.paused or spec.strategy != "RollingUpdate":
        return None
    target = fallback(world.update, listed)
    why = late(world)
    if target is None or why is None or _is_proven(world.update):
        return None
    return Return(target, why)


def fallback(update: Obj, listed: Sequence[Obj]) -> Obj | None:
    """The newest revision but `update` of which the whole set was Ready."""
    name = meta.name_of(update)
    before = [r for r in revisions.order(listed) if meta.name_of(r) != name and _is_proven(r)]
    return before[-1] if before else None


def go_back(spec: Spec, update: Obj, back: Return) -> Action:
    """Put the template of an earlier revision back in place."""
    fields = {**spec.obj["spec"], "template": revisions.template_of(back.to)}
    message = (
        f"revision {meta.name_of(update)} has missed its progress deadline of "
        f"{spec.options.deadline_s} s ({back.why.message}): going back to revision "
        f"{meta.name_of(back.to)}"
    )
    return Reported(
        Update(RESOURCE, {**spec.obj, "spec": fields}),
        success=Emit(spec.involved, "Warning", "RolledBack", message),
        quiet=("Conflict",),
    )


def _is_proven(revision: Obj) -> bool:
    return meta.annotations_of(revision).get(PROVEN) == "true"


def is_unwanted(world: World, index: int, pod: Obj) -> bool:
    """Whether a new pod in that place would have another revision, and this one has no place."""
    revision, current = identity.revision_of(pod), identity.label_of(world.current)
    left = rollout.current_replicas(world.spec) - (revision == current)
    old = rollout.wants_current(world.spec, index, left)
    return revision not in (identity.label_of(world.update), current if old else "")
