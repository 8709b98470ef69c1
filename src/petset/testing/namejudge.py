"""Judges DNS, Service rules and EndpointSlices at every step of a world.

- What a node's DNS answers is what its caches say, at once: nobody who was told not Ready.
- A member's name is never answered with an address that no pod of that name ever had.
- One hostname has one address, but for pods on their way out.
- While nothing is broken, slices follow the pods, and nodes the slices, within the lag that the
  world imposes; DNS without more, the Service rules after the proxy's pause.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

import orjson

from petset.api import meta
from petset.api.meta import Obj
from petset.base.http import Response
from petset.dns import wire
from petset.dns.local import SLICES
from petset.store.types import Event
from petset.testing import namerest, truth
from petset.testing.breakable import CONTROL_WIRE, BreakableWorld
from petset.testing.nodenames import ZONE, NodeNames
from petset.testing.nodes import FakeNode
from petset.testing.past import Past, pod_key
from petset.testing.truth import Member
from petset.testing.wire import Asked, Wire
from petset.testing.world import node_identity

CALM_S = 12.0
"""So long after trouble all retries are over, those of watches that back off (10 s) included."""

SPARE_S = 0.05
"""Added to each limit: the proxy's pause is in it."""

REQUESTS = 12
"""Ways over the wire, and syncs of the disk, between a pod's change and the slice's at most: a plan
under way (two writes, and their return), and this one."""


