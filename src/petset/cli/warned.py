"""Warnings that the API sends beside its answers, shown like kubectl shows them."""

import re
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from petset.base.http import Response
from petset.client.transport import Transport

_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


def texts(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The texts of the Warning headers among `headers`."""
    for name, value in headers:
        if name.lower() == "warning":
            for found in _WARNING.finditer(value):
                yield re.sub(r"\\(.)", r"\1", found[1])


class Warned:
    """A transport that prints each warning once on standard error."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._told: set[str] = set()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "",
        accept: str = "application/json",
    ) -> Response:
        """One request and its whole answer; prints its warnings. Raises TransportError."""
        response = await self._transport.request(
            method, path, query=query, body=body, content_type=content_type, accept=accept
        )
        for text in texts(response.headers):
            if text not in self._told:
                self._told.add(text)
                print(f"Warning: {text}", file=sys.stderr, flush=True)
        return response

    def stream(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json, */*",
    ) -> AsyncIterator[bytes]:
        """An answer in pieces. Raises StatusError and TransportError."""
        return self._transport.stream(path, query=query, accept=accept)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()
