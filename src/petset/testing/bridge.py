"""A transport between two event loops: calls of one are made on the other.

Invariant: an answer in pieces is read on the loop that it is written on; closing the iterator ends
it there.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

from petset.base.http import Response
from petset.client.transport import Transport

Submit = Callable[[Coroutine[Any, Any, Any]], Future[Any]]
"""Runs a coroutine on the other loop (`asyncio.run_coroutine_threadsafe`)."""


class Bridged:
    """Carries requests to `inner`, which belongs to the loop that `submit` leads to."""

    def __init__(self, inner: Transport, submit: Submit) -> None:
        self._inner = inner
        self._submit = submit

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
        """One request and its whole answer."""

        async def work() -> Response:
            return await self._inner.request(
                method, path, query=query, body=body, content_type=content_type, accept=accept
            )

        response: Response = await asyncio.wrap_future(self._submit(work()))
        return response

    async def stream(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json, */*",
    ) -> AsyncGenerator[bytes, None]:
        """An answer in pieces."""
        pieces = self._inner.stream(path, query=query, accept=accept)
        if not isinstance(pieces, AsyncGenerator):
            raise TypeError("the stream of a transport is an async generator")

        async def step() -> bytes | None:
            return await anext(pieces, None)

        try:
            while (piece := await asyncio.wrap_future(self._submit(step()))) is not None:
                yield piece
        finally:
            await asyncio.shield(asyncio.wrap_future(self._submit(_close(pieces))))

    async def close(self) -> None:
        """Nothing to close: streams end with their iterators."""


async def _close(pieces: AsyncGenerator[bytes, None]) -> None:
    await pieces.aclose()