class NameJudge:
    """Tells `fault` of each wrong answer.

    Attributes:
        nodes: DNS and rules of each node.
    """

    def __init__(self, world: BreakableWorld, past: Past, fault: Callable[[str], None]) -> None:
        self.nodes: list[NodeNames] = []
        self._world = world
        self._past = past
        self._fault = fault
        self._had: dict[str, set[str]] = {}
        self._services = {meta.key_of(s): s for s in world.objects("services")}
        self._slices: dict[str, dict[str, Obj]] = {}
        for part in world.objects(SLICES):
            self._slices.setdefault(truth.service_of(part), {})[meta.key_of(part)] = part
        self._shown: dict[str, object] = {}
        self._arrivals: dict[str, float] = {}
        self._changed: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._refused_at = -CALM_S
        self._named_at = 0.0
        world.listeners.append(self._on_events)
        world.heard.append(self._on_heard)

    def follow(self, node: FakeNode) -> None:
        """Give a node that was made just now DNS and Service rules."""
        client = self._world.wires[node.name].client(node_identity(node.name), "names")
        names = NodeNames(node.name, client, self._on_known)
        node.beside = names.run
        self.nodes.append(names)

    def at_rest(self) -> Iterator[str]:
        """What nodes tell wrongly in a settled world."""
        named = self._past.named("pods/")
        return namerest.faults(self._world, self.nodes, named)

    # -- what a node knows ------------------------------------------------------------------------

    def _on_known(self, names: NodeNames, resource: str, old: Obj | None, new: Obj | None) -> None:
        """A node has heard of a change: its DNS says so at once."""
        if not names.ready:
            return
        if resource == SLICES:
            touched = _touched(old, new)
            for key in {truth.service_of(p) for p in (old, new) if p is not None and touched}:
                self._compare(names, key, touched)
        else:
            self._compare(names, meta.key_of(new or old or {}), None)

    def _compare(self, names: NodeNames, key: str, touched: set[str] | None) -> None:
        """Compare answers with what the caches say; of all members if `touched` is None."""
        namespace, _, name = key.partition("/")
        service = names.services.get(namespace, name)
        slices = names.slices.by_index("dns-service", key)
        members = list(truth.from_slices(slices))
        listed = truth.answered(service, members)
        below = f"{name}.{namespace}.svc.{ZONE}"
        self._expect(names, below, truth.addresses(service, members))
        labels = {member.label for member in members} if touched is None else touched
        for label in sorted(labels):
            own = {member.address for member in listed if member.label == label}
            self._expect(names, f"{label}.{below}", own)
        self._look_back(names, namespace, [m for m in _own(slices) if m in listed])

    def _expect(self, names: NodeNames, name: str, wanted: set[str]) -> None:
        told = names.ask(name, wire.A)
        if told is None or told.texts != wanted:
            got = "nothing" if told is None else sorted(told.texts)
            self._fault(f"{names.name} was told {sorted(wanted)} of {name}, its DNS says {got}")

    def _look_back(self, names: NodeNames, namespace: str, listed: Sequence[Member]) -> None:
        for member in listed:
            if member.hostname:
                had = self._had.get(pod_key(namespace, member.hostname), set())
                if member.address not in had:
                    self._fault(
                        f"DNS of {names.name} says {member.address} of {member.hostname}, "
                        f"which has never had it"
                    )

    # -- what the store says ----------------------------------------------------------------------

    def _on_events(self, events: Sequence[Event]) -> None:
        now = asyncio.get_running_loop().time()
        for event in events:
            resource, _, key = event.key.partition("/")
            if resource == "pods":
                self._note_pod(event.key, now)
            elif resource == "services":
                self._note_service(key, event)
                self._look_later(key, now)
            elif resource == SLICES:
                self._note_slice(key, event)
            else:
                continue
            arrival = self._arrival(resource, now)
            if resource != "pods":
                self._named_at = now
                when = arrival + SPARE_S
                loop = asyncio.get_running_loop()
                loop.call_at(when, self._arrived, event, now)

    def _arrival(self, resource: str, now: float) -> float:
        """When the last change of a resource has come to everybody: each may be late after the
        one before."""
        last = max(self._arrivals.get(resource, 0.0), now) + self._world.lag_s
        self._arrivals[resource] = last
        return last

    def _note_pod(self, key: str, now: float) -> None:
        pod = self._past.now(key)
        namespace, shown = key.split("/")[1], None
        if pod is not None:
            status = pod.get("status") or {}
            listed = {entry["ip"] for entry in status.get("podIPs") or ()}
            self._had.setdefault(key, set()).update(listed)
            well, going = meta.is_condition_true(pod, "Ready"), meta.is_deleting(pod)
            shown = (
                meta.uid_of(pod),
                listed,
                going,
                well,
                status.get("phase"),
                meta.labels_of(pod),
            )
        if shown != self._shown.get(key):
            self._shown[key] = shown
            for name, service in self._services.items():
                if truth.selector_of(service) and name.startswith(f"{namespace}/"):
                    self._look_later(name, now)

    def _note_service(self, key: str, event: Event) -> None:
        if event.deleted:
            self._services.pop(key, None)
        else:
            self._services[key] = orjson.loads(event.value)

    def _note_slice(self, key: str, event: Event) -> None:
        for known in self._slices.values():
            known.pop(key, None)
        if event.deleted:
            return
        part = orjson.loads(event.value)
        found = self._slices.setdefault(truth.service_of(part), {})
        found[key] = part
        if truth.is_own(part):
            self._one_address_each(meta.namespace_of(part), _own(found.values()))

    def _one_address_each(self, namespace: str, members: Iterator[Member]) -> None:
        seen: dict[str, Member] = {}
        for member in members:
            other = seen.get(member.hostname)
            if not member.hostname or not self._stays(namespace, member):
                continue
            if other is not None and other.address != member.address:
                told = f"{other.address} and {member.address}"
                self._fault(f"slices name {told} for {namespace}/{member.hostname}")
            seen[member.hostname] = member

    def _stays(self, namespace: str, member: Member) -> bool:
        """Whether the pod is there, and not on its way out."""
        name, _, uid = member.pod.partition(" ")
        pod = self._past.now(pod_key(namespace, name))
        return pod is not None and meta.uid_of(pod) == uid and not meta.is_deleting(pod)

    # -- in time ----------------------------------------------------------------------------------

    def _on_heard(self, asked: Asked, answer: Response) -> None:
        if asked.who == "endpointslice" and answer.status >= 400:
            self._refused_at = asyncio.get_running_loop().time()

    def _look_later(self, key: str, now: float) -> None:
        """Compare slices with pods when they have had the time that the world imposes."""
        ways = REQUESTS * (self._world.lag_s + 2 * self._world.disk_s)
        armed = key in self._due
        arrival = max((now, *(self._arrivals.get(r, now) for r in ("pods", "services", SLICES))))
        self._due[key] = arrival + self._world.lag_s + ways + SPARE_S
        self._changed[key] = now
        if not armed:
            asyncio.get_running_loop().call_at(self._due[key], self._look, key)

    def _look(self, key: str) -> None:
        loop = asyncio.get_running_loop()
        if self._due[key] > loop.time():
            loop.call_at(self._due[key], self._look, key)
            return
        del self._due[key]
        changed, service = self._changed[key], self._services.get(key)
        if not _calm(self._world.wires[CONTROL_WIRE], changed):
            return
        if self._refused_at + CALM_S > changed:
            return
        if service is None or not truth.selector_of(service):
            return
        namespace = meta.namespace_of(service)
        pods = (self._past.now(k) for k in self._past.named(pod_key(namespace, "")))
        wanted = set(truth.from_pods(service, (p for p in pods if p is not None)))
        found = set(_own(self._slices.get(key, {}).values()))
        if wanted != found:
            self._fault(
                f"slices of {key} do not follow after {loop.time() - changed:.3f} s: "
                f"{_difference(found, wanted)}"
            )

    def _arrived(self, event: Event, since: float) -> None:
        """What the store said at `since` has come to every node that nothing happened to."""
        resource, namespace, name = event.key.split("/")
        gone = self._world.store.get(event.key) is None
        for names in self.nodes:
            if not self._is_calm(names, since):
                continue
            cache = names.slices if resource == SLICES else names.services
            known = cache.get(namespace, name)
            if known is None:
                missed = not gone and not event.deleted
            else:
                missed = int(meta.version_of(known)) < event.revision
            if missed:
                self._fault(f"{names.name} has not heard of {event.key} at {event.revision}")
        if self._named_at == since:  # else a later change is under way
            self._compare_rules(since)

    def _is_calm(self, names: NodeNames, since: float) -> bool:
        there = names.ready and names.began_at + CALM_S <= since
        return there and _calm(self._world.wires[names.name], since)

    def _compare_rules(self, since: float) -> None:
        for names in self.nodes:
            if self._is_calm(names, since):
                for text in namerest.wrong_rules(names, self._services, self._slices):
                    self._fault(text)


def _calm(way: Wire, since: float) -> bool:
    """Whether nothing has happened to a process from well before `since` on."""
    return not way.dead and not way.apart and way.troubled_at + CALM_S <= since


def _own(slices: Iterable[Obj]) -> Iterator[Member]:
    return truth.from_slices(part for part in slices if truth.is_own(part))


def _touched(old: Obj | None, new: Obj | None) -> set[str]:
    """Names of the members of which a change of a slice may change what DNS answers."""
    before, after = (
        {(m.label, m.address, m.ready) for m in truth.from_slices([p] if p else [])}
        for p in (old, new)
    )
    return {label for label, _, _ in before ^ after}


def _difference(found: set[Member], wanted: set[Member]) -> str:
    return f"named {sorted(found - wanted)}, missing {sorted(wanted - found)}"
