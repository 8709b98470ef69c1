"""An in-memory Duplex pair for tests."""

import asyncio
from collections import deque


class PipeEnd:
    """One end; what is written here is read at `other`."""

    other: "PipeEnd"

    def __init__(self) -> None:
        self._received: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._gone = asyncio.Event()
        self._eof = False
        self.written = b""
        self.closed = False
        self.pressure = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.written += data
            self.other.deliver(data)

    def deliver(self, data: bytes) -> None:
        self._received.append(data)
        self._changed.set()

    def finish(self) -> None:
        self._eof = True
        self._changed.set()

    async def read(self) -> bytes:
        while not self._received:
            if self._eof or self.closed:
                return b""
            self._changed.clear()
            await self._changed.wait()
        return self._received.popleft()

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        await self._gone.wait()

    def write_eof(self) -> None:
        self.other.finish()

    def close(self) -> None:
        self.closed = True
        self._gone.set()
        self._changed.set()
        self.other.finish()


def pipe() -> tuple[PipeEnd, PipeEnd]:
    a, b = PipeEnd(), PipeEnd()
    a.other, b.other = b, a
    return a, b
