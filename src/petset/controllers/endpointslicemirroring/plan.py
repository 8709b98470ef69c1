"""What to do next for the slices that mirror one Endpoints object. Pure."""

from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.endpointslicemirroring import mirror
from petset.controllers.endpointslicemirroring.mirror import Wanted
from petset.reconcile.actions import Action, Create, Delete, Emit, Plan, Update


@dataclass(frozen=True, slots=True)
class Observed:
    """The Endpoints and the Service of one name (None: not there), and the mirroring slices."""

    endpoints: Obj | None
    service: Obj | None
    slices: tuple[Obj, ...]


def plan(seen: Observed) -> Plan:
    """The actions for `seen`: slices are reused by family and ports, the rest is deleted."""
    endpoints = seen.endpoints
    if endpoints is None or not mirror.is_mirrored(endpoints, seen.service):
        return Plan(tuple(_delete(s) for s in seen.slices))
    wanted, left_out = mirror.wanted(endpoints)
    unused = list(seen.slices)
    actions: list[Action] = []
    for want in wanted:
        match = next((s for s in unused if _fits(s, want)), None)
        if match is None:
            actions.append(Create(mirror.RESOURCE, mirror.render(endpoints, want)))
        else:
            unused.remove(match)
            actions += _update(endpoints, match, want)
    actions += [_delete(s) for s in unused]
    if actions and left_out:
        actions.append(_too_many(endpoints, left_out))
    return Plan(tuple(actions))


def _fits(slice_: Obj, want: Wanted) -> bool:
    same_family = slice_.get("addressType") == want.family
    return same_family and mirror.ports_of(slice_) == want.ports


def _update(endpoints: Obj, stored: Obj, want: Wanted) -> list[Action]:
    labels, annotations = mirror.labels(endpoints), mirror.annotations(endpoints)
    if (
        list(stored.get("endpoints") or ()) == want.endpoints
        and dict(meta.labels_of(stored)) == labels
        and dict(meta.annotations_of(stored)) == annotations
    ):
        return []
    metadata = {**stored["metadata"], "labels": labels, "annotations": annotations}
    body = {**stored, "metadata": metadata, "endpoints": want.endpoints}
    return [Update(mirror.RESOURCE, body)]


def _delete(stored: Obj) -> Delete:
    name, namespace = meta.name_of(stored), meta.namespace_of(stored)
    return Delete(mirror.RESOURCE, namespace, name, uid=meta.uid_of(stored))


def _too_many(endpoints: Obj, left_out: int) -> Emit:
    message = (
        f"A max of {mirror.ADDRESSES_MAX} addresses can be mirrored to EndpointSlices per "
        f"Endpoints subset. {left_out} addresses were skipped"
    )
    return Emit(endpoints, "Warning", "TooManyAddressesToMirror", message)
