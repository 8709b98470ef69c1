"""Judges which pods Services name: in EndpointSlices as they are written, in DNS at rest.

- No slice takes up a pod as ready that was not Ready (unless its Service publishes all), nor any
  pod that is gone, nor an address that is not the pod's.
- DNS answers for each member of a headless Service with its own address and nobody else's, and
  for nobody who is not Ready (unless its Service publishes all), or has finished.
"""

import ipaddress
from collections.abc import Callable, Iterator

import orjson

from petset.api import meta, selectors
from petset.api.meta import Obj
from petset.dns import answer, wire
from petset.dns.index import Index
from petset.reconcile import podtemplate
from petset.testing.past import Past, is_healthy, pod_key
from petset.testing.wire import Asked
from petset.testing.world import World

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_LABEL = "kubernetes.io/service-name"
ZONE = "cluster.local"


class Names:
    """Tells `fault` of each slice that names somebody it must not name."""

    def __init__(self, past: Past, fault: Callable[[str], None]) -> None:
        self._past = past
        self._fault = fault

    def judge(self, asked: Asked) -> None:
        """Look at a request as it reaches the server."""
        if asked.who != "endpointslice" or asked.method not in ("POST", "PUT"):
            return
        if "/endpointslices" not in asked.path:
            return
        found = orjson.loads(asked.body)
        since = self._past.since("pods", "services")
        namespace = meta.namespace_of(found)
        service = meta.labels_of(found).get(SERVICE_LABEL, "")
        services = self._past.states(f"services/{namespace}/{service}", since)
        every = any(s is None or s["spec"].get("publishNotReadyAddresses") for s in services)
        for endpoint in found.get("endpoints") or ():
            if why := self._wrong(namespace, endpoint, since, every=every):
                self._fault(f"the service {namespace}/{service} names {why}")

    def _wrong(self, namespace: str, endpoint: Obj, since: float, *, every: bool) -> str:
        target = endpoint.get("targetRef") or {}
        name = str(target.get("name"))
        states = [
            state
            for state in self._past.states(pod_key(namespace, name), since)
            if state is not None and meta.uid_of(state) == target.get("uid")
        ]
        if not states:
            return f"{name}, which is gone"
        if not any(set(endpoint["addresses"]) <= _addresses(state) for state in states):
            return f"{name} with the addresses {endpoint['addresses']}, which it has not"
        conditions = endpoint.get("conditions") or {}
        if conditions.get("ready") and not every and not any(map(is_healthy, states)):
            return f"{name}, which is not Ready, as ready"
        return ""


def faults(world: World) -> Iterator[str]:
    """What DNS would say wrongly in a settled world."""
    services = [s for s in world.objects("services", "default") if s["spec"].get("selector")]
    parts = world.objects(SLICES, "default")
    index = Index(ZONE)
    for service in services:
        name = meta.name_of(service)
        own = [p for p in parts if meta.labels_of(p).get(SERVICE_LABEL) == name]
        index.update(("default", name), service, own)
    for service in services:
        if service["spec"].get("clusterIP") == "None":
            yield from _members(world, service, index)


def _members(world: World, service: Obj, index: Index) -> Iterator[str]:
    name, every = meta.name_of(service), service["spec"].get("publishNotReadyAddresses")
    matches = selectors.from_object({"matchLabels": service["spec"]["selector"]}).matches
    whole: set[str] = set()
    for pod in world.objects("pods", "default"):
        own = _addresses(pod)
        alive = is_healthy(pod) or (every and not podtemplate.is_finished(pod))
        listed = matches(meta.labels_of(pod)) and alive
        whole |= own if listed else set()
        if pod["spec"].get("subdomain") != name or not pod["spec"].get("hostname"):
            continue
        told = _ask(index, f"{meta.name_of(pod)}.{name}")
        if told != (own if listed else set()):
            wanted = sorted(own) if listed else "not in it"
            yield f"DNS says {sorted(told)} of {meta.key_of(pod)}, which is {wanted}"
    if (told := _ask(index, name)) != whole:
        yield f"DNS says {sorted(told)} of the service {name}, truly {sorted(whole)}"


def _ask(index: Index, name: str) -> set[str]:
    asked = wire.name_of(f"{name}.default.svc.{ZONE}")
    reply = answer.answer(index.zone, asked, wire.A)
    records = () if reply is None else reply.sections.answers
    return {str(ipaddress.ip_address(record.data)) for record in records if record.type == wire.A}


def _addresses(pod: Obj) -> set[str]:
    status = pod.get("status") or {}
    several = {entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")}
    return several | ({status["podIP"]} if status.get("podIP") else set())
