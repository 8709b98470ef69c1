"""A queue of keys with delay, back-off and de-duplication, as controllers need it."""

import asyncio


class Queue:
    """Keys to process. A key is handed to one worker at a time and never twice in the queue.

    Times are seconds on the running event loop's clock.

    Args:
        base_s: first delay of `retry`; each further one is twice as long.
        max_s: longest delay of `retry`.

    Attributes:
        adds: how often a key was queued.
        retries: how often one was given to `retry`.
    """

    def __init__(self, *, base_s: float = 0.005, max_s: float = 1000.0) -> None:
        self.adds = self.retries = 0
        self._base_s = base_s
        self._max_s = max_s
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._dirty: set[str] = set()
        self._taken: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """How many keys wait for a worker now (delayed ones not counted)."""
        return len(self._dirty)

    def add(self, key: str) -> None:
        """Queue `key`; if a worker has it, it comes again after `done`."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        self.adds += 1
        if key not in self._taken:
            self._ready.put_nowait(key)

    def add_after(self, key: str, delay_s: float) -> None:
        """Queue `key` after `delay_s`; an earlier time already planned wins."""
        if delay_s <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + delay_s
        planned = self._timers.get(key)
        if planned is not None:
            if planned.when() <= when:
                return
            planned.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def retry(self, key: str) -> None:
        """Queue `key` with exponential back-off (5 ms doubling up to 1000 s by default)."""
        self.retries += 1
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(self._max_s, self._base_s * 2.0 ** min(failures, 60)))

    def forget(self, key: str) -> None:
        """Reset the back-off of `key`."""
        self._failures.pop(key, None)

    def failures(self, key: str) -> int:
        """How often `key` was given to `retry` since the last `forget`."""
        return self._failures.get(key, 0)

    async def get(self) -> str:
        """Wait for the next key and take it."""
        key = await self._ready.get()
        self._dirty.discard(key)
        self._taken.add(key)
        return key

    def done(self, key: str) -> None:
        """Give back a key taken by `get`."""
        self._taken.discard(key)
        if key in self._dirty:
            self._ready.put_nowait(key)

    def close(self) -> None:
        """Drop every delayed key, so that no timer stays behind."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, key: str) -> None:
        del self._timers[key]
        self.add(key)
