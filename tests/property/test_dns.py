"""The wire format against another implementation, and against noise."""

from dnslib import DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from petset.dns import wire
from petset.dns.wire import Record, Sections

LABEL = st.text("abcdefghij-_0123456789", min_size=1, max_size=20)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(tuple)
RECORD = st.builds(
    lambda name, ttl, raw: Record(name, wire.A, ttl, raw),
    NAME,
    st.integers(0, 100),
    st.binary(min_size=4, max_size=4),
)


@settings(deadline=None)
@given(data=st.binary(max_size=80))
def test_noise_is_read_or_refused(data: bytes) -> None:
    for reader in (wire.parse, wire.answers_of):
        try:
            reader(data)
        except wire.WireError:
            continue


@settings(deadline=None)
@given(name=NAME, records=st.lists(RECORD, max_size=20), limit=st.integers(512, 1232))
def test_replies_are_read_by_others_and_keep_their_limit(
    name: wire.Name, records: list[Record], limit: int
) -> None:
    query = wire.parse(DNSRecord.question(".".join(name), "A").pack())
    assert query.name == name
    encoded = wire.encode(query, 0, Sections(records), limit=limit)
    assert len(encoded) <= limit
    reply = DNSRecord.parse(encoded)
    got = [(str(r.rname).strip("."), r.ttl, bytes(r.rdata.data)) for r in reply.rr]
    wanted = [(".".join(r.name), r.ttl, r.data) for r in records]
    assert got == wanted[: len(got)]
    assert bool(reply.header.tc) is (len(got) < len(wanted))
    assert [(r.name, r.ttl, r.data) for r in wire.answers_of(encoded)] == [
        (r.name, r.ttl, r.data) for r in records[: len(got)]
    ]
