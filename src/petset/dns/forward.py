"""Asks other resolvers for names that are not the cluster's.

Invariant: every question leaves from a fresh socket (the kernel picks the port at random) with a
random id, and only an answer from the resolver asked, to that very question, is taken.
"""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from random import Random

TIMEOUT_S = 2.0
TOTAL_S = 5.0
UPSTREAMS_MAX = 3

Upstream = tuple[str, int]
"""Address and port of a resolver."""

Upstreams = Callable[[], Sequence[Upstream]]
"""The resolvers to ask now, best first."""


def parse_resolv_conf(text: str, exclude: Collection[str] = ()) -> list[Upstream]:
    """The name servers that a resolv.conf names, without those of `exclude`."""
    found: list[Upstream] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver" or words[1] in exclude:
            continue
        try:
            ipaddress.ip_address(words[1])
        except ValueError:
            continue
        found.append((words[1], 53))
    return found[:UPSTREAMS_MAX]


class ResolvConf:
    """The name servers of a resolv.conf file; read again when the file changes.

    Args:
        exclude: addresses never asked (the cluster's own server, lest questions go in circles).
    """

    def __init__(
        self, path: Path = Path("/etc/resolv.conf"), exclude: Collection[str] = ()
    ) -> None:
        self._path = path
        self._exclude = exclude
        self._stamp: tuple[int, int] | None = None
        self._found: list[Upstream] = []

    def __call__(self) -> Sequence[Upstream]:
        """The resolvers named now; none when the file cannot be read."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._found = parse_resolv_conf(self._path.read_text(), self._exclude)
                self._stamp = stamp
        except OSError:
            self._stamp, self._found = None, []
        return self._found


class Forwarder:
    """Sends queries to the resolvers, one after the other."""

    def __init__(self, upstreams: Upstreams, rng: Random) -> None:
        self._upstreams = upstreams
        self._rng = rng

    async def ask(self, message: bytes, *, tcp: bool = False) -> bytes | None:
        """The reply to the query `message`, with its id; None when no resolver answered."""
        deadline = asyncio.get_running_loop().time() + TOTAL_S
        exchange = _exchange_tcp if tcp else _exchange_udp
        for upstream in self._upstreams():
            query = struct.pack("!H", self._rng.getrandbits(16)) + message[2:]
            left = deadline - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(max(0.0, min(TIMEOUT_S, left))):
                    reply = await exchange(upstream, query)
            except (OSError, EOFError):  # TimeoutError is an OSError
                continue
            return message[:2] + reply[2:]
        return None


def _answers(reply: bytes, query: bytes) -> bool:
    """Whether `reply` answers `query`: id, response bit, and the question's bytes."""
    if len(reply) < 12 or reply[:2] != query[:2] or not reply[2] & 0x80:
        return False
    end = 12
    while end < len(query) and query[end]:
        end += query[end] + 1
    return reply[12 : end + 5].lower() == query[12 : end + 5].lower()


async def _exchange_udp(upstream: Upstream, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in upstream[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(upstream)
        await loop.sock_sendall(sock, query)
        while True:
            reply = await loop.sock_recv(sock, 65535)
            if _answers(reply, query):
                return reply


async def _exchange_tcp(upstream: Upstream, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*upstream)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        await writer.drain()
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        reply = await reader.readexactly(length)
    finally:
        writer.close()
    if not _answers(reply, query):
        raise ConnectionError("the resolver answered another question")
    return reply
