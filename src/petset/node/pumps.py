"""Moves bytes between file descriptors and channels on the event loop."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

BLOCK = 64 * 1024


async def _ready(fd: int, *, to_write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (
        (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    )
    add(fd, ready.set)
    try:
        await ready.wait()
    finally:
        remove(fd)


async def from_fd(fd: int, write: Callable[[bytes], Awaitable[None]]) -> None:
    """Read non-blocking `fd` to its end (for a terminal: until its other side is gone)."""
    while True:
        try:
            data = os.read(fd, BLOCK)
        except BlockingIOError:
            await _ready(fd, to_write=False)
            continue
        except OSError:  # a terminal whose last process is gone answers EIO
            return
        if not data:
            return
        await write(data)


async def to_fd(fd: int, read: Callable[[], Awaitable[bytes]]) -> None:
    """Write what `read` gives to non-blocking `fd`, until it gives b"" or nobody reads."""
    while data := await read():
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                await _ready(fd, to_write=True)
            except OSError:
                return


async def first_of(*works: Awaitable[object]) -> None:
    """Wait until one of `works` is done; the others are cancelled and awaited."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
