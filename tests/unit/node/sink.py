"""A Writer that keeps what it gets."""

import asyncio


class Sink:
    """A Writer that keeps what it gets."""

    def __init__(self) -> None:
        self.data = b""
        self.grown = asyncio.Event()
        self.gone = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self.gone.is_set()

    @property
    def pressure(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.data += data
        self.grown.set()

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        await self.gone.wait()

    async def until(self, words: bytes) -> None:
        async with asyncio.timeout(20):
            while words not in self.data:
                self.grown.clear()
                await self.grown.wait()
