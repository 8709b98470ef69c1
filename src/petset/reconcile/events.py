"""Events of one controller on their way out: recorded in the background, in order.

Invariant: memory is bounded; recording neither delays nor fails a plan.
"""

import asyncio
from collections import deque

from petset.reconcile.actions import Emit
from petset.reconcile.context import Recorder

BACKLOG_MAX = 1024
"""Events kept at most; beyond that the oldest are dropped."""


class Events:
    """A queue of events in front of a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._backlog: deque[Emit] = deque(maxlen=BACKLOG_MAX)
        self._filled = asyncio.Event()

    def emit(self, event: Emit) -> None:
        """Queue an event."""
        self._backlog.append(event)
        self._filled.set()

    async def run(self) -> None:
        """Record what is queued until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self.drain()

    async def drain(self) -> None:
        """Record everything that is queued now."""
        while self._backlog:
            event = self._backlog.popleft()
            await self._recorder.record(event.involved, event.kind, event.reason, event.message)
