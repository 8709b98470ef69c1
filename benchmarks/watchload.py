"""1,000 TLS watchers in one process, and when each event is read.

Python cannot decrypt 100,000 events a second on one core, so only every tenth connection is read
through TLS and tells when events come; of the others the encrypted bytes are read and counted:
they get the same, and cost the server the same.
"""

import os
import select
import socket
import ssl
import time
from dataclasses import dataclass, field

MARK = b'"number":"'
EVERY = 10
"""One connection in so many is read through TLS."""


@dataclass
class Watcher:
    """One connection.

    Attributes:
        read_at: of each event, its number and when it was read (monotonic clock).
        raw_bytes: what came, still encrypted (connections that are not sampled).
    """

    sock: ssl.SSLSocket
    sampled: bool
    tail: bytes = b""
    read_at: list[tuple[int, float]] = field(default_factory=list)
    raw_bytes: int = 0

    def read(self) -> None:
        """Take in what is there."""
        if not self.sampled:
            self.raw_bytes += len(os.read(self.sock.fileno(), 1 << 16))
            return
        while True:
            try:
                data = self.sock.recv(1 << 16)
            except ssl.SSLWantReadError:
                return
            if not data:
                raise ConnectionError("the server ended a watch")
            self._note(data)

    def _note(self, data: bytes) -> None:
        now = time.monotonic()
        lines = (self.tail + data).split(b"\n")
        self.tail = lines.pop()
        for line in lines:
            _, found, rest = line.partition(MARK)
            if found:
                self.read_at.append((int(rest[: rest.index(b'"')]), now))


class Crowd:
    """Many watchers of one path."""

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext, path: str, count: int
    ) -> None:
        self._poll = select.epoll()
        self._by_fd: dict[int, Watcher] = {}
        for number in range(count):
            self._add(Watcher(_open(address, context, path), number % EVERY == 0))

    @property
    def watchers(self) -> list[Watcher]:
        """All of them."""
        return list(self._by_fd.values())

    def _add(self, watcher: Watcher) -> None:
        self._by_fd[watcher.sock.fileno()] = watcher
        self._poll.register(watcher.sock.fileno(), select.EPOLLIN)

    def follow(self, until: float) -> None:
        """Read until the time of the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left):
                self._by_fd[fd].read()

    def reset(self) -> None:
        """Forget what was counted."""
        for watcher in self._by_fd.values():
            watcher.read_at.clear()
            watcher.raw_bytes = 0

    def close(self) -> None:
        """Close every connection."""
        self._poll.close()
        for watcher in self._by_fd.values():
            watcher.sock.close()


def _open(address: tuple[str, int], context: ssl.SSLContext, path: str) -> ssl.SSLSocket:
    plain = socket.create_connection(address)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock = context.wrap_socket(plain, server_hostname=address[0])
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head.decode())
    sock.setblocking(False)
    return sock
