"""Real time that can be moved on: an asyncio loop that leaps over waits when it is told to.

Between leaps the loop is an ordinary one. During a leap it does as a `VirtualLoop` does: whenever
nothing is ready its clock jumps to the next timer, and what that timer sets off is done before the
next jump. So an hour of heartbeats, back-offs and deadlines happens in its own order, in moments.

Invariant: time never goes back, and a leap ends at the very time it was meant for.
"""

import asyncio
import selectors
from collections.abc import Callable

from petset.base.clock import Clock, SystemClock
from petset.testing.clock import InlineLoop

Events = list[tuple[selectors.SelectorKey, int]]


class _Selector(selectors.DefaultSelector):
    """Asks `leap` whether to wait."""

    leap: Callable[[float | None], bool]

    def select(self, timeout: float | None = None) -> Events:
        """What is ready, now or within `timeout`; during a leap nothing is waited for."""
        if timeout == 0:
            return super().select(0)
        ready = super().select(0)
        if ready or self.leap(timeout):
            return ready
        return super().select(timeout)


class PacedLoop(InlineLoop):
    """The loop. Its time is the machine's monotonic time and all that was leapt over.

    Attributes:
        ahead_s: the sum of all leaps so far, in seconds.
    """

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._target_s: float | None = None
        self._landed: asyncio.Future[None] | None = None
        selector = _Selector()
        selector.leap = self._leap
        super().__init__(selector)

    def time(self) -> float:
        """Seconds of this loop's time."""
        return super().time() + self.ahead_s

    async def advance(self, seconds: float) -> None:
        """Leap `seconds` ahead. To be called on this loop, one leap at a time."""
        assert self._landed is None, "a leap is under way"
        self._target_s = self.time() + seconds
        self._landed = asyncio.Future(loop=self)
        try:
            await self._landed
        finally:
            self._target_s = self._landed = None

    def _leap(self, timeout: float | None) -> bool:
        """Jump to the next timer, at most to the target; whether a leap is under way."""
        if self._target_s is None:
            return False
        left = max(0.0, self._target_s - self.time())
        step = left if timeout is None else min(timeout, left)
        self.ahead_s += step
        if step >= left and self._landed is not None and not self._landed.done():
            self._landed.set_result(None)
            self._target_s = None
        return True


class PacedClock:
    """Wall-clock time that moves with the leaps of a loop."""

    def __init__(self, loop: PacedLoop, clock: Clock | None = None) -> None:
        self._loop = loop
        self._clock = clock or SystemClock()

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC: the machine's time and all that was leapt over."""
        return self._clock.now() + self._loop.ahead_s
