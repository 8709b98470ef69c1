"""Time limits of requests: one shared timer, because nearly all requests end long before theirs.

Invariant: while a block runs under a limit, the timer is set to its end or earlier; while none
does, no timer is set.
"""

import asyncio
from types import TracebackType


class Overtime:
    """Ends blocks that run longer than their limits. To be used on one event loop."""

    def __init__(self) -> None:
        self._spans: set[Span] = set()
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, seconds: float) -> "Span":
        """A block (`with`) that is cancelled and raises TimeoutError after `seconds`."""
        return Span(self, seconds)

    def begin(self, span: "Span") -> None:
        """From a span: it has begun."""
        self._spans.add(span)
        if self._timer is None or span.due < self._timer.when():
            self._set(span.due)

    def end(self, span: "Span") -> None:
        """From a span: it has ended."""
        self._spans.discard(span)
        if not self._spans and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for span in [span for span in self._spans if span.due <= now]:
            self._spans.discard(span)
            span.expire()
        if self._spans:
            self._set(min(span.due for span in self._spans))


class Span:
    """One block under a limit, as `asyncio.timeout` would have it."""

    __slots__ = ("_before", "_expired", "_overtime", "_seconds", "_task", "due")

    def __init__(self, overtime: Overtime, seconds: float) -> None:
        self._overtime = overtime
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a limit needs a task"
        self._task = task
        self._before = task.cancelling()
        self.due = task.get_loop().time() + self._seconds
        self._overtime.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._overtime.end(self)
        if not self._expired or self._task.uncancel() > self._before:
            return
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """The time is up."""
        self._expired = True
        self._task.cancel()
