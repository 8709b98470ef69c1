"""Short-lived programs, started from the event loop without blocking it and without threads."""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OUTPUT_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Done:
    """A program that ended: exit code (negative: signal) and what it wrote, bounded."""

    code: int
    output: bytes
    errors: bytes


async def wait_pidfd(fd: int) -> None:
    """Wait until the process of `fd` has ended."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def fire() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(fd, fire)
    try:
        await ended
    finally:
        loop.remove_reader(fd)


async def reap(child: "subprocess.Popen[bytes]") -> int:
    """Wait for a child and take its exit code; kills it when cancelled."""
    try:
        fd = os.pidfd_open(child.pid)
    except ProcessLookupError:
        return child.wait()
    try:
        await wait_pidfd(fd)
    except asyncio.CancelledError:
        child.kill()
        child.wait()
        raise
    finally:
        os.close(fd)
    return child.wait()


async def run(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 30
) -> Done:
    """Run `command` to its end. Raises TimeoutError after killing it, OSError if it cannot start.

    Its output goes to memory files, so that a child which outlives it holds nothing up.
    """
    out, err = os.memfd_create("out", os.MFD_CLOEXEC), os.memfd_create("err", os.MFD_CLOEXEC)
    try:
        child = subprocess.Popen(  # noqa: ASYNC220 - starting takes a millisecond, waiting is async
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env
        )
        async with asyncio.timeout(timeout_s):
            code = await reap(child)
        return Done(code, os.pread(out, OUTPUT_MAX, 0), os.pread(err, OUTPUT_MAX, 0))
    finally:
        os.close(out)
        os.close(err)


async def read_line(fd: int, timeout_s: float) -> bytes:
    """Read a line from pipe `fd`, or what came before its end. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    done: asyncio.Future[None] = loop.create_future()
    pieces: list[bytes] = []

    def readable() -> None:
        try:
            piece = os.read(fd, 65536)
        except BlockingIOError:
            return
        pieces.append(piece)
        if (not piece or piece.endswith(b"\n")) and not done.done():
            done.set_result(None)

    loop.add_reader(fd, readable)
    try:
        async with asyncio.timeout(timeout_s):
            await done
    finally:
        loop.remove_reader(fd)
    return b"".join(pieces)


def exit_code(status: int) -> int:
    """A shell's view of a code as Popen tells it: 128 + n for signal n."""
    return 128 - status if status < 0 else status
