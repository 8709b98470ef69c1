"""A deadline that is moved often and rarely reached, such as a connection's idle timeout."""

import asyncio
from collections.abc import Callable

_FOREVER = float("inf")


class Deadline:
    """Calls `expire` when it is reached. To be used on one event loop.

    Moving it is cheap: the timer is set again only when it fires too early.
    """

    __slots__ = ("_expire", "_loop", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[], None]) -> None:
        self._loop = loop
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None
        self._when = _FOREVER

    def set(self, delay_s: float) -> None:
        """Move it to so many seconds from now."""
        self._when = self._loop.time() + delay_s
        if self._timer is None or self._timer.when() > self._when:
            self.stop()
            self._timer = self._loop.call_at(self._when, self._ring)

    def never(self) -> None:
        """Disarm it."""
        self._when = _FOREVER

    def stop(self) -> None:
        """Cancel the timer for good."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._when == _FOREVER:
            return
        if self._loop.time() < self._when:
            self._timer = self._loop.call_at(self._when, self._ring)
        else:
            self._expire()
