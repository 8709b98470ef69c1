"""The wall clock, passed in as a value.

Invariant: no other module of petset reads the wall clock. Waiting is done with asyncio timers, so
that a virtual event loop moves both together.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the wall-clock time."""

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        return time.time()


class LoopClock:
    """Wall time derived from the running event loop's time, for virtual time in tests."""

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch = epoch

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC: the epoch given plus the loop's time."""
        return self._epoch + asyncio.get_running_loop().time()
