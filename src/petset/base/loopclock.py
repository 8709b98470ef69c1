"""The wall clock of tests: it goes with the event loop's time."""

import asyncio


class LoopClock:
    """Wall time derived from the running event loop's time, for virtual time in tests."""

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch = epoch

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC: the epoch given plus the loop's time."""
        return self._epoch + asyncio.get_running_loop().time()
