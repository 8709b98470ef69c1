from typing import Any

import pytest
from dnslib import DNSRecord

from petset.dns import wire
from petset.dns.answer import answer
from petset.dns.index import Index
from tests.unit.dns.objects import endpoint, endpoint_slice, index_of, service

WEB = index_of(
    [
        service("nginx"),
        service("front", "10.96.3.4"),
        service("silent"),
        service("early", publishNotReadyAddresses=True),
        service("portless", ports=[]),
        service("unnamed", "10.96.3.5", ports=[{"port": 80, "protocol": "TCP"}]),
        service("out", "", type="ExternalName", externalName="Example.org"),
    ],
    [
        endpoint_slice(
            "nginx",
            endpoint("10.128.0.5", "web-0"),
            endpoint("10.128.1.5", "web-1"),
            endpoint("10.128.1.6", "web-2", ready=False),
            endpoint("10.128.1.7"),
        ),
        endpoint_slice("silent", endpoint("10.128.1.8", "db-0", ready=False)),
        endpoint_slice("early", endpoint("10.128.1.9", "db-0", ready=False)),
        endpoint_slice("portless", endpoint("10.128.1.10", "p-0"), ports=[]),
    ],
)


def ask(name: str, kind: str = "A", index: Index = WEB) -> Any:
    """The reply as another implementation reads it."""
    query = wire.parse(DNSRecord.question(name, kind).pack())
    reply = answer(index.zone, query.name, query.type)
    assert reply is not None
    return DNSRecord.parse(wire.encode(query, reply.rcode, reply.sections, limit=65535))


def data(reply: Any) -> list[str]:
    return sorted(str(record.rdata) for record in reply.rr)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("front.default.svc.cluster.local", "A", ["10.96.3.4"]),
        ("FRONT.Default.svc.CLUSTER.local", "A", ["10.96.3.4"]),
        ("front.default.svc.cluster.local", "AAAA", []),
        ("nginx.default.svc.cluster.local", "A", ["10.128.0.5", "10.128.1.5", "10.128.1.7"]),
        ("web-0.nginx.default.svc.cluster.local", "A", ["10.128.0.5"]),
        ("web-0.nginx.default.svc.cluster.local", "AAAA", []),
        ("10-128-1-7.nginx.default.svc.cluster.local", "A", ["10.128.1.7"]),
        ("db-0.early.default.svc.cluster.local", "A", ["10.128.1.9"]),
        (
            "_web._tcp.front.default.svc.cluster.local",
            "SRV",
            ["0 100 80 front.default.svc.cluster.local."],
        ),
        (
            "_web._tcp.nginx.default.svc.cluster.local",
            "SRV",
            [
                "0 100 80 10-128-1-7.nginx.default.svc.cluster.local.",
                "0 100 80 web-0.nginx.default.svc.cluster.local.",
                "0 100 80 web-1.nginx.default.svc.cluster.local.",
            ],
        ),
        (
            "portless.default.svc.cluster.local",
            "SRV",
            ["0 100 0 p-0.portless.default.svc.cluster.local."],
        ),
        ("5.0.128.10.in-addr.arpa", "PTR", ["web-0.nginx.default.svc.cluster.local."]),
        ("4.3.96.10.in-addr.arpa", "PTR", ["front.default.svc.cluster.local."]),
        ("out.default.svc.cluster.local", "CNAME", ["example.org."]),
        ("1-2-3-4.default.pod.cluster.local", "A", ["1.2.3.4"]),
        ("1-2-3-4.default.pod.cluster.local", "AAAA", []),
        ("dns-version.cluster.local", "TXT", ['"1.1.0"']),
        ("cluster.local", "NS", ["ns.dns.cluster.local."]),
        ("ns.dns.cluster.local", "A", ["10.96.0.10"]),
        ("default.svc.cluster.local", "A", []),
        ("localhost", "A", ["127.0.0.1"]),
    ],
)
def test_records_of_the_specification(name: str, kind: str, expected: list[str]) -> None:
    reply = ask(name, kind)
    assert (data(reply), reply.header.rcode) == (expected, 0)
    assert bool(reply.auth) is not bool(expected)


@pytest.mark.parametrize(
    "name",
    [
        "nobody.default.svc.cluster.local",
        "silent.default.svc.cluster.local",
        "web-2.nginx.default.svc.cluster.local",
        "db-0.silent.default.svc.cluster.local",
        "x.front.default.svc.cluster.local",
        "front.other.svc.cluster.local",
        "a.b.nginx.default.svc.cluster.local",
        "_http._tcp.front.default.svc.cluster.local",
        "_web._udp.front.default.svc.cluster.local",
        "_._tcp.unnamed.default.svc.cluster.local",
        "_._tcp.front.default.svc.cluster.local",
        "no-address.default.pod.cluster.local",
        "x.out.default.svc.cluster.local",
        "www.example.org.default.svc.cluster.local",
        "x.cluster.local",
        "9.9.128.10.in-addr.arpa",
        "1.0.29.172.in-addr.arpa",
    ],
)
def test_missing_names_are_denied_at_once_and_not_for_long(name: str) -> None:
    reply = ask(name)
    assert reply.header.rcode == wire.NXDOMAIN
    assert not reply.rr
    (soa,) = reply.auth
    assert soa.ttl <= 1
    assert soa.rdata.times[4] <= 1


@pytest.mark.parametrize("name", ["example.org", "web-0", "local", "8.8.8.8.in-addr.arpa", "arpa"])
def test_other_names_are_not_ours(name: str) -> None:
    assert answer(WEB.zone, wire.name_of(name), wire.A) is None


