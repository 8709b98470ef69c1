"""What to answer: names of Services, their endpoints and pods, by the Kubernetes DNS specification.

Pure: records are made from Services and EndpointSlices, answers from records. Upper and lower case
are the same; a name that exists without records of the type asked for is NOERROR without answers.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import Obj
from petset.dns import wire
from petset.dns.wire import Name, Record, Sections

TTL_S = 5
NEGATIVE_TTL_S = 1
"""TTL of negative answers: members appear within moments."""

SCHEMA_VERSION = "1.1.0"
TOLERATE = "service.alpha.kubernetes.io/tolerate-unready-endpoints"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Port:
    """A port: its name ("" for none), protocol in lower case, number."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address behind a headless Service, by the name it has below the Service's."""

    hostname: str
    address: Address
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class ServiceRecords:
    """All that DNS says about one Service: addresses of its own, endpoints, or another name."""

    addresses: tuple[Address, ...] = ()
    ports: tuple[Port, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    headless: bool = False
    external: Name = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `chase` is a name outside the zone that has to be looked up and added."""

    rcode: int
    sections: Sections
    chase: Name = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """The records of the cluster.

    Attributes:
        name: the zone's labels, ("cluster", "local").
        services: by (namespace, name).
        namespaces: how many Services each namespace has.
        reverse: names by address.
        networks: networks whose reverse names are answered here, known or not.
        server: this server's own address.
    """

    name: Name
    services: Mapping[tuple[str, str], ServiceRecords]
    namespaces: Mapping[str, int]
    reverse: Mapping[Address, Sequence[Name]]
    networks: Sequence[Network]
    server: Address


def _address(text: object) -> Address | None:
    try:
        return ipaddress.ip_address(str(text))
    except ValueError:
        return None


def _addresses(texts: Iterable[object]) -> tuple[Address, ...]:
    return tuple(a for a in map(_address, texts) if a is not None)


def _ports(raw: Iterable[Obj]) -> tuple[Port, ...]:
    return tuple(
        Port((p.get("name") or "").lower(), (p.get("protocol") or "TCP").lower(), p["port"])
        for p in raw
        if p.get("port")
    )


def service_records(service: Obj, slices: Iterable[Obj]) -> ServiceRecords:
    """The records of a Service with its EndpointSlices."""
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return ServiceRecords(external=_target(spec.get("externalName") or ""))
    if spec.get("clusterIP") != "None":
        own = spec.get("clusterIPs") or (spec.get("clusterIP"),)
        return ServiceRecords(_addresses(own), _ports(spec.get("ports") or ()))
    unready = bool(spec.get("publishNotReadyAddresses")) or (
        meta.annotations_of(service).get(TOLERATE) == "true"
    )
    found: dict[tuple[str, Address], Endpoint] = {}
    for part in slices:
        ports = _ports(part.get("ports") or ())
        for raw in part.get("endpoints") or ():
            if unready or (raw.get("conditions") or {}).get("ready") in (None, True):
                _merge(found, raw, ports)
    return ServiceRecords(
        endpoints=tuple(found[key] for key in sorted(found, key=str)), headless=True
    )


def _target(text: str) -> Name:
    """The name that an ExternalName Service stands for; () for one that DNS cannot carry."""
    name = wire.name_of(text)
    try:
        wire.encode_name(name)
    except (wire.WireError, UnicodeEncodeError):
        return ()
    return name


def _merge(found: dict[tuple[str, Address], Endpoint], raw: Obj, ports: tuple[Port, ...]) -> None:
    for address in _addresses(raw.get("addresses") or ()):
        dashed = str(address).replace(".", "-").replace(":", "-")
        hostname = (raw.get("hostname") or dashed).lower()
        before = found.get((hostname, address))
        more = tuple(p for p in ports if before is None or p not in before.ports)
        all_ports = (before.ports if before else ()) + more
        found[hostname, address] = Endpoint(hostname, address, all_ports)


def reverse_names(
    zone: Name, namespace: str, name: str, records: ServiceRecords
) -> dict[Address, list[Name]]:
    """The names that the addresses of a Service answer to, asked backwards."""
    base = (name, namespace, "svc", *zone)
    names: dict[Address, list[Name]] = {address: [base] for address in records.addresses}
    for endpoint in records.endpoints:
        names.setdefault(endpoint.address, []).append((endpoint.hostname, *base))
    return names


def answer(zone: Zone, name: Name, kind: int) -> Reply | None:
    """The reply to a question; None when the name is none of ours and has to be forwarded."""
    size = len(zone.name)
    if name[-size:] == zone.name:
        return _in_zone(zone, name, kind)
    if name[-2:] in (("in-addr", "arpa"), ("ip6", "arpa")):
        return _backwards(zone, name, kind)
    if name[-1:] == ("localhost",):
        loopback = _addresses(("127.0.0.1", "::1"))
        return _found(zone, _hosts(name, loopback), kind)
    return None


def _in_zone(zone: Zone, name: Name, kind: int) -> Reply:
    match name[: -len(zone.name)]:
        case ():
            return _found(zone, [_soa(zone), _server_record(zone)], kind)
        case ("dns-version",):
            text = wire.txt_data(SCHEMA_VERSION)
            return _found(zone, [Record(name, wire.TXT, TTL_S, text)], kind)
        case ("ns", "dns"):
            return _found(zone, _hosts(name, (zone.server,)), kind)
        case ("svc",) | ("pod",) | ("dns",):
            return _found(zone, [], kind)
        case (namespace, "svc") | (namespace, "pod") if namespace in zone.namespaces:
            return _found(zone, [], kind)
        case (address, _, "pod"):
            return _pod(zone, name, address, kind)
        case (*rest, service, namespace, "svc"):
            records = zone.services.get((namespace, service))
            if records is not None:
                return _service(zone, (name, tuple(rest)), records, kind)
        case _:
            pass
    return _missing(zone)


def _service(zone: Zone, asked: tuple[Name, Name], records: ServiceRecords, kind: int) -> Reply:
    """`asked`: the whole name, and what of it stands before the Service's name."""
    name, rest = asked
    if records.external:
        return _external(zone, name, rest, records.external, kind)
    match rest:
        case ():
            hosts = records.addresses or tuple(e.address for e in records.endpoints)
            if records.headless and not hosts:
                return _missing(zone)
            return _found(zone, _hosts(name, hosts) + _srv(name, name, records, None), kind)
        case (port, protocol) if port[:1] == "_" == protocol[:1]:
            named = (port[1:], protocol[1:])  # ports without a name have no such records
            srv = _srv(name, name[2:], records, named) if port[1:] else []
            return _found(zone, srv, kind) if srv else _missing(zone)
        case (hostname,) if hostname in ("_tcp", "_udp", "_sctp"):
            known = any(p.protocol == hostname[1:] for p in _all_ports(records))
            return _found(zone, [], kind) if known else _missing(zone)
        case (hostname,):
            mine = tuple(e for e in records.endpoints if e.hostname == hostname)
            if mine:
                part = ServiceRecords(endpoints=mine, headless=True)
                hosts = tuple(e.address for e in mine)
                return _found(zone, _hosts(name, hosts) + _srv(name, name[1:], part, None), kind)
        case _:
            pass
    return _missing(zone)


def _all_ports(records: ServiceRecords) -> Iterable[Port]:
    yield from records.ports
    for endpoint in records.endpoints:
        yield from endpoint.ports


def _external(zone: Zone, name: Name, rest: Name, target: Name, kind: int) -> Reply:
    if rest:
        return _missing(zone)
    alias = Record(name, wire.CNAME, TTL_S, wire.encode_name(target))
    if kind == wire.CNAME:
        return Reply(wire.NOERROR, Sections((alias,)))
    return Reply(wire.NOERROR, Sections((alias,)), chase=target)


def _hosts(name: Name, addresses: Iterable[Address]) -> list[Record]:
    return [
        Record(name, wire.A if a.version == 4 else wire.AAAA, TTL_S, a.packed)
        for a in dict.fromkeys(addresses)
    ]


def _srv(
    name: Name, base: Name, records: ServiceRecords, wanted: tuple[str, str] | None
) -> list[Record]:
    """SRV records of a Service; `wanted` (port name, protocol), None for every port.

    Asked without a port, an endpoint without any is told with port 0: peers look for names only.
    """
    found = []
    if records.addresses:
        found = [
            Record(name, wire.SRV, TTL_S, wire.srv_data(p.number, base))
            for p in records.ports
            if _is_wanted(p, wanted)
        ]
    for endpoint in records.endpoints:
        target = (endpoint.hostname, *base)
        ports = [p.number for p in endpoint.ports if _is_wanted(p, wanted)]
        if not endpoint.ports and wanted is None:
            ports = [0]
        found += [Record(name, wire.SRV, TTL_S, wire.srv_data(n, target)) for n in ports]
    return found


def _is_wanted(port: Port, wanted: tuple[str, str] | None) -> bool:
    return wanted is None or (port.name, port.protocol) == wanted


def _pod(zone: Zone, name: Name, dashed: str, kind: int) -> Reply:
    address = _address(dashed.replace("-", ".")) or _address(dashed.replace("-", ":"))
    return _missing(zone) if address is None else _found(zone, _hosts(name, (address,)), kind)


def _backwards(zone: Zone, name: Name, kind: int) -> Reply | None:
    address = _address_backwards(name)
    if address is None:
        return None
    if names := zone.reverse.get(address):
        pointers = [Record(name, wire.PTR, TTL_S, wire.encode_name(n)) for n in names]
        return _found(zone, pointers, kind)
    if any(address.version == n.version and address in n for n in zone.networks):
        return _missing(zone)
    return None


def _address_backwards(name: Name) -> Address | None:
    digits = name[-3::-1]
    if name[-2] == "in-addr":
        return _address(".".join(digits)) if len(digits) == 4 else None
    if len(digits) != 32:
        return None
    text = "".join(digits)
    return _address(":".join(text[i : i + 4] for i in range(0, 32, 4)))


def _soa(zone: Zone) -> Record:
    data = wire.soa_data(zone.name, 1, NEGATIVE_TTL_S)
    return Record(zone.name, wire.SOA, NEGATIVE_TTL_S, data)


def _server_record(zone: Zone) -> Record:
    return Record(zone.name, wire.NS, TTL_S, wire.encode_name(("ns", "dns", *zone.name)))


def _found(zone: Zone, records: Sequence[Record], kind: int) -> Reply:
    """The records of the type asked for; none of them: the name exists, but not so."""
    chosen = [r for r in records if kind in (r.type, wire.ANY)]
    if not chosen:
        return Reply(wire.NOERROR, Sections(authority=(_soa(zone),)))
    extra: list[Record] = []
    if kind == wire.SRV:
        extra = _targets(zone, chosen)
    return Reply(wire.NOERROR, Sections(chosen, (), extra))


def _targets(zone: Zone, srv: Iterable[Record]) -> list[Record]:
    """Addresses of the targets of SRV records, so that nobody has to ask again."""
    found: list[Record] = []
    for target in dict.fromkeys(wire.read_name(r.data, 6)[0] for r in srv):
        for kind in (wire.A, wire.AAAA):
            reply = _in_zone(zone, target, kind)
            found += reply.sections.answers
    return found


def _missing(zone: Zone) -> Reply:
    return Reply(wire.NXDOMAIN, Sections(authority=(_soa(zone),)))
