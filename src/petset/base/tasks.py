"""Supervised tasks: a crash is logged, counted and followed by a restart.

Invariant: cancellation always gets through; only bugs are caught here.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

crashes: Counter[str] = Counter()
"""Crashes by task name since the process began, for metrics."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart, in seconds.

    Attributes:
        first_s: after the first crash; doubled by each one that follows.
        limit_s: at most.
        steady_s: a run of at least this length makes the next crash a first one again.
    """

    first_s: float = 0.1
    limit_s: float = 30.0
    steady_s: float = 60.0


async def supervise(
    name: str, factory: Callable[[], Awaitable[None]], backoff: Backoff | None = None
) -> None:
    """Run `factory()` until it returns; restart it, with back-off, whenever it raises."""
    pace = backoff or Backoff()
    loop = asyncio.get_running_loop()
    delay_s = pace.first_s
    while True:
        began = loop.time()
        try:
            await factory()
        except Exception:  # a bug kills the task, not the process
            crashes[name] += 1
            if loop.time() - began >= pace.steady_s:
                delay_s = pace.first_s
            log.exception("%s crashed and starts again in %.1f s", name, delay_s)
        else:
            return
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, pace.limit_s)
