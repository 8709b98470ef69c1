"""What to do next for one Deployment. Pure.

Rules: workload-semantics 3.1. One plan takes one step: owner references, or a new set, or a size,
or the removal of old sets; the status goes with it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.deployment import annotations as notes
from petset.controllers.deployment import progress, rolling, scaling, sets, status
from petset.controllers.deployment.progress import Conditions
from petset.controllers.deployment.sets import Rs, Sets
from petset.controllers.deployment.spec import RESOURCE, Spec, read
from petset.reconcile import owners
from petset.reconcile.actions import FAILURE, Action, Create, Delete, Emit, Patch, Plan, Reported

__all__ = ["RESOURCE", "Observed", "plan", "wants_adoption"]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a deployment.

    Attributes:
        deployment: the Deployment.
        replicasets: every ReplicaSet of its namespace, by name.
        pods: pods of its sets; needed for type Recreate only.
        may_adopt: whether a live look found it there, with this uid and not being deleted.
    """

    deployment: Obj
    replicasets: Mapping[str, Obj]
    pods: tuple[Obj, ...] = ()
    may_adopt: bool = False


@dataclass(frozen=True, slots=True)
class _Turn:
    """One plan in the making.

    Attributes:
        found: the sets, with what is wanted of them so far.
        conditions: of the status, as far as they are known.
    """

    spec: Spec
    seen: Observed
    now: float
    found: Sets
    conditions: Conditions


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen` at wall-clock time `now`."""
    spec = read(seen.deployment)
    claims = owners.claim(
        spec.obj, seen.replicasets.values(), matches=spec.matches, may_adopt=seen.may_adopt
    )
    found = sets.find(spec, claims.kept)
    turn = _Turn(spec, seen, now, found, progress.stored(spec))
    if meta.is_deleting(spec.obj):
        return _change(turn, estimate=False)
    if claims.adopted or claims.released:
        return Plan(actions=tuple(_ownership(spec, claims)))
    if not seen.may_adopt and wants_adoption(spec.obj, seen.replicasets.values()):
        return Plan()  # this deployment is gone already; the caches lag behind
    turn = replace(turn, found=sets.synced(spec, found))
    turn = replace(turn, conditions=progress.paused(spec, turn.conditions, now))
    if found.new is not None:
        told = progress.found_new(spec, turn.conditions, found.new.name, now)
        turn = replace(turn, conditions=told)
    return _sync(turn)


def wants_adoption(deployment: Obj, replicasets: Iterable[Obj]) -> bool:
    """Whether there is an orphan to adopt, so that the deployment has to be looked at live."""
    matches = read(deployment).matches
    return any(
        meta.controller_of(rs) is None and not meta.is_deleting(rs) and matches(rs)
        for rs in replicasets
    )


def _ownership(spec: Spec, claims: owners.Claims) -> Iterable[Action]:
    for rs in claims.released:
        yield owners.release(sets.RESOURCE, rs, meta.uid_of(spec.obj))
    for rs in claims.adopted:
        yield owners.adopt(sets.RESOURCE, rs, spec.reference)


def _sync(turn: _Turn) -> Plan:
    spec, found = turn.spec, turn.found
    if spec.paused or scaling.is_wanted(spec, found):
        surplus = _surplus(spec, found) if spec.paused else ()
        return _change(turn, scaling.scaled(spec, found), surplus, estimate=False)
    if not spec.rolling:
        empty = rolling.emptied(spec, found)
        if any(rs.size for rs in found.old) or rolling.has_old_pods(found, turn.seen.pods):
            return _change(turn, empty)
    if found.new is None:
        return _create(turn)
    wanted = rolling.step(spec, found) if spec.rolling else rolling.whole(spec, found)
    return _change(turn, wanted, _surplus(spec, found) if _was_complete(spec) else ())


def _was_complete(spec: Spec) -> bool:
    return progress.is_complete(spec, spec.status)


def _change(
    turn: _Turn,
    wanted: Sets | None = None,
    surplus: Iterable[Rs] = (),
    *,
    estimate: bool = True,
    collisions: int | None = None,
) -> Plan:
    """Bring the sets to the wanted state, remove the surplus, and report status.

    Args:
        estimate: whether to judge the roll-out's progress.
        collisions: what collisionCount is to be; None leaves it as it is.
    """
    spec, now = turn.spec, turn.now
    wanted = wanted or turn.found
    counts = status.count(spec, wanted)
    conditions = progress.available(spec, turn.conditions, counts, now)
    if estimate:
        conditions = progress.estimated(spec, conditions, counts, wanted, now)
        conditions = progress.with_failures(conditions, wanted)
    actions = sets.writes(spec, wanted)
    if wanted.new is not None and not meta.is_deleting(spec.obj):
        actions += _numbered(spec, wanted.new.annotations)
    actions += [_delete(spec, rs) for rs in surplus]
    return Plan(
        actions=tuple(actions),
        status=status.write(spec, counts, conditions, collisions=collisions),
        status_if_failed=None,
        requeue_after_s=progress.next_look(spec, conditions, counts, now) if estimate else None,
    )


def _create(turn: _Turn) -> Plan:
    """Make the set of the present template."""
    spec, found, now = turn.spec, turn.found, turn.now
    size = rolling.first_size(spec, found)
    made, collisions = sets.fresh(spec, found, size, turn.seen.replicasets)
    name = meta.name_of(made)
    failed = f'Failed to create new replica set "{name}": '
    create = Reported(
        Create(sets.RESOURCE, made),
        success=sets.scaled(spec, name, 0, size) if size else None,
        failure=Emit(spec.involved, "Warning", "ReplicaSetCreateError", failed),
        quiet=("AlreadyExists",),
    )
    counts = status.count(spec, found)
    told = progress.not_created(spec, turn.conditions, f"{failed}{FAILURE}", now)
    told = progress.available(spec, told, counts, now)
    unmade = status.write(spec, counts, told, collisions=collisions)
    turn = replace(
        turn,
        found=Sets(sets.read(made), found.old),
        conditions=progress.created(spec, turn.conditions, name, now),
    )
    after = _change(turn, collisions=collisions)
    return replace(after, actions=(create, *after.actions), status_if_failed=unmade)


def _numbered(spec: Spec, marks: notes.Annotations) -> list[Action]:
    """Write the deployment's present revision into its annotation."""
    number = marks.get(notes.REVISION)
    if number is None or meta.annotations_of(spec.obj).get(notes.REVISION) == number:
        return []
    patch = {"metadata": {"annotations": {notes.REVISION: number}}}
    return [Patch(RESOURCE, spec.namespace, spec.name, patch, uid=meta.uid_of(spec.obj))]


def _surplus(spec: Spec, found: Sets) -> list[Rs]:
    """Old sets beyond the history limit, oldest first; one that has pods yet is left for later."""
    if spec.history_limit is None:
        return []
    alive = [rs for rs in found.old if not meta.is_deleting(rs.obj)]
    alive.sort(key=lambda rs: (rs.revision, rs.age))
    beyond = alive[: max(0, len(alive) - spec.history_limit)]
    return [rs for rs in beyond if rs.is_observed and not rs.size and not rs.told("replicas")]


def _delete(spec: Spec, rs: Rs) -> Action:
    return Delete(sets.RESOURCE, spec.namespace, rs.name, uid=meta.uid_of(rs.obj))
