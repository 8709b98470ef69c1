"""A transport that is late: requests and watch events take a random while, in order.

Caches then lag behind the store as they do between machines, and different seeds interleave
differently.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from random import Random

from petset.base.http import Response
from petset.client.transport import Transport


class Lagging:
    """Wraps a transport.

    Args:
        delay_max_s: longest time that a request, its answer or a piece of a stream takes.
    """

    def __init__(self, inner: Transport, rng: Random, delay_max_s: float) -> None:
        self._inner = inner
        self._rng = rng
        self._delay_max_s = delay_max_s

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
        """One request, late on both ways."""
        await self._lag()
        answer = await self._inner.request(
            method, path, query=query, body=body, content_type=content_type, accept=accept
        )
        await self._lag()
        return answer

    async def stream(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json",
    ) -> AsyncGenerator[bytes, None]:
        """An answer in pieces, each late."""
        pieces: AsyncIterator[bytes] = self._inner.stream(path, query=query, accept=accept)
        if not isinstance(pieces, AsyncGenerator):
            raise TypeError("the stream of a transport is an async generator")
        async with aclosing(pieces):
            async for piece in pieces:
                await self._lag()
                yield piece

    async def close(self) -> None:
        """Close what is wrapped."""
        await self._inner.close()

    async def _lag(self) -> None:
        if self._delay_max_s > 0:
            await asyncio.sleep(self._rng.uniform(0.0, self._delay_max_s))
