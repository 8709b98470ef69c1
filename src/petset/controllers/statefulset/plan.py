"""What to do next for one StatefulSet. Pure.

Rules: workload-semantics 1.13; what is beyond them is in heal, backoff, ending and growth. All
actions that are safe now are planned at once; what has to be waited for ends the plan, and the
change that ends the wait brings the next plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from petset.api import meta, selectors
from petset.api.meta import Obj
from petset.controllers.statefulset import (
    absence,
    conditions,
    ending,
    growth,
    heal,
    identity,
    rollout,
    status,
    steps,
    trouble,
)
from petset.controllers.statefulset.backoff import Failure
from petset.controllers.statefulset.spec import RESOURCE, Spec, read
from petset.controllers.statefulset.status import Status
from petset.controllers.statefulset.world import World, healthy, is_healthy, troubles
from petset.reconcile import owners, podtemplate, revisions
from petset.reconcile.actions import Action, Parallel, Plan
from petset.reconcile.owners import Claims
from petset.reconcile.revisions import Resolved

__all__ = ["RESOURCE", "Observed", "plan", "wants_adoption"]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a set.

    Attributes:
        set: the StatefulSet.
        pods: the pods that it controls, the orphans of its namespace, and whoever else has a
            name of one of its ordinals.
        revisions: every ControllerRevision of its namespace.
        claims: claims by name; those of all ordinals in range, of all pods, and those that refer
            to the set as owner at least.
        may_adopt: whether a live look found the set there, with this uid and not being deleted.
        failures: what is remembered of pods that have failed, by ordinal.
        growing: names of the storage classes that allow claims to grow.
        vacant: names of pods that stay free until a time, for those who wait for their end.
        waiting: since when the pods that are not available have not been so, by uid; only where
            they have to be Ready for some time.
    """

    set: Obj
    pods: tuple[Obj, ...]
    revisions: tuple[Obj, ...]
    claims: Mapping[str, Obj]
    may_adopt: bool = False
    failures: Mapping[int, Failure] = field(default_factory=dict)
    growing: frozenset[str] = frozenset()
    vacant: Mapping[str, float] = field(default_factory=dict)
    waiting: Mapping[str, float] = field(default_factory=dict)


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen` at wall-clock time `now`."""
    spec = read(seen.set)
    pods, history = _claims(spec, seen)
    resolved = revisions.resolve(
        spec.obj,
        spec.reference,
        template=(seen.set.get("spec") or {}).get("template") or {},
        listed=history.kept,
        in_namespace={meta.name_of(r): r for r in seen.revisions},
    )
    observed = _count(spec, resolved, pods.kept, now)
    if meta.is_deleting(seen.set):
        return _ending(spec, pods.kept, observed, now)
    world = _world(spec, seen, resolved, pods.kept, now)
    told = conditions.of(world)
    actions, reached = _sync(world, observed)
    creates = reached.replicas > observed.replicas
    failed = conditions.not_created(world, told) if creates else told
    first = [*_ownership(spec, pods, history), *resolved.actions, *ending.hold(spec)]
    first += heal.prove(spec, resolved, observed)
    first += _truncation(spec, resolved, pods.kept)
    first += steps.let_go(world)
    first += conditions.events(world, told)
    if (back := heal.going_back(world, resolved.listed)) is not None:
        first.append(heal.go_back(spec, resolved.update, back))
    return Plan(
        actions=(*first, *actions, *growth.follow(spec, seen.claims, seen.growing)),
        status=status.write(spec, status.completed(spec, reached), told),
        status_if_failed=status.write(spec, status.completed(spec, observed), failed),
        requeue_after_s=_next_look(world, pods.kept, seen.vacant.values()),
    )


def _ending(spec: Spec, pods: tuple[Obj, ...], observed: Status, now: float) -> Plan:
    """A set that is being deleted: stop its pods if it asks for order, count what is left."""
    if ending.lets_go(spec, pods):
        return Plan((ending.release(spec),))  # it may be gone then: there is no status to write
    held = ending.is_held(spec)
    told = (conditions.ending if held else conditions.deleted)(spec, pods, now)
    going = (
        seen for seen in map(trouble.of_pod, pods) if seen and seen.reason == trouble.TERMINATING
    )
    return Plan(
        tuple(ending.stop(spec, pods)) if held else (),
        status.write(spec, observed, told),
        requeue_after_s=trouble.next_look(going, spec.options.deadline_s, now),
    )


def wants_adoption(set_obj: Obj, objects: Iterable[Obj]) -> bool:
    """Whether there may be an orphan to adopt, so that the set has to be looked at live."""
    matches = selectors.from_object((set_obj.get("spec") or {}).get("selector")).matches
    return any(meta.controller_of(obj) is None and matches(meta.labels_of(obj)) for obj in objects)


def _claims(spec: Spec, seen: Observed) -> tuple[Claims, Claims]:
    matches = selectors.from_object((spec.obj.get("spec") or {}).get("selector")).matches
    pods = owners.claim(
        spec.obj,
        seen.pods,
        matches=lambda pod: matches(meta.labels_of(pod)) and identity.is_member(spec, pod),
        may_adopt=seen.may_adopt,
    )
    history = owners.claim(
        spec.obj,
        (r for r in seen.revisions if matches(meta.labels_of(r))),
        matches=lambda revision: True,
        may_adopt=seen.may_adopt,
    )
    return pods, history


def _ownership(spec: Spec, pods: Claims, history: Claims) -> list[Action]:
    uid = meta.uid_of(spec.obj)
    return [
        *(owners.adopt(revisions.RESOURCE, r, spec.reference) for r in history.adopted),
        *(owners.release("pods", pod, uid) for pod in pods.released),
        *(owners.adopt("pods", pod, spec.reference) for pod in pods.adopted),
    ]


def _count(spec: Spec, resolved: Resolved, pods: Iterable[Obj], now: float) -> Status:
    empty = Status(
        meta.name_of(resolved.current), meta.name_of(resolved.update), resolved.collision_count
    )
    return status.count(spec, pods, empty, now)


def _world(
    spec: Spec, seen: Observed, resolved: Resolved, pods: tuple[Obj, ...], now: float
) -> World:
    by_ordinal = {identity.ordinal_of(pod): pod for pod in pods}
    slots = tuple((ordinal, by_ordinal.get(ordinal)) for ordinal in spec.ordinals)
    strangers = _occupied(seen.pods, pods)
    found = troubles(spec, slots, seen.failures, seen.waiting)
    condemned = sorted((o for o in by_ordinal if o >= 0 and o not in spec.ordinals), reverse=True)
    return World(
        spec=spec,
        now=now,
        current=resolved.current,
        update=resolved.update,
        slots=slots,
        condemned=tuple(by_ordinal[ordinal] for ordinal in condemned),
        claims=seen.claims,
        occupied=strangers | {n for n, at in seen.vacant.items() if at > now},
        proven=heal.proven(resolved.listed),
        failures=seen.failures,
        troubles=absence.explained(spec, slots, found, strangers, seen.claims),
        healthy=healthy(spec, pods, now),
    )


def _occupied(seen: Sequence[Obj], own: Sequence[Obj]) -> frozenset[str]:
    """Names of the pods that are not the set's own."""
    if len(seen) == len(own):
        return frozenset()
    return frozenset(map(meta.name_of, seen)) - frozenset(map(meta.name_of, own))


def _sync(world: World, counted: Status) -> tuple[list[Action], Status]:
    return _ordered(world, counted) if world.spec.ordered else _parallel(world, counted)


def _ordered(world: World, counted: Status) -> tuple[list[Action], Status]:
    """OrderedReady: low to high until one has to be waited for; then shrink; then roll."""
    actions: list[Action] = []
    for index in range(len(world.slots)):
        step = steps.for_slot(world, index)
        actions += step.actions
        if step.created:
            counted = counted.created(step.created)
        if step.deleted:
            counted = counted.deleted(step.deleted)
        if step.wait:
            return actions + steps.owners_from(world, index + 1), counted
    actions += steps.condemned_owners(world)
    if world.condemned:
        victim = steps.next_condemned(world)
        if victim is not None:
            actions.append(steps.delete(world.spec, victim))
            counted = counted.deleted(identity.revision_of(victim))
        return actions, counted
    for pod in _victims(world):
        actions.append(steps.delete(world.spec, pod))
        counted = counted.deleted(identity.revision_of(pod))
    return actions, counted


def _parallel(world: World, counted: Status) -> tuple[list[Action], Status]:
    """Parallel: everything at once, whatever the health; a roll keeps to its budget."""
    made: list[Action] = []
    for index in range(len(world.slots)):
        step = steps.for_slot(world, index)
        made += steps.bundle(step.actions)
        if step.created:
            counted = counted.created(step.created)
        if step.deleted:
            counted = counted.deleted(step.deleted)
    gone = [pod for pod in world.condemned if not meta.is_deleting(pod)]
    gone += _victims(world)
    for pod in gone:
        counted = counted.deleted(identity.revision_of(pod))
    groups = (
        made,
        steps.condemned_owners(world),
        [steps.delete(world.spec, pod) for pod in gone],
    )
    return [Parallel(tuple(group)) for group in groups if group], counted


def _victims(world: World) -> list[Obj]:
    update = identity.label_of(world.update)
    known = (pod for _, pod in world.slots if pod is not None)
    if not any(rollout.is_outdated(world.spec, pod, update) for pod in known):
        return []
    slots = [_slot(world, pod, update) for _, pod in world.slots]
    pods = [pod for _, pod in world.slots]
    return [pod for i in rollout.victims(world.spec, slots) if (pod := pods[i]) is not None]


def _slot(world: World, pod: Obj | None, update: str) -> rollout.Slot:
    if pod is None:
        return rollout.Slot(stale=False, available=False, terminating=False)
    return rollout.Slot(
        stale=rollout.is_outdated(world.spec, pod, update),
        available=is_healthy(world, pod),
        terminating=meta.is_deleting(pod) or podtemplate.is_finished(pod),
        primary=_is_primary(world.spec, pod),
    )


def _is_primary(spec: Spec, pod: Obj) -> bool:
    if spec.options.primary is None:
        return False
    label, value = spec.options.primary
    return meta.labels_of(pod).get(label) == value


def _truncation(spec: Spec, resolved: Resolved, pods: Iterable[Obj]) -> list[Action]:
    if len(resolved.listed) <= spec.history_limit:
        return []
    live = {meta.name_of(resolved.current), meta.name_of(resolved.update)}
    used = {identity.revision_of(pod) for pod in pods}
    live |= {meta.name_of(r) for r in resolved.listed if identity.label_of(r) in used}
    if spec.options.rollback:
        back = heal.fallback(resolved.update, resolved.listed)
        live |= {meta.name_of(back)} if back is not None else set()
    return revisions.truncate(resolved.listed, live, spec.history_limit)


def _next_look(world: World, pods: Iterable[Obj], vacant: Iterable[float]) -> float | None:
    """Seconds until time alone changes something; None when nothing is waited for.

    That is: a Ready pod has been so for long enough, one has taken too long, a failed one has been
    kept for long enough, or a name has been free for long enough.
    """
    min_ready_s = world.spec.min_ready_s
    ready = (podtemplate.available_at(pod, min_ready_s) for pod in (pods if min_ready_s else ()))
    times = [at - world.now for at in ready if at is not None and at > world.now]
    times += steps.kept_for(world)
    times += [at - world.now for at in vacant if at > world.now]
    if (late := conditions.next_look(world)) is not None:
        times.append(late)
    return min(times, default=None)
