"""Plays rounds of a fuzz target and watches what must never happen.

A target is an async context manager that gives a function: one round of random input, drawn from
the generator that it is handed. A round fails by raising. Beside that nothing may be logged as an
error, nothing may reach the loop's exception handler, no round may take long, and the same rounds
played again may not leave more objects behind than the first time.
"""

import asyncio
import gc
import logging
import resource
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from random import Random
from typing import Any

Round = Callable[[Random], Awaitable[None]]
Target = Callable[[], AbstractAsyncContextManager[Round]]

ROUND_S = 20.0
"""Wall clock that a round may wait: only what hangs takes so long."""
ROUND_CPU_S = 4.0
"""Processor time of one round: inputs are small, only what grows out of proportion takes it."""
SLACK_OBJECTS = 400
"""Objects that a second pass may leave beside the first: caches that evict."""


class Found(AssertionError):  # noqa: N818 (a find)
    """Something was found: the message says how to play it again."""


class Watchman(logging.Handler):
    """Collects what would otherwise only be logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        frames = traceback.extract_tb(error.__traceback__) if error is not None else []
        where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        self.seen.append(f"{record.getMessage()}: {error!r}{where}")

    def hear(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        self.seen.append(f"{context.get('message')}: {context.get('exception')!r}")


@contextmanager
def watching() -> Iterator[Watchman]:
    """Watch logs and the running loop."""
    watchman, root, loop = Watchman(), logging.getLogger(), asyncio.get_running_loop()
    root.addHandler(watchman)
    loop.set_exception_handler(watchman.hear)
    try:
        yield watchman
    finally:
        root.removeHandler(watchman)
        loop.set_exception_handler(None)


async def play_one(name: str, target: Target, seed: int, number: int) -> None:
    """Round `number` on a fresh target. Raises Found."""
    async with target() as play:
        with watching() as watchman:
            await _guarded(play, name, seed, number, watchman)


async def play_pass(
    name: str,
    target: Target,
    seed: int,
    numbers: range,
    tell: Callable[[Found], None] | None = None,
) -> None:
    """The rounds `numbers` on one fresh target. Raises Found, or goes on where `tell` is given."""
    with watching() as watchman:
        async with target() as play:
            for number in numbers:
                try:
                    await _guarded(play, name, seed, number, watchman)
                except Found as found:
                    if tell is None:
                        raise
                    watchman.seen.clear()
                    tell(found)
        if watchman.seen:
            raise Found(f"{name} --seed {seed}, at the end: {watchman.seen}")


async def _guarded(play: Round, name: str, seed: int, number: int, watchman: Watchman) -> None:
    before = time.process_time()
    try:
        async with asyncio.timeout(ROUND_S):
            await play(Random(f"{name}/{seed}/{number}"))
    except Exception as error:
        text = f"{watchman.seen} {type(error).__name__}: {error}"[:2000]
        raise Found(f"{name} --seed {seed} --round {number}: {text}") from error
    took = time.process_time() - before
    if took > ROUND_CPU_S:
        raise Found(f"{name} --seed {seed} --round {number}: took {took:.1f} s of the processor")
    if watchman.seen:
        raise Found(f"{name} --seed {seed} --round {number}: {watchman.seen}")


def objects() -> int:
    """How many objects the collector knows, after it has been."""
    gc.collect()
    return len(gc.get_objects())


def resident_mib() -> float:
    """The most memory that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def play(name: str, target: Target, seed: int, rounds: int) -> None:
    """`rounds` rounds, three times over: what the second time left, the third may not add to."""
    for _ in range(2):
        await play_pass(name, target, seed, range(rounds))
    before = objects()
    await play_pass(name, target, seed, range(rounds))
    more = objects() - before
    if more > SLACK_OBJECTS:
        raise Found(f"{name} --seed {seed}: the same rounds again left {more} objects more")