def test_ports_without_a_name_are_told_at_the_services_own_name() -> None:
    reply = ask("unnamed.default.svc.cluster.local", "SRV")
    assert data(reply) == ["0 100 80 unnamed.default.svc.cluster.local."]


def test_the_older_annotation_publishes_members_that_are_not_ready() -> None:
    patient = service("patient")
    slices = [endpoint_slice("patient", endpoint("10.128.0.5", "db-0", ready=False))]
    name = "db-0.patient.default.svc.cluster.local"
    assert ask(name, index=index_of([patient], slices)).header.rcode == wire.NXDOMAIN
    key = "service.alpha.kubernetes.io/tolerate-unready-endpoints"
    patient["metadata"]["annotations"] = {key: "true"}
    assert data(ask(name, index=index_of([patient], slices))) == ["10.128.0.5"]
    patient["metadata"]["annotations"] = {key: "false"}
    assert ask(name, index=index_of([patient], slices)).header.rcode == wire.NXDOMAIN


def test_an_endpoint_that_does_not_say_is_ready() -> None:
    slices = [endpoint_slice("by-hand", endpoint("10.9.9.9", "a", ready=None))]
    index = index_of([service("by-hand")], slices)
    assert data(ask("a.by-hand.default.svc.cluster.local", index=index)) == ["10.9.9.9"]


def test_members_of_one_name_are_told_together() -> None:
    parts = [endpoint("10.128.0.5", "same"), endpoint("10.128.0.6", "same")]
    index = index_of([service("pair")], [endpoint_slice("pair", *parts)])
    found = data(ask("same.pair.default.svc.cluster.local", index=index))
    assert found == ["10.128.0.5", "10.128.0.6"]


def test_ports_of_two_slices_of_one_member_are_joined() -> None:
    ports = [[{"name": n, "port": p, "protocol": "TCP"}] for n, p in (("sql", 1), ("mon", 2))]
    slices = [endpoint_slice("two", endpoint("10.128.0.5", "db-0"), ports=one) for one in ports]
    index = index_of([service("two")], slices)
    for port, number in (("sql", 1), ("mon", 2)):
        reply = ask(f"_{port}._tcp.two.default.svc.cluster.local", "SRV", index)
        assert data(reply) == [f"0 100 {number} db-0.two.default.svc.cluster.local."]
    assert data(ask("two.default.svc.cluster.local", index=index)) == ["10.128.0.5"]


def test_an_alias_asked_for_itself_is_not_chased() -> None:
    reply = answer(WEB.zone, wire.name_of("out.default.svc.cluster.local"), wire.CNAME)
    assert reply is not None
    assert reply.chase == ()
    assert len(reply.sections.answers) == 1


@pytest.mark.parametrize("digits", ["1.0.0", "1", "x" * 40, ".".join("0" * 31)])
def test_reverse_names_of_half_an_address_are_not_ours(digits: str) -> None:
    for family in ("in-addr", "ip6"):
        assert answer(WEB.zone, wire.name_of(f"{digits}.{family}.arpa"), wire.PTR) is None


def test_an_alias_out_of_the_zone_has_to_be_chased() -> None:
    reply = answer(WEB.zone, wire.name_of("out.default.svc.cluster.local"), wire.A)
    assert reply is not None
    assert reply.chase == ("example", "org")


def test_srv_answers_carry_the_addresses_of_their_targets() -> None:
    reply = ask("_web._tcp.nginx.default.svc.cluster.local", "SRV")
    assert sorted(str(r.rdata) for r in reply.ar) == ["10.128.0.5", "10.128.1.5", "10.128.1.7"]


def test_ipv6_reverse_names_are_read() -> None:
    index = index_of([service("six", "fd00::1")], [])
    digits = ".".join("fd000000000000000000000000000001"[::-1])
    assert data(ask(f"{digits}.ip6.arpa", "PTR", index)) == ["six.default.svc.cluster.local."]
    assert data(ask("six.default.svc.cluster.local", "AAAA", index)) == ["fd00::1"]


def test_an_index_forgets_what_is_gone() -> None:
    index = index_of([service("nginx")], [endpoint_slice("nginx", endpoint("10.128.0.5", "web-0"))])
    key = ("default", "nginx")
    moved = [endpoint_slice("nginx", endpoint("10.128.0.6", "web-0"))]
    assert index.update(key, service("nginx"), moved)
    assert not index.update(key, service("nginx"), moved)
    assert ask("5.0.128.10.in-addr.arpa", "PTR", index).header.rcode == wire.NXDOMAIN
    assert data(ask("web-0.nginx.default.svc.cluster.local", "A", index)) == ["10.128.0.6"]
    assert index.update(key, None, moved)
    assert ask("6.0.128.10.in-addr.arpa", "PTR", index).header.rcode == wire.NXDOMAIN
    assert ask("default.svc.cluster.local", "A", index).header.rcode == wire.NXDOMAIN


def test_two_services_of_one_address_are_both_told() -> None:
    slices = [endpoint_slice(n, endpoint("10.128.0.5", "web-0")) for n in ("a", "b")]
    index = index_of([service("a"), service("b")], slices)
    assert data(ask("5.0.128.10.in-addr.arpa", "PTR", index)) == [
        "web-0.a.default.svc.cluster.local.",
        "web-0.b.default.svc.cluster.local.",
    ]
    index.update(("default", "a"), None, [])
    assert data(ask("5.0.128.10.in-addr.arpa", "PTR", index)) == [
        "web-0.b.default.svc.cluster.local."
    ]
