"""Heads of HTTP/1.1 answers, and the targets of requests: text in, text out, no sockets.

Invariant: whatever a handler puts in its headers, a head can neither be split (CR, LF and NUL are
refused) nor contradict the framing, which is the edge's alone.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

from petset.base import httpdate
from petset.base.clock import Clock
from petset.base.http import Headers, Response

PHRASES = {status.value: status.phrase for status in HTTPStatus}
_KNOWN_MAX = 256
_OWNED = frozenset(("date", "content-length", "transfer-encoding", "connection", "keep-alive"))
_UNSAFE = re.compile(r"[\r\n\x00]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class HeaderError(ValueError):
    """A header of a handler that would break the head of its answer."""


class TargetError(ValueError):
    """A request target that is no path."""


class Heads:
    """Makes the heads of answers; status lines are kept for one second, header lines longer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._lines: dict[int, str] = {}
        self._known: dict[tuple[str, str], str] = {}

    def line(self, status: int) -> str:
        """Status line and Date header."""
        second = int(self._clock.now())
        if second != self._second:
            self._second = second
            self._lines.clear()
        line = self._lines.get(status)
        if line is None:
            date = httpdate.text(second)
            line = f"HTTP/1.1 {status} {PHRASES.get(status, 'Unknown')}\r\nDate: {date}\r\n"
            self._lines[status] = line
        return line

    def make(self, status: int, headers: Headers, framing: str) -> bytes:
        """A whole head. `framing` holds the edge's own lines, each ending in CR LF.

        Raises HeaderError for a header that would break the head.
        """
        parts = [self.line(status)]
        known = self._known
        for header in headers:
            line = known.get(header)
            parts.append(self._line_of(header) if line is None else line)
        parts.append(framing)
        parts.append("\r\n")
        return "".join(parts).encode()

    def _line_of(self, header: tuple[str, str]) -> str:
        """The header's line, "" for one that the edge itself writes."""
        name, value = header
        line = "" if name.lower() in _OWNED else header_line(name, value)
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[header] = line
        return line

    def switch(self, headers: Headers) -> bytes:
        """The head of a 101 answer; `Connection: Upgrade` is the edge's."""
        parts = [self.line(101), "Connection: Upgrade\r\n"]
        parts += [header_line(n, v) for n, v in headers if n.lower() not in _OWNED]
        parts.append("\r\n")
        return "".join(parts).encode()


def header_line(name: str, value: str) -> str:
    """`name: value` and CR LF. Raises HeaderError for line breaks inside."""
    safe = name.isalpha() and value.isalnum()  # fast path for the usual case
    if not safe and (_UNSAFE.search(value) or _UNSAFE.search(name) or ":" in name or not name):
        raise HeaderError(f"header {name!r} would break the head of the answer")
    return f"{name}: {value}\r\n"


def bodiless(status: int) -> bool:
    """Whether answers of this status never have a body (RFC 9110, 6.4.1)."""
    return status in (204, 304) or status < 200


def length_of(reply: Response, *, head: bool) -> int | str:
    """The Content-Length of an answer; `head`: to a HEAD, which may tell the length itself."""
    body = reply.body
    size = len(body) if isinstance(body, bytes) else sum(map(len, body))
    if size == 0 and head:
        for name, value in reply.headers:
            if name.lower() == "content-length" and value.isdecimal():
                return value
    return size


def split_target(target: str) -> tuple[str, Sequence[tuple[str, str]], str]:
    """(decoded path, decoded query pairs, target without scheme and host) of a request target.

    Raises TargetError for what is neither a path, an http(s) URL nor `*`.
    """
    if not target.startswith("/"):
        target = _strip_authority(target)
    path, mark, query = target.partition("?")
    if "%" in path:
        if _BAD_ESCAPE.search(path):
            raise TargetError("the path holds a broken percent escape")
        path = unquote(path)
    pairs = parse_qsl(query, keep_blank_values=True) if mark else ()
    return path, pairs, target


def _strip_authority(target: str) -> str:
    scheme, mark, rest = target.partition("://")
    if mark and scheme.lower() in ("http", "https"):
        slash = rest.find("/")
        return rest[slash:] if slash >= 0 else "/"
    if target == "*":
        return target
    raise TargetError("the request target is no path")
