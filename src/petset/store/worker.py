"""Where blocking work of a store runs: a thread of its own, or the event loop itself.

Invariant: jobs run one at a time, in the order given; results come back on the loop, in order.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Protocol

Job = Callable[[], None]
Done = Callable[[BaseException | None], None]
"""Told on the loop how a job ended: None, or what it raised."""


class Worker(Protocol):
    """Runs jobs."""

    def submit(self, job: Job, done: Done) -> None:
        """Run `job` after those given before, then call `done` on the loop."""
        ...

    async def close(self) -> None:
        """Wait for the jobs given and stop."""
        ...


def _run(job: Job) -> BaseException | None:
    try:
        job()
    except BaseException as error:  # handed to `done`, which is where it is raised again
        return error
    return None


class Thread:
    """One thread. To be made on the loop that shall get the results."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[Job, Done] | None] = queue.SimpleQueue()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job, done: Done) -> None:
        """Run `job` after those given before, then call `done` on the loop."""
        self._jobs.put((job, done))

    async def close(self) -> None:
        """Wait for the jobs given and stop."""
        self._jobs.put(None)
        await self._stopped.wait()
        self._thread.join()

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, done = entry
            self._tell(done, _run(job))
        self._tell(lambda _: self._stopped.set(), None)

    def _tell(self, done: Done, result: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(done, result)


class Inline:
    """The loop itself, for jobs that do not block: deterministic, also under virtual time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def submit(self, job: Job, done: Done) -> None:
        """Run `job` in a later turn of the loop, then call `done`."""
        self._loop.call_soon(lambda: done(_run(job)))

    async def close(self) -> None:
        """Let the jobs given have their turn."""
        await asyncio.sleep(0)
