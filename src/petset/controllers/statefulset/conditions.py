"""Conditions of a set: Available, Progressing, RolloutStuck. Pure.

Upstream writes none, and its clients ignore them.

    Available      True: every replica is available.
    Progressing    as with a Deployment: True while a roll-out is under way or done, False when it
                   has missed its deadline, Unknown while it is paused.
    RolloutStuck   True: something has to be done before a roll-out or growth goes on.

Invariant: a condition keeps its lastTransitionTime as long as its status stays the same, and its
texts change only with what they tell; so a settled set has nothing to write.
Invariant: conditions of other types are left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.statefulset import absence, heal, identity, rollout, trouble
from petset.controllers.statefulset.spec import Spec
from petset.controllers.statefulset.trouble import Trouble
from petset.controllers.statefulset.world import World, healthy, is_healthy, troubles
from petset.reconcile.actions import FAILURE, Emit

AVAILABLE, PROGRESSING, STUCK = "Available", "Progressing", absence.STUCK
COMPLETE, ROLLING = "RolloutComplete", "RollingOut"
PAUSED, LATE = "RolloutPaused", "ProgressDeadlineExceeded"
PARTITIONED, BY_HAND = "PartitionRolledOut", "WaitingForDeletion"
ENDING = "DeletingInOrder"


@dataclass(frozen=True, slots=True)
class Goal:
    """How far a roll-out is to go, and has come.

    Attributes:
        wanted: how many pods are to have the update revision.
        done: how many of those have it and are available.
        stale: how many pods have another one.
        grown: every replica exists and none is too much.
    """

    wanted: int
    done: int
    stale: int
    grown: bool

    @property
    def is_reached(self) -> bool:
        """Whether nothing is left to be done."""
        return self.grown and self.done >= self.wanted


def stored(spec: Spec) -> tuple[Obj, ...]:
    """The conditions as they were read."""
    return tuple((spec.obj.get("status") or {}).get("conditions") or ())


def of(world: World) -> tuple[Obj, ...]:
    """The conditions that the set is to have."""
    goal = _goal(world)
    made = (
        _available(world.spec, world.slots, (world.troubles, world.healthy), world.now),
        _progressing(world, goal),
        _stuck(world, goal),
    )
    return _put(world.spec, made, world.now)


def ending(spec: Spec, pods: Sequence[Obj], now: float) -> tuple[Obj, ...]:
    """The conditions of a set whose pods are stopped one after the other, to be deleted then."""
    gone = next(filter(meta.is_deleting, pods), None)
    message = f"pods left to be stopped, last ordinal first: {len(pods)}"
    if gone is not None and (seen := trouble.of_pod(gone)) is not None:
        message = f"{message}; {trouble.words_of(seen, spec.options.deadline_s, now)}"
    told = _condition(PROGRESSING, "True", ENDING, message)
    return _put(spec, (_available_of(spec, pods, now), told), now)


def deleted(spec: Spec, pods: Sequence[Obj], now: float) -> tuple[Obj, ...]:
    """The conditions of a set that somebody else deletes the pods of: how many are left."""
    return _put(spec, (_available_of(spec, pods, now),), now)


def not_created(world: World, conditions: Sequence[Obj]) -> tuple[Obj, ...]:
    """The conditions if the pods that a plan creates cannot be created."""
    missing = [ordinal for ordinal, pod in world.slots if pod is None]
    which = "a Pod"  # of several that are made at once
    if world.spec.ordered and missing:
        which = f"Pod {identity.pod_name(world.spec.name, missing[0])}"
    message = f"{which} cannot be created: {FAILURE}"
    made = _condition(STUCK, "True", absence.REFUSED, message)
    told = _timed(made, stored(world.spec), world.now)
    known = any(seen is not None for seen in world.troubles)
    return (
        *(c if known else _because(c, message) for c in conditions if c.get("type") != STUCK),
        told,
    )


def events(world: World, conditions: Sequence[Obj]) -> list[Emit]:
    """What has just begun: a standstill, a pause, or the end of one."""
    found: list[Emit] = []
    before = {c.get("type"): c for c in stored(world.spec)}
    after = {c.get("type"): c for c in conditions}
    involved = world.spec.involved
    stuck = after[STUCK]
    if stuck["status"] == "True" and (before.get(STUCK) or {}).get("status") != "True":
        found.append(Emit(involved, "Warning", STUCK, stuck["message"]))
    was, now = ((c.get(PROGRESSING) or {}).get("reason") for c in (before, after))
    if now != was and now == LATE:
        found.append(Emit(involved, "Warning", LATE, after[PROGRESSING]["message"]))
    if now != was and now == PAUSED:
        found.append(Emit(involved, "Normal", PAUSED, "the roll-out is paused"))
    if now != was and was == PAUSED:
        found.append(Emit(involved, "Normal", "RolloutResumed", "the roll-out goes on"))
    return found


def next_look(world: World) -> float | None:
    """Seconds until a pod will have taken too long; None when none is waited for."""
    condemned = map(trouble.of_pod, world.condemned)
    every = (*world.troubles, *condemned, heal.refusal(world))
    known = (seen for seen in every if seen is not None)
    return trouble.next_look(known, world.spec.options.deadline_s, world.now)


def _goal(world: World) -> Goal:
    update = identity.label_of(world.update)
    pods = [pod for _, pod in world.slots]
    known = [pod for pod in pods if pod is not None]
    stale = [pod for pod in known if rollout.is_outdated(world.spec, pod, update)]
    old = set(map(meta.uid_of, stale))
    rolled = [pod for pod in pods[world.spec.partition :] if pod is not None]
    done = [pod for pod in rolled if meta.uid_of(pod) not in old and is_healthy(world, pod)]
    grown = len(known) == len(pods) and not world.condemned
    wanted = max(0, len(pods) - world.spec.partition)
    return Goal(wanted, len(done), len(stale), grown)


def _available_of(spec: Spec, pods: Sequence[Obj], now: float) -> Obj:
    by_ordinal = {identity.ordinal_of(pod): pod for pod in pods}
    slots = [(ordinal, by_ordinal.get(ordinal)) for ordinal in spec.ordinals]
    return _available(spec, slots, (troubles(spec, slots, {}, {}), healthy(spec, pods, now)), now)


def _available(
    spec: Spec,
    slots: Sequence[tuple[int, Obj | None]],
    seen: tuple[Sequence[Trouble | None], frozenset[str]],
    now: float,
) -> Obj:
    """`seen` are the troubles of the slots and the uids of the pods that are available."""
    found, up = seen
    known = [pod for _, pod in slots if pod is not None]
    count = sum(meta.uid_of(pod) in up for pod in known)
    if count >= spec.replicas:
        message = f"all of {spec.replicas} replicas are available"
        return _condition(AVAILABLE, "True", "AllReplicasAvailable", message)
    message = f"{count} of {spec.replicas} replicas are available"
    first = next(filter(None, found), None)
    fresh = next((pod for pod in known if meta.uid_of(pod) not in up), None)
    if first is not None:
        message = f"{message}: {trouble.words_of(first, spec.options.deadline_s, now)}"
    elif fresh is not None:
        since = f"has not been Ready for minReadySeconds ({spec.min_ready_s}) yet"
        message = f"{message}: Pod {meta.name_of(fresh)} {since}"
    return _condition(AVAILABLE, "False", "ReplicasUnavailable", message)


def _because(condition: Obj, why: str) -> Obj:
    """The condition Available with the reason for which it is not True."""
    if condition.get("type") != AVAILABLE or condition["status"] == "True":
        return condition
    return {**condition, "message": f"{condition['message']}: {why}"}


def _progressing(world: World, goal: Goal) -> Obj:
    spec, revision = world.spec, meta.name_of(world.update)
    if spec.options.paused:
        message = f"{goal.done} of {goal.wanted} pods have revision {revision} and are available"
        return _condition(PROGRESSING, "Unknown", PAUSED, message)
    whole = goal.grown and goal.stale == 0
    if whole and (goal.is_reached or meta.name_of(world.current) == revision == _told(spec)):
        message = f"all of {spec.replicas} replicas have revision {revision}"
        return _condition(PROGRESSING, "True", COMPLETE, message)
    if spec.strategy == "OnDelete" and goal.grown:
        message = (
            f"{goal.stale} of {spec.replicas} pods have an older revision until they are deleted"
        )
        return _condition(PROGRESSING, "True", BY_HAND, message)
    if goal.is_reached:
        message = (
            f"{goal.done} of {goal.wanted} pods from the partition up have revision {revision}, "
            f"{goal.stale} below it keep an older one"
        )
        return _condition(PROGRESSING, "True", PARTITIONED, message)
    if (late := heal.late(world)) is not None:
        message = f"revision {revision} has missed its progress deadline: {late.message}"
        return _condition(PROGRESSING, "False", LATE, message)
    message = f"{goal.done} of {goal.wanted} pods have revision {revision} and are available"
    return _condition(PROGRESSING, "True", ROLLING, message)


def _told(spec: Spec) -> str:
    """The revision whose roll-out was told to be complete, "" for none.

    A pod that fails later makes the set unavailable; it does not take back the roll-out.
    """
    status = spec.obj.get("status") or {}
    was = meta.condition_of(spec.obj, PROGRESSING)
    return status.get("updateRevision") or "" if was and was.get("reason") == COMPLETE else ""


def _stuck(world: World, goal: Goal) -> Obj:
    blocking = None if world.spec.options.paused else _blocking(world, goal)
    if blocking is None:
        return _condition(STUCK, "False", "NotStuck", "")
    return _condition(STUCK, "True", blocking.reason, blocking.message)


def _blocking(world: World, goal: Goal) -> Trouble | None:
    """The first pod that will not get on by itself, while something is to be done."""
    update = meta.name_of(world.update)
    steady = goal.grown and not goal.stale and _told(world.spec) == update
    if steady or goal.is_reached:
        return None
    deadline_s = world.spec.options.deadline_s
    for seen in world.troubles:
        if seen is None:
            continue
        if seen.hopeless:
            return seen
        if trouble.is_late(seen, deadline_s, world.now):
            return trouble.overdue(seen)
    return None


def _put(spec: Spec, made: Sequence[Obj], now: float) -> tuple[Obj, ...]:
    """The conditions as they were read, with these in place of those of the same types."""
    before, types = stored(spec), {condition["type"] for condition in made}
    kept = [c for c in before if c.get("type") not in types]
    return (*kept, *(_timed(condition, before, now) for condition in made))


def _condition(kind: str, status: str, reason: str, message: str) -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _timed(condition: Obj, before: Sequence[Obj], now: float) -> Obj:
    """The condition with the time at which its status became what it is."""
    was = next((c for c in before if c.get("type") == condition["type"]), {})
    since = was.get("lastTransitionTime")
    if was.get("status") != condition["status"] or not since:
        since = meta.format_time(now)
    return {**condition, "lastTransitionTime": since}
