"""Tells why a pod has no node: an event and the condition PodScheduled.

Reports are held back for a moment, so that a pod which only waits for its claim to be bound, or
for the first nodes to come, is placed without a trace of failure.
"""

import asyncio
from collections.abc import Callable

from petset.api import meta
from petset.api.meta import Obj
from petset.base.clock import Clock
from petset.reconcile.actions import Emit, Patch, Plan
from petset.reconcile.execute import Executor

HOLD_S = 0.1
TRIES = 3
GATED = "Scheduling is blocked due to non-empty scheduling gates"

Message = tuple[str, str]
"""Reason and text of the condition."""

Lookup = Callable[[Obj], Obj | None]
"""The pod as the cache has it now; None when it is gone or placed."""


class Reports:
    """Reports of pods that were refused."""

    def __init__(self, executor: Executor, clock: Clock, lookup: Lookup) -> None:
        self._executor = executor
        self._clock = clock
        self._lookup = lookup
        self._messages: dict[str, Message] = {}
        self._told: dict[str, Message] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._due: asyncio.Queue[Obj] = asyncio.Queue()

    def hold(self, pod: Obj, message: str) -> None:
        """Report `message` soon, unless the pod is placed by then. The newest message counts."""
        uid = meta.uid_of(pod)
        self._messages[uid] = ("Unschedulable", message)
        if uid not in self._timers and self._told.get(uid) != self._messages[uid]:
            loop = asyncio.get_running_loop()
            self._timers[uid] = loop.call_later(HOLD_S, self._ripe, pod)

    def gated(self, pod: Obj) -> None:
        """Say that the pod waits for its scheduling gates."""
        self._messages[meta.uid_of(pod)] = ("SchedulingGated", GATED)
        self._due.put_nowait(pod)

    def drop(self, uid: str) -> None:
        """The pod was placed or is gone."""
        self._messages.pop(uid, None)
        self._told.pop(uid, None)
        if (timer := self._timers.pop(uid, None)) is not None:
            timer.cancel()

    async def run(self) -> None:
        """Write reports until cancelled."""
        try:
            while True:
                await self._report(await self._due.get())
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def _ripe(self, pod: Obj) -> None:
        self._timers.pop(meta.uid_of(pod), None)
        self._due.put_nowait(pod)

    async def _report(self, pod: Obj) -> None:
        uid = meta.uid_of(pod)
        for _ in range(TRIES):
            current, message = self._lookup(pod), self._messages.get(uid)
            if current is None or message is None or self._told.get(uid) == message:
                return
            patch = condition_patch(current, *message, self._clock.now())
            done = await self._executor.execute(Plan((patch,) if patch else ()))
            if done.failure is None and uid in self._messages:
                self._told[uid] = message
                if message[0] == "Unschedulable":
                    event = Emit(current, "Warning", "FailedScheduling", message[1])
                    self._executor.emit(event)
                return


def condition_patch(pod: Obj, reason: str, message: str, now: float) -> Patch | None:
    """The patch that sets PodScheduled=False; None when the pod says so already."""
    present = meta.condition_of(pod, "PodScheduled") or {}
    if (present.get("reason"), present.get("message")) == (reason, message):
        return None
    since = meta.format_time(now)
    if present.get("status") == "False":
        since = present.get("lastTransitionTime") or since
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }
    others = (pod.get("status") or {}).get("conditions") or ()
    return Patch(
        "pods",
        meta.namespace_of(pod),
        meta.name_of(pod),
        {"status": {"conditions": [c for c in others if c is not present] + [condition]}},
        subresource="status",
        uid=meta.uid_of(pod),
        resource_version=meta.version_of(pod),
    )
