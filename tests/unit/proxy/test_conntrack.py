"""What is read of the kernel's flows, and which of them are stale."""

import socket
import struct

from petset.proxy.conntrack import Flow, parse, stale
from petset.proxy.rules import Target


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def direction(kind: int, source: tuple[str, int], to: tuple[str, int], protocol: int) -> bytes:
    addresses = attribute(1, socket.inet_aton(source[0])) + attribute(2, socket.inet_aton(to[0]))
    ports = attribute(2, struct.pack("!H", source[1])) + attribute(3, struct.pack("!H", to[1]))
    numbers = attribute(1, bytes((protocol,))) + ports
    return attribute(kind | 0x8000, attribute(0x8001, addresses) + attribute(0x8002, numbers))


CLIENT, PLACE, END = ("10.128.0.2", 4000), ("10.96.0.20", 53), ("10.128.0.9", 5353)


def test_a_flow_is_read_and_its_name_is_the_kernels() -> None:
    sent = direction(1, CLIENT, PLACE, 17)
    raw = sent + direction(2, END, CLIENT, 17) + attribute(3, b"\0\0\0\1")
    assert parse(raw) == Flow(PLACE, Target(*END), sent)


def test_other_protocols_and_noise_are_no_flows() -> None:
    assert parse(direction(1, CLIENT, PLACE, 6) + direction(2, END, CLIENT, 6)) is None
    assert parse(b"") is None
    assert parse(direction(1, CLIENT, PLACE, 17)) is None
    assert parse(b"\0\0\0\0" * 3) is None


def flow(place: tuple[str, int], end: tuple[str, int]) -> Flow:
    return Flow(place, Target(*end), b"")


def test_flows_to_places_of_old_endpoints_are_stale() -> None:
    kept = flow(PLACE, END)
    gone = flow(PLACE, ("10.128.0.8", 5353))
    untranslated = flow(PLACE, PLACE)
    elsewhere = flow(("10.96.0.21", 53), ("10.128.0.8", 5353))
    flows = [kept, gone, untranslated, elsewhere]
    assert stale(flows, {PLACE: frozenset({Target(*END)})}) == [gone, untranslated]
    assert stale(flows, {PLACE: frozenset()}) == [kept, gone, untranslated]


def test_flows_to_a_node_port_are_known_by_the_port_alone() -> None:
    gone = flow(("172.29.0.10", 30053), ("10.128.0.8", 5353))
    kept = flow(("127.0.0.1", 30053), END)
    assert stale([gone, kept], {("", 30053): frozenset({Target(*END)})}) == [gone]
