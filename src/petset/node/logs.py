"""Reads container logs: lines of `TIME stdout|stderr F|P TEXT`, as conmon writes them.

A P line is a piece: the text goes on in the next line of the same stream. A log that is rotated
while it is followed is read to its end before the new file is opened.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from petset.api.meta import parse_time
from petset.base.http import Writer
from petset.node import kernel, pumps

BLOCK = 64 * 1024
ROTATE_BYTES = 10 << 20
ROTATE_KEEP = 5
RECHECK_S = 5.0
"""A follower looks again so often, should the kernel have told nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """What of a log is wanted. `since` in seconds since the epoch, 0 for all."""

    tail: int | None = None
    since: float = 0.0
    limit: int | None = None
    timestamps: bool = False
    follow: bool = False


@dataclass(slots=True)
class _Cut:
    """What is still to be left out or let through."""

    options: Options
    left: int | None

    def shown(self, line: bytes) -> bytes:
        """The bytes that a log line shows; none when it is too old or malformed."""
        parts = line.split(b" ", 3)
        if len(parts) < 4:
            return b""
        time, _, tag, text = parts
        if self.options.since and (parse_time(time.decode("latin-1")) or 0.0) < self.options.since:
            return b""
        shown = text + b"\n" if tag.startswith(b"F") else text
        if self.options.timestamps:
            shown = _zulu(time) + b" " + shown
        if self.left is not None:
            shown = shown[: self.left]
            self.left -= len(shown)
        return shown

    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return self.left is not None and self.left <= 0


def _zulu(time: bytes) -> bytes:
    return time.removesuffix(b"+00:00") + b"Z" if time.endswith(b"+00:00") else time


def tail_offset(file: Path, lines: int) -> int:
    """Where the last `lines` whole lines of `file` begin."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        if lines <= 0:
            return size
        end, wanted = size, lines + 1
        while end > 0:
            begin = max(0, end - BLOCK)
            opened.seek(begin)
            block = opened.read(end - begin)
            found = block.count(b"\n")
            if found >= wanted or (begin == 0 and found >= wanted):
                at = len(block)
                for _ in range(wanted):
                    at = block.rfind(b"\n", 0, at)
                return begin + at + 1
            wanted -= found
            end = begin
        return 0


class _Reader:
    """Whole lines of a file that may grow and be rotated."""

    def __init__(self, file: Path, offset: int) -> None:
        self._file = file
        self._opened = file.open("rb")
        self._opened.seek(offset)
        self._rest = b""

    def lines(self) -> Iterator[bytes]:
        """The whole lines of the next block; none at the end."""
        block = self._opened.read(BLOCK)
        pieces = (self._rest + block).split(b"\n")
        self._rest = pieces.pop()
        yield from pieces

    def at_end(self) -> bool:
        """Whether everything was read."""
        return self._opened.tell() >= os.fstat(self._opened.fileno()).st_size

    def renew(self) -> bool:
        """Open the file anew if it was rotated."""
        try:
            now = self._file.stat().st_ino
        except FileNotFoundError:
            return False
        if now == os.fstat(self._opened.fileno()).st_ino:
            return False
        self.close()
        self._opened, self._rest = self._file.open("rb"), b""
        return True

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


def _reader(file: Path, options: Options) -> _Reader | None:
    try:
        offset = tail_offset(file, options.tail) if options.tail is not None else 0
        return _Reader(file, offset)
    except FileNotFoundError:
        return None


async def stream(file: Path, options: Options, out: Writer, over: asyncio.Event) -> None:
    """Write the log to `out`; when it is followed, until `over` and everything was written."""
    cut = _Cut(options, options.limit)
    reader = _reader(file, options)
    if reader is None:
        return
    growth = kernel.Growth(file) if options.follow else None
    try:
        while not cut.is_full() and not out.closed:
            ended = over.is_set()  # asked before reading: what came before the end is not missed
            await _copy(reader, cut, out)
            if reader.renew():
                if growth is not None:
                    growth.follow(file)
                continue
            if growth is None or ended:
                return
            await _until(growth, out, over)
    finally:
        reader.close()
        if growth is not None:
            growth.close()


async def _copy(reader: _Reader, cut: _Cut, out: Writer) -> None:
    while not cut.is_full() and not out.closed:
        shown = []
        for line in reader.lines():
            shown.append(cut.shown(line))
            if cut.is_full():
                break
        out.write(b"".join(shown))
        await out.drain()
        if reader.at_end():
            return
        await asyncio.sleep(0)


async def _until(growth: "kernel.Growth", out: Writer, over: asyncio.Event) -> None:
    """Wait for growth, the container's end, the reader's going, or a while."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RECHECK_S):
            await pumps.first_of(growth.wait(), out.wait_closed(), over.wait())
