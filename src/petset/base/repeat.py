"""Requests that differ from an earlier one of their connection in target and body only.

Clients send the same header lines with each request. Once the parser has taken a GET or a POST
whole, the next one with the same lines, byte for byte, needs only its first line to be read. The
length of a body is among the lines.

Invariant: what is recognised here is what the parser would make of it: a header block means the
same behind every request line that has this form, and everything else is left to the parser.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from petset.base.http import Request
from petset.base.intake import Incoming
from petset.base.wirehead import split_target

BLOCK_BYTES_MAX = 4096
PATH_BYTES_MAX = 1024
POSTS_MAX = 8
"""Header blocks of POSTs remembered: they differ in the length of the body."""

_CHARS = rb"[A-Za-z0-9/._~:@!$&'()*+,;=-]"
_QUERY = rb"\?(?:%b|%%){0,256}" % _CHARS
_LINE = re.compile(rb"(?:GET|POST) (/%b*)(%b)? HTTP/1\.1" % (_CHARS, _QUERY))


class Repeats:
    """What one connection remembers of its last GET and POSTs."""

    __slots__ = ("_block", "_like", "_posts")

    def __init__(self) -> None:
        self._block: bytes | None = None
        self._like = Request("GET", "/")
        self._posts: dict[bytes, tuple[Request, int]] = {}

    def learn(self, data: bytes, incoming: Incoming) -> None:
        """Remember the header lines in `data`: one whole read, which was nothing but `incoming`."""
        request = incoming.request
        if incoming.upgrade or not incoming.keep_alive or not incoming.chunked_ok:
            return
        if data.startswith(b"POST "):
            self._learn_post(data, request)
            return
        if not data.startswith(b"GET ") or request.body:
            return
        block = bytes(data[data.find(b"\r\n") :])
        if len(block) > BLOCK_BYTES_MAX:
            return
        self._block = block
        self._like = replace(request, notes={})

    def _learn_post(self, data: bytes, request: Request) -> None:
        """Remember the header lines of a POST whose body has a length that they tell."""
        headers, size = request.headers, len(request.body)
        at = data.find(b"\r\n\r\n") + 4
        block = bytes(data[data.find(b"\r\n") : at])
        told = headers.get("content-length") == str(size) and "transfer-encoding" not in headers
        if not told or "expect" in headers or data[at:] != request.body:
            return
        if len(block) > BLOCK_BYTES_MAX:
            return
        if len(self._posts) >= POSTS_MAX:
            self._posts.clear()
        self._posts[block] = (replace(request, body=b"", notes={}), size)

    def request(self, data: bytes) -> Request | None:
        """The request that `data` is as a whole, if it has the remembered header lines."""
        if self._posts and data.startswith(b"POST "):
            return self._post(data)
        if self._block is None or not data.startswith(b"GET "):
            return None
        end = data.find(b"\r\n")
        if data[end:] != self._block or end > PATH_BYTES_MAX:
            return None
        return _made(data, end, self._like, b"")

    def _post(self, data: bytes) -> Request | None:
        end = data.find(b"\r\n")
        at = data.find(b"\r\n\r\n", end) + 4
        found = self._posts.get(data[end:at])
        if found is None or end > PATH_BYTES_MAX or len(data) - at != found[1]:
            return None
        return _made(data, end, found[0], data[at:])


def _made(data: bytes, end: int, like: Request, body: bytes) -> Request | None:
    """A request with the header lines of `like`; its first line is `data` up to `end`."""
    line = _LINE.fullmatch(data, 0, end)
    if line is None:
        return None
    path, query = line[1].decode(), line[2]
    return Request(
        like.method,
        path,
        () if query is None else _pairs(query),
        like.headers,
        body,
        path if query is None else path + query.decode(),
        like.peer,
        remote=like.remote,
        notes=like.notes,
    )


@lru_cache(maxsize=256)
def _pairs(query: bytes) -> Sequence[tuple[str, str]]:
    """A query by names and values: clients ask with the same few."""
    _, pairs, _ = split_target(f"/{query.decode()}")
    return tuple(pairs)
