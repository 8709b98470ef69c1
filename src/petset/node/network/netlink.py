"""Routes, links, addresses and neighbours by rtnetlink, without the `ip` command.

Invariant: a `Netlink` belongs to the network namespace of the thread that opened it, and may be
used from any thread afterwards.
"""

import errno
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

NLM_REQUEST_ACK = 5
NLM_CREATE_EXCL = 0x600
NLM_CREATE_REPLACE = 0x500
NESTED = 0x8000
NLMSG_ERROR = 2
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNEIGH = 20, 24, 25, 28
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER = 1, 3, 4, 10
IFLA_LINKINFO, IFLA_NET_NS_FD = 18, 28
IFF_UP = 1
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_HOST = 0, 253, 254
RTN_UNICAST, RTN_UNREACHABLE = 1, 7
NUD_PERMANENT = 0x80
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ROUTE = struct.Struct("=BBBBBBBBI")


@dataclass(frozen=True, slots=True)
class Message:
    """One request: type, extra flags, body, and errno values that count as success."""

    type: int
    flags: int
    body: bytes
    tolerate: frozenset[int] = frozenset()


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def _name(text: str) -> bytes:
    return attribute(IFLA_IFNAME, text.encode() + b"\0")


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def _link(index: int, flags: int, change: int) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, change)


def hardware_address(ip: str) -> bytes:
    """A link address that follows from an IPv4 address (locally administered, 02:50:...).

    A node that is made again under its old IP keeps it, so what neighbours remember stays true.
    """
    return b"\x02\x50" + socket.inet_aton(ip)


def make_veth(
    name: str, peer: str, peer_netns_fd: int, address: bytes = b"", peer_address: bytes = b""
) -> Message:
    """A veth pair: `name` here and up, `peer` in the namespace of `peer_netns_fd`."""
    own = attribute(IFLA_ADDRESS, peer_address) if peer_address else b""
    far = nested(1, _link(0, 0, 0) + _name(peer) + _u32(IFLA_NET_NS_FD, peer_netns_fd) + own)
    info = nested(IFLA_LINKINFO, attribute(1, b"veth"), nested(2, far))
    mac = attribute(IFLA_ADDRESS, address) if address else b""
    body = _link(0, IFF_UP, IFF_UP) + _name(name) + mac + info
    return Message(RTM_NEWLINK, NLM_CREATE_EXCL, body)


def make_bridge(name: str, address: bytes) -> Message:
    """A bridge that is up; one that exists is kept.

    Without an address of its own a bridge takes that of a port, and another when the port goes.
    """
    info = nested(IFLA_LINKINFO, attribute(1, b"bridge"))
    body = _link(0, IFF_UP, IFF_UP) + _name(name) + attribute(IFLA_ADDRESS, address) + info
    return Message(RTM_NEWLINK, NLM_CREATE_EXCL, body, frozenset({errno.EEXIST}))


def set_up(index: int, *, master: int = 0) -> Message:
    """Bring a link up, and make it a port of bridge `master` if given."""
    extra = _u32(IFLA_MASTER, master) if master else b""
    return Message(RTM_NEWLINK, 0, _link(index, IFF_UP, IFF_UP) + extra)


def delete_link(name: str) -> Message:
    """Remove a link; a missing one is fine."""
    gone = frozenset({errno.ENODEV})
    return Message(RTM_DELLINK, 0, _link(0, 0, 0) + _name(name), gone)


def add_address(index: int, address: str, prefix: int, *, scope: int = SCOPE_UNIVERSE) -> Message:
    """Give a link an IPv4 address. With SCOPE_HOST it is never chosen as a source by itself."""
    raw = socket.inet_aton(address)
    body = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, scope, index)
    body += attribute(1, raw) + attribute(2, raw)
    return Message(RTM_NEWADDR, NLM_CREATE_EXCL, body, frozenset({errno.EEXIST}))


