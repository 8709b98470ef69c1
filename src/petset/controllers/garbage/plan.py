"""What to do next for one object with owners, or one that waits for its dependents. Pure.

Rules: background: an object without any owner left is deleted; foreground: an object with the
finalizer `foregroundDeletion` stays until the dependents that block it are gone; orphan: the
dependents lose their reference first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from petset.api import meta
from petset.api.meta import Obj
from petset.reconcile import owners
from petset.reconcile.actions import Action, Delete, Emit, Parallel, Patch, Plan

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Owner(Enum):
    """What became of an owner."""

    SOLID = "there"
    WAITING = "being deleted, and waits for its dependents"
    ABSENT = "not there"
    UNKNOWN = "of a kind that cannot be looked up, or of another namespace"


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object that names the observed one as an owner."""

    resource: str
    obj: Obj


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of an object.

    Attributes:
        owners: what became of each of its owner references, in their order.
        dependents: the objects that name it as an owner.
    """

    resource: str
    obj: Obj
    owners: tuple[Owner, ...]
    dependents: tuple[Dependent, ...]


def plan(seen: Observed) -> Plan:
    """The actions for `seen`."""
    if meta.is_deleting(seen.obj):
        return Plan(tuple(_leave(seen)))
    references = list(meta.owners_of(seen.obj))
    if not references:
        return Plan()
    if Owner.SOLID in seen.owners or Owner.UNKNOWN in seen.owners:
        return Plan(tuple(_disown(seen, references)))
    if Owner.WAITING in seen.owners:
        policy = "Foreground" if seen.dependents else ""
        return Plan((_delete(seen.resource, seen.obj, policy),))
    return Plan((_delete(seen.resource, seen.obj, ""),))


def finalizers_of(obj: Obj) -> Sequence[str]:
    """metadata.finalizers."""
    return (obj.get("metadata") or {}).get("finalizers") or ()


def blocks(dependent: Obj, owner_uid: str) -> bool:
    """Whether the dependent keeps its foreground-deleted owner."""
    return any(
        o.get("uid") == owner_uid and o.get("blockOwnerDeletion") for o in meta.owners_of(dependent)
    )


def _leave(seen: Observed) -> list[Action]:
    """The object is going: do what its finalizers of propagation ask for."""
    finalizers = finalizers_of(seen.obj)
    uid = meta.uid_of(seen.obj)
    if ORPHAN in finalizers:
        freed = tuple(owners.release(d.resource, d.obj, uid) for d in seen.dependents)
        return [*([Parallel(freed)] if freed else []), _finish(seen, ORPHAN)]
    if FOREGROUND not in finalizers:
        return []
    blocking = [d for d in seen.dependents if blocks(d.obj, uid)]
    if not blocking:
        return [_finish(seen, FOREGROUND)]
    return []  # each dependent is a key of its own, and sees that its owner waits


def _disown(seen: Observed, references: Sequence[Obj]) -> list[Action]:
    """Take off the references to owners that are gone or going."""
    lost = (Owner.ABSENT, Owner.WAITING)
    pairs = list(zip(references, seen.owners, strict=True))
    actions: list[Action] = [
        Emit(
            meta.reference_to(seen.obj),
            "Warning",
            "OwnerRefInvalidNamespace",
            f"ownerRef [{o.get('apiVersion')}/{o.get('kind')}, name: {o.get('name')}, "
            f"uid: {o.get('uid')}] cannot be resolved from here",
        )
        for o, state in pairs
        if state is Owner.UNKNOWN
    ]
    if not any(state in lost for _, state in pairs):
        return actions
    kept = [o for o, state in pairs if state not in lost]
    return [*actions, owners.set_owners(seen.resource, seen.obj, kept)]


def _delete(resource: str, obj: Obj, propagation: str) -> Delete:
    if not propagation:
        finalizers = finalizers_of(obj)
        propagation = "Background"
        if ORPHAN in finalizers:
            propagation = "Orphan"
        elif FOREGROUND in finalizers:
            propagation = "Foreground"
    return Delete(
        resource,
        meta.namespace_of(obj),
        meta.name_of(obj),
        uid=meta.uid_of(obj),
        resource_version=meta.version_of(obj),
        propagation=propagation,
    )


def _finish(seen: Observed, finalizer: str) -> Patch:
    left = [f for f in finalizers_of(seen.obj) if f != finalizer]
    return Patch(
        seen.resource,
        meta.namespace_of(seen.obj),
        meta.name_of(seen.obj),
        {"metadata": {"finalizers": left or None}},
        uid=meta.uid_of(seen.obj),
        resource_version=meta.version_of(seen.obj),
    )
