"""Connection tracking of UDP: flows to endpoints that are gone are deleted.

The wire format is ctnetlink's (linux/netfilter/nfnetlink_conntrack.h).
Invariant: only flows to a changed place whose endpoint is not among the present ones are deleted.
"""

import asyncio
import errno
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from petset.proxy.rules import Place, Target

NETFILTER = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ERROR, _DONE = 2, 3
_TUPLE_ORIG, _TUPLE_REPLY, _TUPLE_IP, _TUPLE_PROTO = 1, 2, 1, 2
_IPV4_SRC, _IPV4_DST = 1, 2
_PROTO_NUMBER, _PORT_SRC, _PORT_DST = 1, 2, 3
_TYPE_MASK = 0x3FFF
_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)
_TIMEOUT = struct.pack("=qq", 5, 0)
_BUFFER = 1 << 16

Forget = Callable[[Mapping[Place, frozenset[Target]]], Awaitable[None]]
"""Has the kernel forget flows to each place that do not go to one of its targets."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Flow:
    """A UDP flow: where its sender sends to, who answers, and its name in the kernel's words."""

    place: Place
    endpoint: Target
    tuple_: bytes


def stale(flows: Iterable[Flow], places: Mapping[Place, frozenset[Target]]) -> list[Flow]:
    """The flows to one of `places` that go to none of its targets."""
    found = []
    for flow in flows:
        targets = places.get(flow.place)
        if targets is None:
            targets = places.get(("", flow.place[1]))
        if targets is not None and flow.endpoint not in targets:
            found.append(flow)
    return found


def connect() -> socket.socket:
    """A socket to the flows of the calling thread's network namespace."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETFILTER)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
    return made


def forget_in(connected: Callable[[], socket.socket]) -> Forget:
    """Forgets flows; `connected` calls `connect` in the network namespace that they are in.

    What cannot be deleted is logged: rules are in force without it.
    """

    async def forget(places: Mapping[Place, frozenset[Target]]) -> None:
        try:
            count = await asyncio.to_thread(_forget, connected, places)
        except OSError as error:
            _log.warning("proxy: flows of UDP cannot be forgotten: %s", error)
        else:
            _log.debug("proxy: %d flows of UDP forgotten", count)

    return forget


def _forget(
    connected: Callable[[], socket.socket], places: Mapping[Place, frozenset[Target]]
) -> int:
    with connected() as netlink:
        gone = stale(list(_flows(netlink)), places)
        for flow in gone:
            _delete(netlink, flow)
    return len(gone)


def _flows(netlink: socket.socket) -> Iterator[Flow]:
    netlink.send(_message(_GET, _REQUEST | _DUMP, b""))
    while True:
        for kind, body in _messages(netlink.recv(_BUFFER)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                _raise(body)
            elif kind == 1 << 8 and (flow := parse(body[len(_FAMILY) :])) is not None:
                yield flow


def _delete(netlink: socket.socket, flow: Flow) -> None:
    netlink.send(_message(_DELETE, _REQUEST | _ACK, flow.tuple_))
    for kind, body in _messages(netlink.recv(_BUFFER)):
        if kind == _ERROR:
            _raise(body, errno.ENOENT)


def _raise(body: bytes, tolerated: int = 0) -> None:
    code = -struct.unpack_from("=i", body)[0]
    if code and code != tolerated:
        raise OSError(code, os.strerror(code))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    whole = _FAMILY + body
    return _HEADER.pack(_HEADER.size + len(whole), kind, flags, 0, 0) + whole


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + length]
        at += max(_HEADER.size, length + 3 & ~3)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        found[kind & _TYPE_MASK] = data[at + 4 : at + length]
        at += max(4, length + 3 & ~3)
    return found


def parse(attributes: bytes) -> Flow | None:
    """The UDP flow that a message of the kernel tells of; None for other protocols."""
    found = _attributes(attributes)
    raw = found.get(_TUPLE_ORIG, b"")
    sent, answered = _attributes(raw), _attributes(found.get(_TUPLE_REPLY, b""))
    proto = _attributes(sent.get(_TUPLE_PROTO, b""))
    if proto.get(_PROTO_NUMBER, b"")[:1] != bytes((socket.IPPROTO_UDP,)):
        return None
    place = _end(sent, _IPV4_DST, _PORT_DST)
    endpoint = _end(answered, _IPV4_SRC, _PORT_SRC)
    if place is None or endpoint is None:
        return None
    name = struct.pack("=HH", len(raw) + 4, _TUPLE_ORIG | 0x8000) + raw
    return Flow(place, Target(*endpoint), name)


def _end(tuple_: Mapping[int, bytes], address: int, port: int) -> Place | None:
    ip = _attributes(tuple_.get(_TUPLE_IP, b"")).get(address, b"")
    number = _attributes(tuple_.get(_TUPLE_PROTO, b"")).get(port, b"")
    if len(ip) != 4 or len(number) < 2:
        return None
    return socket.inet_ntoa(ip), int.from_bytes(number[:2], "big")