def _route(destination: str, scope: int, kind: int = RTN_UNICAST) -> bytes:
    network, _, prefix = destination.partition("/")
    body = _ROUTE.pack(socket.AF_INET, int(prefix), 0, 0, 254, 3, scope, kind, 0)
    return body + (attribute(1, socket.inet_aton(network)) if int(prefix) else b"")


def add_route(destination: str, *, index: int = 0, gateway: str = "", source: str = "") -> Message:
    """An IPv4 route to `destination` (a.b.c.d/n) out of a link, or by a gateway; replaces."""
    body = _route(destination, SCOPE_UNIVERSE if gateway else SCOPE_LINK)
    body += _u32(4, index) if index else b""
    body += attribute(5, socket.inet_aton(gateway)) if gateway else b""
    body += attribute(7, socket.inet_aton(source)) if source else b""
    return Message(RTM_NEWROUTE, NLM_CREATE_REPLACE, body)


def refuse_route(destination: str) -> Message:
    """Nothing there is reachable: who asks is told at once, unless a longer prefix knows better."""
    return Message(RTM_NEWROUTE, NLM_CREATE_REPLACE, _route(destination, 0, RTN_UNREACHABLE))


def delete_route(destination: str) -> Message:
    """Remove the route to `destination`; a missing one is fine."""
    gone = frozenset({errno.ESRCH, errno.ENODEV})
    return Message(RTM_DELROUTE, 0, _route(destination, 255), gone)


def add_neighbour(index: int, address: str, mac: bytes) -> Message:
    """A permanent ARP entry."""
    body = struct.pack("=BxxxiHBB", socket.AF_INET, index, NUD_PERMANENT, 0, 0)
    body += attribute(1, socket.inet_aton(address)) + attribute(2, mac)
    return Message(RTM_NEWNEIGH, NLM_CREATE_REPLACE, body)


class Netlink:
    """A socket to the kernel's routing tables. Raises OSError for what the kernel refuses."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.settimeout(5)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def do(self, *messages: Message) -> None:
        """Send all in one go and wait for every answer; raises the first refusal."""
        first = self._send(messages)
        pending = {first + i: m for i, m in enumerate(messages)}
        failed: OSError | None = None
        while pending:
            for kind, sequence, body in _split(self._socket.recv(65536)):
                if kind != NLMSG_ERROR or sequence not in pending:
                    continue
                message = pending.pop(sequence)
                code = -struct.unpack_from("=i", body)[0]
                if code and code not in message.tolerate and failed is None:
                    failed = OSError(code, f"netlink request {message.type}: {os.strerror(code)}")
        if failed is not None:
            raise failed

    def index(self, name: str) -> int:
        """The index of link `name`. Raises OSError (ENODEV) when there is none."""
        sequence = self._send([Message(RTM_GETLINK, 0, _link(0, 0, 0) + _name(name))])
        found = 0
        while True:
            for kind, seen, body in _split(self._socket.recv(65536)):
                if seen != sequence:
                    continue
                if kind == RTM_NEWLINK:
                    found = _LINK.unpack_from(body)[2]
                elif kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    if code:
                        raise OSError(code, f"link {name}: {os.strerror(code)}")
                    return found

    def _send(self, messages: Sequence[Message]) -> int:
        first = self._sequence + 1
        packed = []
        for message in messages:
            self._sequence += 1
            flags = NLM_REQUEST_ACK | message.flags
            size = 16 + len(message.body)
            packed.append(_HEADER.pack(size, message.type, flags, self._sequence, 0) + message.body)
        self._socket.send(b"".join(packed))
        return first


def _split(data: bytes) -> list[tuple[int, int, bytes]]:
    parts = []
    while len(data) >= 16:
        size, kind, _, sequence, _ = _HEADER.unpack_from(data)
        parts.append((kind, sequence, data[16:size]))
        data = data[(size + 3) & ~3 :]
    return parts
