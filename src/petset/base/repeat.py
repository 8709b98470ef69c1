"""Requests that differ from an earlier one of their connection in the path only.

Clients send the same header lines with each request. Once the parser has taken a GET whole, the
next one with the same lines, byte for byte, needs only its first line to be read.

Invariant: what is recognised here is what the parser would make of it: a header block means the
same behind every request line that has this form, and everything else is left to the parser.
"""

import re
from dataclasses import replace

from petset.base.http import Request
from petset.base.intake import Incoming

BLOCK_BYTES_MAX = 4096
PATH_BYTES_MAX = 1024
_LINE = re.compile(rb"GET (/[A-Za-z0-9/._~:@!$&'()*+,;=-]*) HTTP/1\.1")


class Repeats:
    """What one connection remembers of its last GET."""

    __slots__ = ("_block", "_like")

    def __init__(self) -> None:
        self._block: bytes | None = None
        self._like = Request("GET", "/")

    def learn(self, data: bytes, incoming: Incoming) -> None:
        """Remember the header lines in `data`: one whole read, which was nothing but `incoming`."""
        request = incoming.request
        if not data.startswith(b"GET ") or request.body or incoming.upgrade:
            return
        block = bytes(data[data.find(b"\r\n") :])
        if not incoming.keep_alive or not incoming.chunked_ok or len(block) > BLOCK_BYTES_MAX:
            return
        self._block = block
        self._like = replace(request, notes={})

    def request(self, data: bytes) -> Request | None:
        """The request that `data` is as a whole, if it has the remembered header lines."""
        if self._block is None or not data.startswith(b"GET "):
            return None
        end = data.find(b"\r\n")
        if data[end:] != self._block or end > PATH_BYTES_MAX:
            return None
        line = _LINE.fullmatch(data, 0, end)
        if line is None:
            return None
        path, like = line[1].decode(), self._like
        return Request(
            "GET",
            path,
            (),
            like.headers,
            raw_target=path,
            peer=like.peer,
            remote=like.remote,
            notes=like.notes,
        )
