"""Writes a pod's status to the API: only what changed, the newest state only, until it is taken."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from petset.api import errors
from petset.api.meta import MutableObj, Obj, name_of, namespace_of, uid_of
from petset.client.transport import TransportError
from petset.node import status
from petset.node.tools import Tools

HOLD_S = 0.25
"""How long an unimportant change may wait to be written together with later ones."""
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 10.0

_log = logging.getLogger(__name__)


class Publisher:
    """The status of one pod on its way to the API.

    Args:
        taken: told of the object that each write answers.
    """

    def __init__(self, tools: Tools, taken: Callable[[Obj], None]) -> None:
        self._tools = tools
        self._taken = taken
        self._wanted: tuple[Obj, MutableObj] | None = None
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._paused = False

    def offer(self, pod: Obj, wanted: MutableObj) -> None:
        """The pod's status should be `wanted`; `pod` is its newest object known."""
        self._wanted = (pod, wanted)
        old = pod.get("status") or {}
        if status.difference(old, wanted):
            self._news.set()
            if not status.can_wait(old, wanted):
                self._urgent.set()

    def pause(self) -> None:
        """Write nothing more: the object is about to go."""
        self._paused = True

    async def run(self) -> None:
        """Write whenever there is something to write, until cancelled."""
        delay = RETRY_FIRST_S
        while True:
            await self._news.wait()
            await self._hold()
            self._news.clear()
            self._urgent.clear()
            if self._paused or self._wanted is None:
                continue
            try:
                await self._write(*self._wanted)
            except (TransportError, errors.StatusError) as error:
                if isinstance(error, errors.StatusError) and error.code in (404, 409):
                    continue  # gone, or another pod of that name: the watch will tell
                _log.info("status of pod not written: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)
                self._news.set()
                self._urgent.set()
            else:
                delay = RETRY_FIRST_S

    async def _hold(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S):
                await self._urgent.wait()

    async def _write(self, pod: Obj, wanted: MutableObj) -> None:
        patch = status.difference(pod.get("status") or {}, wanted)
        if not patch:
            return
        body = {"metadata": {"uid": uid_of(pod)}, "status": patch}
        answer = await self._tools.client.patch(
            "pods", name_of(pod), body, namespace_of(pod), subresource="status"
        )
        self._taken(answer)
