"""The steps of a sync for one ordinal: make its pod, replace it, repair it, or wait. Pure.

Rules: workload-semantics 1.13, points 8 to 10; words of events: 1.17.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.statefulset import backoff, heal, identity, rollout, storage
from petset.controllers.statefulset.backoff import Failure
from petset.controllers.statefulset.spec import Spec
from petset.controllers.statefulset.world import World, is_healthy
from petset.reconcile import actions as acts
from petset.reconcile import owners, podtemplate
from petset.reconcile.actions import Action, Create, Delete, Emit, Patch, Reported


@dataclass(frozen=True, slots=True)
class Step:
    """What one ordinal needs.

    Attributes:
        wait: in ordered sets nothing further may happen now.
        created: revision of the pod that the actions create (as it is labelled), "" for none.
        deleted: revision of the pod that the actions delete and that is not counted as gone yet.
    """

    actions: tuple[Action, ...] = ()
    wait: bool = False
    created: str = ""
    deleted: str = ""


def for_slot(world: World, index: int) -> Step:
    """The step of the ordinal of slot `index`."""
    ordinal, pod = world.slots[index]
    if pod is None:
        return _create(world, index)
    if podtemplate.is_finished(pod):
        return Step(tuple(_replace(world, index, pod)), wait=True)
    claims: tuple[Action, ...] = ()
    is_pending = podtemplate.phase_of(pod) == "Pending"
    if is_pending:
        claims = tuple(_missing_claims(world, ordinal))
    if is_healthy(world, pod):
        return Step((*claims, *_repair(world, ordinal, pod)))
    if not world.spec.ordered:  # the rolling update replaces the others, healthy or not
        below = _healed(world, index, pod) if index < world.spec.partition else None
        return below or Step((*claims, *_repair(world, ordinal, pod)))
    claims += tuple(_claim_owners(world, ordinal, pod, condemned=False))
    return _healed(world, index, pod) or Step(claims, wait=True)


def _healed(world: World, index: int, pod: Obj) -> Step | None:
    """Delete a pod that will not get Ready and that another revision is wanted for."""
    why = heal.replaces(world, index, pod)
    if why is None:
        return None
    gone = (heal.told(world, pod, why), delete(world.spec, pod))
    return Step(gone, wait=True, deleted=identity.revision_of(pod))


def _replace(world: World, index: int, pod: Obj) -> list[Action]:
    """Delete a pod that has ended, or tell that this has to wait."""
    if meta.is_deleting(pod):
        return []
    failure = _keeping(world, index)
    if failure is None:
        return [delete(world.spec, pod)]
    if not failure.is_new:
        return []
    delay_s = backoff.delay_s(failure)
    message = (
        f"Pod {meta.name_of(pod)} has failed {failure.count} times in a row: it is made again in "
        f"{delay_s:.0f} s"
    )
    return [_warning(world.spec, "BackOff", message)]


def kept_for(world: World) -> list[float]:
    """For how many more seconds each failed pod is kept."""
    kept: list[float] = []
    for index, (_, pod) in enumerate(world.slots):
        if pod is None or not podtemplate.is_finished(pod) or meta.is_deleting(pod):
            continue
        if (failure := _keeping(world, index)) is not None:
            kept.append(failure.at + backoff.delay_s(failure) - world.now)
    return kept


def _keeping(world: World, index: int) -> Failure | None:
    """The failure for which the failed pod of slot `index` is kept for a while; None: it is not.

    One that another revision is wanted for is not kept: the next pod is another one.
    """
    ordinal, pod = world.slots[index]
    failure = world.failures.get(ordinal)
    if pod is None or failure is None or failure.uid != meta.uid_of(pod):
        return None
    if failure.at + backoff.delay_s(failure) <= world.now:
        return None
    wanted = world.spec.options.paused or not heal.is_unwanted(world, index, pod)
    return failure if wanted else None


def bundle(actions: Sequence[Action]) -> list[Action]:
    """One action for all: nothing, the action itself, or their sequence."""
    if len(actions) < 2:
        return list(actions)
    return [acts.Sequence(tuple(actions))]


def delete(spec: Spec, pod: Obj) -> Action:
    """Delete a pod with its own grace period."""
    name = meta.name_of(pod)
    return Reported(
        Delete("pods", spec.namespace, name, uid=meta.uid_of(pod)),
        success=_normal(spec, "SuccessfulDelete", f"delete Pod {name} in {_set(spec)} successful"),
        failure=_warning(spec, "FailedDelete", f"delete Pod {name} in {_set(spec)} failed error: "),
    )


def next_condemned(world: World) -> Obj | None:
    """The pod that an ordered scale-down deletes now; None when one has to be waited for."""
    highest = world.condemned[0]
    if meta.is_deleting(highest):
        return None
    unhealthy = [pod for pod in world.condemned if heal.is_waited_for(world, pod)]
    if not is_healthy(world, highest) and unhealthy and highest is not unhealthy[-1]:
        return None
    return highest


def owners_from(world: World, index: int) -> list[Action]:
    """Set the owners that the retention policy wants on claims from slot `index` on.

    These wait for nobody: a set may be deleted while a lower pod is not Ready, and its claims have
    to stay if its policy says so by then. (Upstream leaves them until it gets there.)
    """
    found: list[Action] = []
    for ordinal, pod in world.slots[index:]:
        if pod is not None:
            found += _claim_owners(world, ordinal, pod, condemned=False)
    return found + condemned_owners(world)


def let_go(world: World) -> list[Action]:
    """Take the set off the claims that nobody uses, if they are to be kept when it is deleted.

    Left from a policy that was another one when they were made. (Upstream leaves them, and they go
    with the set.)
    """
    spec, found = world.spec, list[Action]()
    if not spec.retain_on_delete:
        return found
    pods = (pod for pod in (*(pod for _, pod in world.slots), *world.condemned) if pod is not None)
    used = {name for p in pods for name in storage.claim_names(spec, identity.ordinal_of(p))}
    for name, claim in world.claims.items():
        if name in used or meta.is_deleting(claim) or not storage.is_of(spec, name):
            continue
        wanted = storage.without_set(spec, claim)
        if storage.owners_differ(claim, wanted):
            found.append(_set_owners(world, claim, f"for {_set(spec)}", wanted))
    return found


def condemned_owners(world: World) -> list[Action]:
    """Set the owners that the retention policy wants on the claims of condemned pods."""
    found: list[Action] = []
    for pod in world.condemned:
        found += _claim_owners(world, identity.ordinal_of(pod), pod, condemned=True)
    return found


def _create(world: World, index: int) -> Step:
    spec, (ordinal, _) = world.spec, world.slots[index]
    name = identity.pod_name(spec.name, ordinal)
    if name in world.occupied:
        return Step(wait=True)
    claims = [world.claims[c] for c in storage.claim_names(spec, ordinal) if c in world.claims]
    if not spec.retain_on_scale and any(storage.is_stale(c, name, "") for c in claims):
        return Step(wait=True)
    going = [meta.name_of(c) for c in claims if meta.is_deleting(c)]
    if going:
        why = f"pvc {going[0]} is being deleted"
        message = f"create Pod {name} in {_set(spec)} failed error: {why}"
        return Step((_warning(spec, "FailedCreate", message),), wait=True)
    revision = world.current if _gets_current(world, index) else world.update
    pod = storage.with_claims(spec, identity.new_pod(spec, ordinal, revision), ordinal)
    made = Reported(
        Create("pods", pod),
        success=_normal(spec, "SuccessfulCreate", f"create Pod {name} in {_set(spec)} successful"),
        failure=_warning(spec, "FailedCreate", f"create Pod {name} in {_set(spec)} failed error: "),
        quiet=("AlreadyExists",),
    )
    actions = (*_missing_claims(world, ordinal), made)
    return Step(tuple(bundle(actions)), wait=True, created=identity.label_of(revision))


def _gets_current(world: World, index: int) -> bool:
    """Whether a new pod gets the current revision.

    While a roll-out is paused: unless it has come as far as this ordinal, so that a pod at or below
    it has the update revision.
    """
    spec = world.spec
    if rollout.wants_current(spec, index, rollout.current_replicas(spec)):
        return True
    if not spec.options.paused or spec.strategy != "RollingUpdate":
        return False
    update = identity.label_of(world.update)
    below = (pod for _, pod in world.slots[:index] if pod is not None)
    return not any(identity.revision_of(pod) == update for pod in below)


def _missing_claims(world: World, ordinal: int) -> list[Action]:
    spec, pod = world.spec, identity.pod_name(world.spec.name, ordinal)
    found: list[Action] = []
    for claim in storage.new_claims(spec, ordinal):
        name = meta.name_of(claim)
        if name in world.claims:
            continue
        done = f"create Claim {name} Pod {pod} in {_set(spec)} success"
        failed = f"create Claim {name} for Pod {pod} in {_set(spec)} failed error: "
        found.append(
            Reported(
                Create(storage.RESOURCE, claim),
                success=_normal(spec, "SuccessfulCreate", done),
                failure=_warning(spec, "FailedCreate", failed),
                quiet=("AlreadyExists",),
            )
        )
    return found


def _repair(world: World, ordinal: int, pod: Obj) -> list[Action]:
    """Give a pod its labels and its claims their owners.

    A pod that lacks claims of its set (adopted from an earlier set without them) cannot get them:
    a pod's volumes are immutable. It counts as out of date, and the roll-out replaces it.
    """
    spec = world.spec
    found = _claim_owners(world, ordinal, pod, condemned=False)
    if identity.has_identity(spec, pod):
        return found
    name = meta.name_of(pod)
    labels: MutableObj = {"metadata": {"labels": identity.identity_labels(spec, ordinal)}}
    write = Patch("pods", spec.namespace, name, labels, uid=meta.uid_of(pod))
    done = f"update Pod {name} in {_set(spec)} successful"
    failed = f"update Pod {name} in {_set(spec)} failed error: "
    told = Reported(
        write,
        success=_normal(spec, "SuccessfulUpdate", done),
        failure=_warning(spec, "FailedUpdate", failed),
    )
    return [*found, told]


def _claim_owners(world: World, ordinal: int, pod: Obj, *, condemned: bool) -> list[Action]:
    spec, found = world.spec, list[Action]()
    for name in storage.claim_names(spec, ordinal):
        claim = world.claims.get(name)
        if claim is None or meta.is_deleting(claim):
            continue
        policy = not (spec.retain_on_delete and spec.retain_on_scale)
        if policy and storage.has_foreign_controller(spec, claim, meta.name_of(pod)):
            message = (
                f"claim {name} has a controller that is neither {_set(spec)} nor Pod "
                f"{meta.name_of(pod)}: the retention policy is ignored for it"
            )
            found.append(_warning(spec, "ConflictingController", message))
        wanted = storage.owners_wanted(spec, claim, pod, condemned=condemned)
        if storage.owners_differ(claim, wanted):
            whose = f"for Pod {meta.name_of(pod)} in {_set(spec)}"
            found.append(_set_owners(world, claim, whose, wanted))
    return found


def _set_owners(world: World, claim: Obj, whose: str, wanted: Sequence[Obj]) -> Action:
    failed = f"update Claim {meta.name_of(claim)} {whose} failed error: "
    return Reported(
        owners.set_owners(storage.RESOURCE, claim, wanted),
        failure=_warning(world.spec, "FailedUpdate", failed),
        quiet=("Conflict",),
    )


def _set(spec: Spec) -> str:
    return f"StatefulSet {spec.name}"


def _normal(spec: Spec, reason: str, message: str) -> Emit:
    return Emit(spec.involved, "Normal", reason, message)


def _warning(spec: Spec, reason: str, message: str) -> Emit:
    return Emit(spec.involved, "Warning", reason, message)
