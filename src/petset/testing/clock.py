"""Virtual time: an asyncio loop whose clock jumps to the next timer when nothing is ready.

Hours of back-off, grace periods and leases pass in milliseconds, and equal inputs give equal runs.
Files and sockets that are readable are still served first; blocking calls given to an executor run
at once on the loop itself, so that no thread is outrun by the clock.

Invariant: time leaps only while every task waits. A turn of the loop takes `TURN_S`, so that a wait
too short to be told from none comes to its end.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

TURN_S = 1e-7

T = TypeVar("T")
Events = list[tuple[selectors.SelectorKey, int]]


class DeadlockError(RuntimeError):
    """Every task waits for something that can never come: no timer is set, nothing is readable."""


class _Selector(selectors.DefaultSelector):
    """Reports what is ready now; instead of waiting it tells `jump` how long the wait would be."""

    def __init__(self) -> None:
        super().__init__()
        self.jump: Callable[[float], None] = lambda seconds: None

    def select(self, timeout: float | None = None) -> Events:
        """What is ready; time has moved by `timeout` when nothing is."""
        self.jump(TURN_S)
        if timeout == 0 and len(self.get_map()) < 2:
            return []  # only the loop's own pipe, which says that the loop shall not sleep
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise DeadlockError("virtual time: every task waits and no timer is set")
        self.jump(max(timeout, 0.0))
        return ready


class InlineLoop(asyncio.SelectorEventLoop):
    """An event loop without threads: what is given to an executor runs on the loop itself."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Run `func` in a later turn of the loop; the executor is not used."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(_run_into, future, func, args)
        return future


class VirtualLoop(InlineLoop):
    """The event loop of virtual time. Starts at 0 seconds."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        selector = _Selector()
        selector.jump = self._jump
        super().__init__(selector)

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._virtual_s

    def _jump(self, seconds: float) -> None:
        self._virtual_s += seconds


def _run_into(future: "asyncio.Future[T]", func: Callable[..., T], args: tuple[Any, ...]) -> None:
    if future.done():
        return
    try:
        future.set_result(func(*args))
    except (KeyboardInterrupt, SystemExit, StopIteration):
        raise
    except BaseException as error:
        future.set_exception(error)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` like `asyncio.run`, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
