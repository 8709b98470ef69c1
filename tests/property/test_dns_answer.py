"""What DNS says of headless Services: every member that is ready and nobody else, always alike."""

from collections.abc import Sequence
from typing import Any

from dnslib import DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from petset.dns import wire
from petset.dns.answer import Reply, answer
from petset.dns.index import Index
from tests.unit.dns.objects import endpoint, endpoint_slice, index_of, service

Member = tuple[int, str, bool]
"""Last number of its address, its hostname ("" for none), whether it is ready."""
Obj = dict[str, Any]

MEMBERS = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from(["", "web-0", "Web-1", "web-2"]), st.booleans()),
    max_size=6,
)
KINDS = ("A", "AAAA", "SRV", "ANY")


def slices_of(members: Sequence[Member], at: int) -> list[Obj]:
    """The members in two slices, cut at `at`."""
    made = [endpoint(f"10.128.0.{last}", host, ready=ready) for last, host, ready in members]
    return [endpoint_slice("nginx", *made[:at]), endpoint_slice("nginx", *made[at:])]


def ask(index: Index, name: str, kind: str) -> Reply:
    reply = answer(index.zone, wire.name_of(name), getattr(wire, kind))
    assert reply is not None
    return reply


def addresses(reply: Reply) -> list[str]:
    return sorted(".".join(map(str, r.data)) for r in reply.sections.answers if r.type == wire.A)


def label_of(last: int, host: str) -> str:
    return host.lower() or f"10-128-0-{last}"


BASE = "nginx.default.svc.cluster.local"


@settings(deadline=None)
@given(MEMBERS, st.booleans(), st.integers(0, 6))
def test_members_are_told_when_ready_and_by_their_own_names_only(
    members: list[Member], unready: bool, at: int
) -> None:
    index = index_of([service("nginx", publishNotReadyAddresses=unready)], slices_of(members, at))
    shown = {(last, host) for last, host, ready in members if ready or unready}
    whole = ask(index, BASE, "A")
    assert addresses(whole) == sorted({f"10.128.0.{last}" for last, _ in shown})
    assert whole.rcode == (wire.NOERROR if shown else wire.NXDOMAIN)
    for last, host, _ in members:
        name = label_of(last, host)
        own = {f"10.128.0.{n}" for n, h in shown if label_of(n, h) == name}
        one = ask(index, f"{name}.{BASE}", "A")
        assert addresses(one) == sorted(own)
        assert one.rcode == (wire.NOERROR if own else wire.NXDOMAIN)
        back = answer(index.zone, wire.name_of(f"{last}.0.128.10.in-addr.arpa"), wire.PTR)
        told = {wire.read_name(r.data, 0)[0] for r in back.sections.answers} if back else set()
        assert told == {wire.name_of(f"{label_of(n, h)}.{BASE}") for n, h in shown if n == last}


@settings(deadline=None)
@given(MEMBERS)
def test_every_target_of_an_srv_record_has_an_address(members: list[Member]) -> None:
    index = index_of([service("nginx")], slices_of(members, 2))
    for name in (BASE, f"_web._tcp.{BASE}"):
        reply = ask(index, name, "SRV")
        for record in reply.sections.answers:
            target = ".".join(wire.read_name(record.data, 6)[0])
            found = ask(index, target, "A").sections.answers
            assert found
            assert set(found) <= set(reply.sections.additional)


@settings(deadline=None)
@given(MEMBERS, st.integers(0, 6), st.integers(0, 6), st.randoms(use_true_random=False))
def test_the_answer_does_not_depend_on_how_members_are_cut_into_slices(
    members: list[Member], at: int, other: int, rng: Any
) -> None:
    mixed = list(members)
    rng.shuffle(mixed)
    one = index_of([service("nginx")], slices_of(members, at))
    two = index_of([service("nginx")], slices_of(mixed, other))
    for kind in KINDS:
        for name in (BASE, f"web-0.{BASE}", f"_web._tcp.{BASE}"):
            replies = (ask(index, name, kind) for index in (one, two))
            first, second = ((r.rcode, sorted(map(str, r.sections.answers))) for r in replies)
            assert first == second


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["nginx", "db"]), st.none() | MEMBERS), max_size=8))
def test_an_index_after_any_history_is_one_made_anew(
    history: list[tuple[str, list[Member] | None]],
) -> None:
    index, last = Index("cluster.local"), dict[str, list[Member] | None]()
    for name, members in history:
        last[name] = members
        found = None if members is None else service(name)
        slices = slices_of(members or [], 3)
        index.update(("default", name), found, slices)
        assert not index.update(("default", name), found, slices), "again: nothing to do"
    fresh = Index("cluster.local")
    for name, members in last.items():
        if members is not None:
            fresh.update(("default", name), service(name), slices_of(members, 3))
    assert index.zone == fresh.zone


@settings(deadline=None)
@given(MEMBERS, st.text("abw-012_.", max_size=20), st.sampled_from(KINDS))
def test_any_question_below_the_zone_has_an_answer_that_can_be_sent(
    members: list[Member], name: str, kind: str
) -> None:
    index = index_of([service("nginx")], slices_of(members, 1))
    labels = tuple(label for label in f"{name}.{BASE}".split(".") if label)
    query = wire.parse(DNSRecord.question(".".join(labels), "A").pack())
    reply = answer(index.zone, query.name, getattr(wire, kind))
    assert reply is not None
    encoded = wire.encode(query, reply.rcode, reply.sections, limit=65535)
    assert DNSRecord.parse(encoded).header.rcode == reply.rcode
    assert (reply.rcode == wire.NOERROR) or not reply.sections.answers
