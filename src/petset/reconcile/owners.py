"""Who owns what: which objects an owner keeps, adopts or lets go. Pure.

Rules: workload-semantics 1.12. An object has at most one controller; an orphan that matches is
adopted; an owned object that no longer matches is released.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.reconcile.actions import Patch


@dataclass(frozen=True, slots=True)
class Claims:
    """What becomes of the objects looked at.

    Attributes:
        kept: owned, or adopted by this plan (as they were, without the new reference).
        adopted: the part of `kept` that has to get the controller reference.
        released: owned ones that lose it.
    """

    kept: tuple[Obj, ...]
    adopted: tuple[Obj, ...]
    released: tuple[Obj, ...]


def claim(
    owner: Obj,
    objects: Iterable[Obj],
    *,
    matches: Callable[[Obj], bool],
    may_adopt: bool,
) -> Claims:
    """Sort `objects` by what `owner` does with them; foreign ones are left out.

    Args:
        may_adopt: whether a live look has shown that the owner is there and not being deleted.
    """
    kept: list[Obj] = []
    adopted: list[Obj] = []
    released: list[Obj] = []
    for obj in objects:
        controller = meta.controller_of(obj)
        if controller is not None and controller.get("uid") != meta.uid_of(owner):
            continue
        if controller is not None:
            if matches(obj) or meta.is_deleting(owner):
                kept.append(obj)
            else:
                released.append(obj)
        elif may_adopt and matches(obj) and not meta.is_deleting(obj):
            kept.append(obj)
            adopted.append(obj)
    return Claims(tuple(kept), tuple(adopted), tuple(released))


def adopt(resource: str, obj: Obj, reference: Obj) -> Patch:
    """Make the owner of `reference` the controller of `obj`; guarded by uid and version."""
    return set_owners(resource, obj, (*meta.owners_of(obj), reference))


def release(resource: str, obj: Obj, owner_uid: str) -> Patch:
    """Take the reference to `owner_uid` off `obj`."""
    return set_owners(
        resource, obj, tuple(o for o in meta.owners_of(obj) if o.get("uid") != owner_uid)
    )


def set_owners(resource: str, obj: Obj, references: Iterable[Obj]) -> Patch:
    """Write exactly these owner references; guarded by uid and version."""
    owners: list[MutableObj] = [dict(r) for r in references]
    return Patch(
        resource,
        meta.namespace_of(obj),
        meta.name_of(obj),
        {"metadata": {"ownerReferences": owners or None}},
        uid=meta.uid_of(obj),
        resource_version=meta.version_of(obj),
    )


def is_controlled_by(obj: Obj, owner_uid: str) -> bool:
    """Whether the object's controller is the one with this uid."""
    controller = meta.controller_of(obj)
    return controller is not None and controller.get("uid") == owner_uid
