"""The Endpoints object of a service: its older, single-object form. Pure."""

from collections.abc import Sequence

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

RESOURCE = "endpoints"
MANAGED_LABEL = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
CAPACITY_ANNOTATION = "endpoints.kubernetes.io/over-capacity"
ADDRESSES_MAX = 1000


def is_ours(endpoints: Obj) -> bool:
    """Whether this controller made the object."""
    return meta.labels_of(endpoints).get(MANAGED_LABEL) == MANAGER


def plan_endpoints(
    service: Obj, wanted: Sequence[Endpoint], stored: Obj | None, now: float
) -> list[Action]:
    """The write that makes the Endpoints object tell `wanted`."""
    shown = [e for e in wanted if e.ready or not e.terminating]
    over = len(shown) > ADDRESSES_MAX
    if over:  # the ready ones first
        shown.sort(key=lambda e: not e.ready)
    subsets = _subsets(service, shown[:ADDRESSES_MAX])
    labels = {**meta.labels_of(service), MANAGED_LABEL: MANAGER}
    labels.pop(HEADLESS_LABEL, None)
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    annotations = dict(meta.annotations_of(stored or {}))
    annotations.pop(CAPACITY_ANNOTATION, None)
    if over:
        annotations[CAPACITY_ANNOTATION] = "truncated"
    if stored is not None and _is_same(stored, subsets, labels, over=over):
        return []
    annotations[CHANGED_ANNOTATION] = meta.format_time(now)
    if stored is None:
        new: MutableObj = {
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": {
                "name": meta.name_of(service),
                "namespace": meta.namespace_of(service),
                "labels": labels,
                "annotations": annotations,
            },
        }
        return [Create(RESOURCE, {**new, "subsets": subsets} if subsets else new)]
    metadata = {**stored["metadata"], "labels": labels, "annotations": annotations}
    body = {k: v for k, v in stored.items() if k != "subsets"} | {"metadata": metadata}
    return [Update(RESOURCE, {**body, "subsets": subsets} if subsets else body)]


def delete(stored: Obj) -> Delete:
    """Delete the object."""
    return Delete(
        RESOURCE, meta.namespace_of(stored), meta.name_of(stored), uid=meta.uid_of(stored)
    )


def _is_same(stored: Obj, subsets: list[MutableObj], labels: Obj, *, over: bool) -> bool:
    return (
        list(stored.get("subsets") or ()) == subsets
        and meta.labels_of(stored) == labels
        and (CAPACITY_ANNOTATION in meta.annotations_of(stored)) is over
    )


def _subsets(service: Obj, shown: Sequence[Endpoint]) -> list[MutableObj]:
    groups: dict[Ports, list[Endpoint]] = {}
    portless = not (service.get("spec") or {}).get("ports")
    for endpoint in shown:
        if endpoint.ports or portless:
            groups.setdefault(endpoint.ports, []).append(endpoint)
    return [_subset(ports, groups[ports]) for ports in sorted(groups)]


def _subset(ports: Ports, endpoints: Sequence[Endpoint]) -> MutableObj:
    made: MutableObj = {}
    ordered = sorted(endpoints, key=lambda e: (e.address, meta.uid_of(e.pod)))
    if ready := [_address(e) for e in ordered if e.ready]:
        made["addresses"] = ready
    if waiting := [_address(e) for e in ordered if not e.ready]:
        made["notReadyAddresses"] = waiting
    if ports:
        made["ports"] = [_port(p) for p in ports]
    return made


def _port(port: tuple[str, str, int, str]) -> MutableObj:
    name, protocol, number, app = port
    made: MutableObj = {"name": name} if name else {}
    made |= {"port": number, "protocol": protocol}
    return made | ({"appProtocol": app} if app else {})


def _address(endpoint: Endpoint) -> MutableObj:
    made: MutableObj = {"ip": endpoint.address}
    if endpoint.hostname:
        made["hostname"] = endpoint.hostname
    if endpoint.node:
        made["nodeName"] = endpoint.node
    return made | {"targetRef": endpoint.target}
