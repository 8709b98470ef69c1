"""How the client reaches the API: one protocol, two bodies (TLS and in process).

`Local` hands requests to a dispatch function given by the composition root, so that this room
never imports the server; `Tls` speaks HTTP/1.1 over TLS.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from petset.base.http import Response


class Transport(Protocol):
    """Carries requests to the API."""

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
        """One request and its whole answer. Raises `TransportError` when none came."""
        ...

    def stream(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json, */*",
    ) -> AsyncIterator[bytes]:
        """GET an answer in pieces, as they come (watch, followed log).

        Raises StatusError for a failing answer, TransportError when the connection breaks.
        Closing the iterator ends the request.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class TransportError(Exception):
    """The API could not be reached, or the connection broke before the answer was whole."""
