"""The wall clock, passed in as a value.

Invariant: no other module of petset reads the wall clock. Waiting is done with asyncio timers, so
that a virtual event loop moves both together (`loopclock`).
"""

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
