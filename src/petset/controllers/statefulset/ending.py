"""Ordered deletion of a whole set: last ordinal first, each pod gone before the next. Pure.

Opted in by annotation. The controller then holds the set by a finalizer, so that the garbage
collector finds no pod to delete before the last one has gone; also in foreground deletion.
Orphaning a set, and taking the annotation off one that is going, ends the order at once.
"""

from collections.abc import Collection, Iterable, Sequence

from petset.api import meta
from petset.api.apps.v1 import setoptions
from petset.api.meta import Obj
from petset.controllers.statefulset import identity, steps
from petset.controllers.statefulset.spec import RESOURCE, Spec
from petset.reconcile.actions import Action, Patch

ORPHAN = "orphan"


def finalizers_of(spec: Spec) -> Sequence[str]:
    """metadata.finalizers of the set."""
    return (spec.obj.get("metadata") or {}).get("finalizers") or ()


def hold(spec: Spec) -> list[Action]:
    """Put the finalizer on a set that asks for order, or take it off one that does not."""
    wanted = spec.options.ordered_deletion
    if (setoptions.FINALIZER in finalizers_of(spec)) == wanted:
        return []
    return [_write(spec, add=wanted)]


def is_held(spec: Spec) -> bool:
    """Whether the finalizer is on the set."""
    return setoptions.FINALIZER in finalizers_of(spec)


def lets_go(spec: Spec, pods: Collection[Obj]) -> bool:
    """Whether a set that is being deleted has no further need of the finalizer."""
    finalizers = finalizers_of(spec)
    if not is_held(spec):
        return False
    return not pods or ORPHAN in finalizers or not spec.options.ordered_deletion


def release(spec: Spec) -> Action:
    """Remove the finalizer."""
    return _write(spec, add=False)


def stop(spec: Spec, pods: Iterable[Obj]) -> list[Action]:
    """The next pod to be stopped, if the one before is gone."""
    left = sorted(pods, key=identity.ordinal_of)
    if any(map(meta.is_deleting, left)):
        return []
    return [steps.delete(spec, left[-1])]


def _write(spec: Spec, *, add: bool) -> Patch:
    left = [f for f in finalizers_of(spec) if f != setoptions.FINALIZER]
    wanted = [*left, setoptions.FINALIZER] if add else left
    return Patch(
        RESOURCE,
        spec.namespace,
        spec.name,
        {"metadata": {"finalizers": wanted or None}},
        uid=meta.uid_of(spec.obj),
        resource_version=meta.version_of(spec.obj),
    )
