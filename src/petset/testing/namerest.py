"""What every node has to tell of Services in a settled world: all that the rules say, and no more.

Members come from the pods where a Service has a selector, else from its slices.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from petset.api import meta
from petset.api.meta import Obj
from petset.dns import wire
from petset.dns.local import SLICES
from petset.testing import truth
from petset.testing.nodenames import ZONE, NodeNames
from petset.testing.truth import Member
from petset.testing.world import World

KUBERNETES = "default/kubernetes"
"""The server writes both forms itself."""

GONE = "is not there"

Answers = dict[tuple[str, int], set[str]]
"""What is to be answered, by name and type; nothing: the name does not exist."""


def faults(world: World, nodes: Sequence[NodeNames], named: Sequence[str]) -> Iterator[str]:
    """What nodes tell wrongly.

    Args:
        named: keys of pods that were ever there: who is gone has no name any more.
    """
    services = {meta.key_of(s): s for s in world.objects("services")}
    slices: dict[str, dict[str, Obj]] = defaultdict(dict)
    for part in world.objects(SLICES):
        slices[truth.service_of(part)][meta.key_of(part)] = part
    yield from _mirrors(world, services, slices)
    wanted = _wanted(world, services, slices, named)
    for names in nodes:
        if not names.ready:
            yield f"DNS of {names.name} does not answer"
            continue
        for (name, kind), texts in wanted.items():
            yield from _compare(names, name, kind, texts)
        yield from wrong_rules(names, services, slices)


def _mirrors(
    world: World, services: Mapping[str, Obj], slices: Mapping[str, Mapping[str, Obj]]
) -> Iterator[str]:
    """Slices have to tell what Endpoints tell whose Service selects nothing."""
    endpoints = {meta.key_of(e): e for e in world.objects("endpoints")}
    for key in sorted({*services, *slices, *endpoints}):
        service, written = services.get(key), endpoints.get(key)
        counts = service is not None and not truth.selector_of(service) and key != KUBERNETES
        wanted = set(truth.from_endpoints(written or {})) if counts else set()
        mirrored = filter(truth.is_mirror, slices.get(key, {}).values())
        if (found := set(truth.from_slices(mirrored))) != wanted:
            yield f"slices mirror {sorted(found)} of {key}, its Endpoints tell {sorted(wanted)}"


def _compare(names: NodeNames, name: str, kind: int, texts: set[str]) -> Iterator[str]:
    told = names.ask(name, kind)
    rcode = wire.NOERROR if texts else wire.NXDOMAIN
    if told is None or told.rcode != rcode or told.texts != texts:
        yield f"at rest DNS of {names.name} says {told} of {name}, truly {sorted(texts) or GONE}"


def _wanted(
    world: World,
    services: Mapping[str, Obj],
    slices: Mapping[str, Mapping[str, Obj]],
    named: Sequence[str],
) -> Answers:
    found: Answers = {}
    pointers: dict[str, set[str]] = defaultdict(set)
    pods = [key.partition("/")[2] for key in named]
    for key in {*services, *slices}:
        namespace, _, name = key.partition("/")
        service, below = services.get(key), f"{name}.{namespace}.svc.{ZONE}"
        for pod in pods:  # the names of all who ever were: most of them are gone
            if pod.startswith(f"{key}-"):
                found[f"{pod.partition('/')[2]}.{below}", wire.A] = set()
        members = list(truth.from_slices(slices.get(key, {}).values()))
        if service is not None and truth.selector_of(service):
            members = list(truth.from_pods(service, world.objects("pods", namespace)))
        listed = truth.answered(service, members)
        found[below, wire.A] = truth.addresses(service, members)
        for member in listed:
            own = f"{member.label}.{below}"
            found.setdefault((own, wire.A), set()).add(member.address)
            pointers[member.address].add(own)
        if service is not None and not truth.is_headless(service):
            pointers[service["spec"]["clusterIP"]].add(below)
        found |= _ports(service, below, listed)
    for address, texts in pointers.items():
        found[f"{'.'.join(reversed(address.split('.')))}.in-addr.arpa", wire.PTR] = texts
    return found


def _ports(service: Obj | None, below: str, listed: Sequence[Member]) -> Answers:
    """SRV records of named ports."""
    found: Answers = {}
    for port in [] if service is None else service["spec"].get("ports") or ():
        if not port.get("name"):
            continue
        protocol = port.get("protocol") or "TCP"
        place = f"_{port['name']}._{protocol.lower()}.{below}"
        texts = {
            f"{number} {member.label}.{below}"
            for member in listed
            for name, its, number in member.ports
            if (name, its) == (port["name"], protocol)
        }
        if service is not None and not truth.is_headless(service):
            texts = {f"{port['port']} {below}"}
        found[place, wire.SRV] = texts
    return found


def wrong_rules(
    names: NodeNames, services: Mapping[str, Obj], slices: Mapping[str, Mapping[str, Obj]]
) -> Iterator[str]:
    """What a node's Service rules do that the slices do not say."""
    wanted: dict[tuple[str, str, int], set[str]] = {}
    for key, service in services.items():
        wanted |= truth.rules(service, truth.from_slices(slices.get(key, {}).values()))
    found = {
        (rule.cluster_ip, rule.protocol, rule.port): {f"{t.address}:{t.port}" for t in rule.targets}
        for rule in names.rules
    }
    for place in sorted(wanted.keys() | found.keys()):
        if found.get(place) != wanted.get(place):
            yield (
                f"{names.name} leads {place} to {found.get(place)}, "
                f"the ready endpoints are {wanted.get(place)}"
            )
