"""A set with its pods sorted into places, as the steps of a sync look at it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.statefulset import identity, trouble
from petset.controllers.statefulset.backoff import Failure
from petset.controllers.statefulset.spec import Spec
from petset.controllers.statefulset.trouble import Trouble
from petset.reconcile import podtemplate


@dataclass(frozen=True, slots=True)
class World:
    """A set with its pods sorted into places.

    Attributes:
        slots: (ordinal, pod or None) of the ordinals in range, ascending.
        condemned: pods outside the range, highest ordinal first.
        occupied: names that are not to be used now: of pods that are not the set's, and of pods
            that somebody has just deleted.
        proven: revisions, as pods are labelled, of which the whole set was once Ready.
        failures: what is known of pods that have failed, by ordinal.
        troubles: what keeps the pod of each slot from being Ready (see `troubles`).
        healthy: uids of the pods that are Running, Ready for long enough, and not going.
    """

    spec: Spec
    now: float
    current: Obj
    update: Obj
    slots: tuple[tuple[int, Obj | None], ...]
    condemned: tuple[Obj, ...]
    claims: Mapping[str, Obj]
    occupied: frozenset[str]
    proven: frozenset[str]
    failures: Mapping[int, Failure]
    troubles: tuple[Trouble | None, ...]
    healthy: frozenset[str]


def is_healthy(world: World, pod: Obj) -> bool:
    """Running, Ready for long enough, and not going."""
    return meta.uid_of(pod) in world.healthy


def healthy(spec: Spec, pods: Iterable[Obj], now: float) -> frozenset[str]:
    """The uids of the pods that are."""
    return frozenset(
        meta.uid_of(pod)
        for pod in pods
        if not meta.is_deleting(pod)
        and podtemplate.is_running_and_ready(pod)
        and podtemplate.is_available(pod, spec.min_ready_s, now)
    )


def troubles(
    spec: Spec,
    slots: Sequence[tuple[int, Obj | None]],
    failures: Mapping[int, Failure],
    waiting: Mapping[str, float],
) -> tuple[Trouble | None, ...]:
    """What keeps the pod of each slot from being Ready; None for one that is missing, too.

    An ordinal that fails again and again is told of as such, whatever its pod is about just now.
    One that gets Ready again and again, but never for long enough, has its trouble all the while.

    Args:
        waiting: since when the pods that are not available have not been so, by uid.
    """
    found = [_trouble(spec, ordinal, pod, failures.get(ordinal)) for ordinal, pod in slots]
    if waiting:
        found = [
            _since_available(spec, seen, waiting.get(meta.uid_of(pod or {})))
            for seen, (_, pod) in zip(found, slots, strict=True)
        ]
    return tuple(found)


def _since_available(spec: Spec, seen: Trouble | None, since: float | None) -> Trouble | None:
    if seen is None or seen.since is None or since is None or seen.reason == trouble.TERMINATING:
        return seen
    return replace(seen, since=min(seen.since, since + spec.min_ready_s))


def _trouble(spec: Spec, ordinal: int, pod: Obj | None, failure: Failure | None) -> Trouble | None:
    seen = None if pod is None else trouble.of_pod(pod)
    if failure is None or failure.count < 2 or (pod is not None and seen is None):
        return seen
    if pod is not None and (meta.is_deleting(pod) or identity.revision_of(pod) != failure.revision):
        return seen
    name = f"{spec.name}-{ordinal}"
    return Trouble(trouble.FAILING, f"Pod {name} fails again and again", True, failure.first_at)
