"""A disk that can lose power: what was synced stays, what was only written is gone.

The store's own driver syncs each commit before it says so, and does not sync when it lets go of
history; `Disk` does the same. `Disk(honest=False)` says so before it has synced, for tests that
want to see that such a loss is found.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random

from petset.store.drivers.memory import MemoryDriver
from petset.store.drivers.types import DriverError, Loaded
from petset.store.types import Event, Item
from petset.store.worker import Done, Job

SYNC_EVERY = 16
"""Commits between the syncs of a disk that is not honest."""


class Disk:
    """A driver whose contents outlive the store, as far as they were synced."""

    def __init__(self, *, honest: bool = True) -> None:
        self._honest = honest
        self._seen = MemoryDriver()
        self._synced = MemoryDriver()
        self._tail: list[Callable[[MemoryDriver], object]] = []
        self._commits = 0

    def load(self, history_bytes: int) -> Loaded:
        """Read everything: all objects, and the newest `history_bytes` bytes of history."""
        return self._seen.load(history_bytes)

    def commit(self, events: Sequence[Event]) -> None:
        """Write `events`, and sync."""
        self._do(lambda driver: driver.commit(events))
        self._commits += 1
        if self._honest or self._commits % SYNC_EVERY == 0:
            self._sync()

    def compact(self, upto: int) -> bool:
        """Drop the history up to and including revision `upto`; synced with what follows."""
        self._do(lambda driver: driver.compact(upto))
        return False

    def restore(self, revision: int, rows: Mapping[str, Item | None]) -> None:
        """Forget whatever happened after `revision`, and sync."""
        self._do(lambda driver: driver.restore(revision, rows))
        self._sync()

    def close(self) -> None:
        """Nothing to close."""

    def lose_power(self) -> None:
        """What was not synced is gone."""
        self._tail.clear()
        self._seen = self._synced.copy()

    def _do(self, change: Callable[[MemoryDriver], object]) -> None:
        change(self._seen)
        self._tail.append(change)

    def _sync(self) -> None:
        for change in self._tail:
            change(self._synced)
        self._tail.clear()


class Spindle:
    """A worker that takes its time for each job, and none after the power is gone.

    Args:
        delay_max_s: longest time that a job waits, and that its end takes to be told.
    """

    def __init__(self, rng: Random, delay_max_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._rng = rng
        self.delay_max_s = delay_max_s
        self._dead = False

    def submit(self, job: Job, done: Done) -> None:
        """Run `job` a little later, then call `done`; neither once the power is gone."""
        self._later(lambda: self._run(job, done))

    async def close(self) -> None:
        """Let the jobs given have their turn."""
        await asyncio.sleep(2 * self.delay_max_s)

    def lose_power(self) -> None:
        """Stop in the middle."""
        self._dead = True

    def _run(self, job: Job, done: Done) -> None:
        error: DriverError | None = None
        try:
            job()
        except DriverError as raised:
            error = raised
        self._later(lambda: done(error))

    def _later(self, call: Callable[[], None]) -> None:
        def run() -> None:
            if not self._dead:
                call()

        self._loop.call_later(self._rng.uniform(0.0, self.delay_max_s), run)
