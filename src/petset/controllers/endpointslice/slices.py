"""EndpointSlices of a service: what has to be created, replaced and deleted. Pure.

Endpoints stay in the slice where they are; new ones fill the slices that have room, first those
that change anyway; at most 100 in each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.endpointslice.endpoint import (
    CHANGED_ANNOTATION,
    HEADLESS_LABEL,
    Endpoint,
    Ports,
    is_headless,
)
from petset.reconcile.actions import Action, Create, Delete, Update

RESOURCE = "endpointslices.discovery.k8s.io"
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ENDPOINTS_MAX = 100


@dataclass(slots=True)
class _Draft:
    """A slice in the making; `stored` is None for a new one."""

    stored: Obj | None
    endpoints: list[MutableObj] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether its endpoints are not the stored ones."""
        return self.stored is None or self.endpoints != list(self.stored.get("endpoints") or ())


def is_ours(slice_: Obj) -> bool:
    """Whether this controller made the slice."""
    return meta.labels_of(slice_).get(MANAGED_LABEL) == MANAGER


def plan_family(
    service: Obj, family: str, wanted: Sequence[Endpoint], stored: Sequence[Obj], now: float
) -> list[Action]:
    """The writes that make the slices of one address family tell `wanted`."""
    groups: dict[Ports, list[Endpoint]] = {}
    for endpoint in wanted:
        groups.setdefault(endpoint.ports, []).append(endpoint)
    drafts: list[tuple[Ports, _Draft]] = []
    unused = list(stored)
    for ports, endpoints in groups.items():
        mine = [s for s in unused if _same_ports(s, ports)]
        unused = [s for s in unused if s not in mine]
        drafts += [(ports, draft) for draft in _fill(endpoints, mine)]
    empty = [draft for _, draft in drafts if not draft.endpoints]
    unused += [draft.stored for draft in empty if draft.stored is not None]
    drafts = [(ports, draft) for ports, draft in drafts if draft.endpoints]
    if not drafts:  # one empty slice tells that there is nothing
        drafts = [((), _Draft(next(iter(unused), None)))]
        unused = unused[1:]
    actions: list[Action] = []
    for ports, draft in drafts:
        actions += _write(service, family, ports, draft, now)
    return actions + [_delete(slice_) for slice_ in unused]


def delete_all(stored: Iterable[Obj]) -> list[Action]:
    """Delete these slices."""
    return [_delete(slice_) for slice_ in stored]


def _fill(wanted: Sequence[Endpoint], stored: Sequence[Obj]) -> list[_Draft]:
    rest = {meta.uid_of(e.pod): _render(e) for e in wanted}
    drafts = []
    for slice_ in stored:
        draft = _Draft(slice_)
        for old in slice_.get("endpoints") or ():
            new = rest.pop((old.get("targetRef") or {}).get("uid") or "", None)
            if new is not None:
                draft.endpoints.append(new)
        drafts.append(draft)
    fresh = list(rest.values())
    by_change = sorted(drafts, key=lambda d: (not d.changed, -len(d.endpoints)))
    for draft in by_change if fresh else ():
        room = ENDPOINTS_MAX - len(draft.endpoints)
        draft.endpoints += fresh[:room]
        fresh = fresh[room:]
    while fresh:
        drafts.append(_Draft(None, fresh[:ENDPOINTS_MAX]))
        fresh = fresh[ENDPOINTS_MAX:]
    return drafts


def _write(service: Obj, family: str, ports: Ports, draft: _Draft, now: float) -> list[Action]:
    slice_ = draft.stored
    labels = {
        **meta.labels_of(service),
        SERVICE_LABEL: meta.name_of(service),
        MANAGED_LABEL: MANAGER,
    }
    labels.pop(HEADLESS_LABEL, None)
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    body: MutableObj = {"endpoints": draft.endpoints, "ports": [_port(p) for p in ports]}
    changed = {CHANGED_ANNOTATION: meta.format_time(now)}
    if slice_ is None:
        metadata: MutableObj = {
            "generateName": f"{meta.name_of(service)}-",
            "namespace": meta.namespace_of(service),
            "labels": labels,
            "annotations": changed,
            "ownerReferences": [meta.owner_reference(service, api_version="v1", kind="Service")],
        }
        new = {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": metadata,
            "addressType": family,
            **body,
        }
        return [Create(RESOURCE, new)]
    same_ports = _same_ports(slice_, ports)
    if not draft.changed and same_ports and meta.labels_of(slice_) == labels:
        return []
    annotations = {**meta.annotations_of(slice_), **changed}
    metadata = {**slice_["metadata"], "labels": labels, "annotations": annotations}
    return [Update(RESOURCE, {**slice_, "metadata": metadata, **body})]


def _delete(slice_: Obj) -> Delete:
    return Delete(
        RESOURCE, meta.namespace_of(slice_), meta.name_of(slice_), uid=meta.uid_of(slice_)
    )


def _same_ports(slice_: Obj, ports: Ports) -> bool:
    stored = [
        (p.get("name") or "", p.get("protocol") or "TCP", p.get("port"), p.get("appProtocol") or "")
        for p in slice_.get("ports") or ()
    ]
    return sorted(stored) == sorted(ports)


def _port(port: tuple[str, str, int, str]) -> MutableObj:
    name, protocol, number, app = port
    made: MutableObj = {"name": name, "protocol": protocol, "port": number}
    if app:
        made["appProtocol"] = app
    return made


def _render(endpoint: Endpoint) -> MutableObj:
    made: MutableObj = {
        "addresses": [endpoint.address],
        "conditions": {
            "ready": endpoint.ready,
            "serving": endpoint.serving,
            "terminating": endpoint.terminating,
        },
    }
    if endpoint.hostname:
        made["hostname"] = endpoint.hostname
    made["targetRef"] = endpoint.target
    if endpoint.node:
        made["nodeName"] = endpoint.node
    if endpoint.zone:
        made["zone"] = endpoint.zone
    return made
