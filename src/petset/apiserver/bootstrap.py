"""The objects that every cluster starts with. Existing ones are left alone.

Some are put back whenever they are gone: `kubectl delete all --all` takes the Service by which pods
find the server with it.
"""

import asyncio
import contextlib
import logging
from typing import Any

from petset.api.behaviours import behaviour
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, format_time
from petset.api.registry import by_api_version
from petset.apiserver import objects
from petset.apiserver.call import Backend
from petset.store.types import ConflictError, StoreError

PAUSE_S = 1.0
"""How long something is gone before it is put back (upstream: up to 10 s), and between attempts."""

KEPT = (
    "namespaces//kube-",
    "services/default/kubernetes",
    "endpoints/default/kubernetes",
    "endpointslices.discovery.k8s.io/default/kubernetes",
)
"""Beginnings of the keys of what is put back."""

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
PRIORITIES = (
    ("system-cluster-critical", 2_000_000_000, "Used for system critical pods that must run."),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
)

_log = logging.getLogger(__name__)


def initial(backend: Backend) -> list[MutableObj]:
    """The objects of a new cluster, in the order in which they are made."""
    config = backend.config
    found = [namespace(name) for name in SYSTEM_NAMESPACES]
    found += [priority_class(*one) for one in PRIORITIES]
    found += [
        storage_class("standard", "petset.dev/directory", "Immediate", default=True),
        storage_class("local", "petset.dev/local", "WaitForFirstConsumer", default=False),
        *_way_in(backend),
    ]
    if config.cluster_dns:
        found.append(dns_service(config.cluster_dns))
    return found


def _way_in(backend: Backend) -> list[MutableObj]:
    """What pods find the server by."""
    config = backend.config
    return [
        kubernetes_service(backend.services.first, config.secure_port),
        *kubernetes_endpoints(config.advertise_address, config.secure_port),
    ]


async def make(backend: Backend) -> None:
    """Create what is missing, then update the address of the server itself."""
    await _ensure(backend, initial(backend))


async def keep(backend: Backend) -> None:
    """Put back what pods find the server by, and namespaces, for as long as the server runs."""
    touched = asyncio.Event()
    with contextlib.ExitStack() as stack:
        for prefix in KEPT:
            stack.callback(backend.store.subscribe(prefix, lambda _: touched.set()))
        while True:
            await touched.wait()
            await asyncio.sleep(PAUSE_S)
            touched.clear()
            try:
                there = await _ensure(backend, _kept(backend))
            except StoreError as error:
                _log.warning("objects of the system cannot be put back: %s", error)
                there = False
            if not there:
                touched.set()


def _kept(backend: Backend) -> list[MutableObj]:
    return [*(namespace(name) for name in SYSTEM_NAMESPACES), *_way_in(backend)]


async def _ensure(backend: Backend, wanted: list[MutableObj]) -> bool:
    """Whether all of it is there now."""
    there = True
    for obj in wanted:
        try:
            await _create(backend, obj)
        except StatusError as error:  # somebody has the address
            _log.warning("%s %s is missing: %s", obj["kind"], obj["metadata"]["name"], error)
            there = False
    for obj in kubernetes_endpoints(backend.config.advertise_address, backend.config.secure_port):
        await _refresh(backend, obj)
    return there


async def _create(backend: Backend, obj: MutableObj) -> None:
    resource = by_api_version(obj["apiVersion"], obj["kind"])
    assert resource is not None, obj["kind"]
    kind = behaviour(resource.id)
    meta = obj["metadata"]
    key = f"{resource.id}/{meta.get('namespace', '')}/{meta['name']}"
    if backend.store.head(key) is not None:
        return
    meta["uid"] = backend.ids.uid()
    meta["creationTimestamp"] = format_time(backend.clock.now())
    status = obj.pop("status", None)
    kind.default(obj)
    kind.prepare_create(obj)
    if kind.generation:
        meta["generation"] = 1
    if status is not None:
        obj["status"] = status
    try:
        with backend.services.reserve(resource.id, obj, None) as final:
            await backend.store.put(key, objects.maker(final), expect=0)
    except ConflictError:
        return


async def _refresh(backend: Backend, wanted: MutableObj) -> None:
    resource = by_api_version(wanted["apiVersion"], wanted["kind"])
    assert resource is not None, wanted["kind"]
    item = backend.store.head(f"{resource.id}/default/kubernetes")
    if item is None:
        return
    present = objects.decode(item.value)
    changed = {**present, **{k: v for k, v in wanted.items() if k != "metadata"}}
    behaviour(resource.id).default(changed)
    if changed != present:
        await backend.store.put(item.key, objects.maker(changed), expect=item.revision)


def namespace(name: str) -> MutableObj:
    """A Namespace as the server itself makes it."""
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def priority_class(name: str, value: int, description: str) -> MutableObj:
    """One of the system's priority classes."""
    return {
        "kind": "PriorityClass",
        "apiVersion": "scheduling.k8s.io/v1",
        "metadata": {"name": name},
        "value": value,
        "description": description,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def storage_class(name: str, provisioner: str, binding: str, *, default: bool) -> MutableObj:
    """A class of volumes that petset itself provisions."""
    meta: dict[str, Any] = {"name": name}
    if default:
        meta["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "kind": "StorageClass",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": meta,
        "provisioner": provisioner,
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
        "volumeBindingMode": binding,
    }


def kubernetes_service(address: str, port: int) -> MutableObj:
    """The Service by which pods find the server."""
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
        },
        "status": {"loadBalancer": {}},
    }


def kubernetes_endpoints(address: str, port: int) -> list[MutableObj]:
    """Where that Service leads: the server's own address."""
    meta = {"name": "kubernetes", "namespace": "default"}
    mirror = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    return [
        {
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": {**meta, "labels": mirror},
            "subsets": [
                {
                    "addresses": [{"ip": address}],
                    "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
                }
            ],
        },
        {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        },
    ]


def dns_service(address: str) -> MutableObj:
    """The cluster's name server: nodes answer at this address themselves."""
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [
                {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53},
                {"name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 53},
            ],
        },
        "status": {"loadBalancer": {}},
    }
