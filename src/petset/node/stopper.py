"""Stops one container: preStop hook, its stop signal, the grace period, SIGKILL."""

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field

from petset.api.meta import Obj
from petset.node.check import Target
from petset.node.runtime.base import Run
from petset.node.tools import Tools

KILL_AGAIN_S = 10.0
AFTER_HOOK_S = 2.0
"""What is left for the stop signal when the hook has used up the grace."""


@dataclass(slots=True)
class Stopping:
    """A stop in flight. `deadline` is on the event loop's clock and only moves closer."""

    run: Run
    deadline: float
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def shorten(self, deadline: float) -> None:
        """Take `deadline` if it is earlier."""
        if deadline < self.deadline:
            self.deadline = deadline
            self.moved.set()

    async def until_deadline(self, extra_s: float = 0.0) -> bool:
        """Wait until the container ended (True) or the deadline passed (False)."""
        loop = asyncio.get_running_loop()
        while not self.ended.is_set():
            left = self.deadline + extra_s - loop.time()
            if left <= 0:
                return False
            self.moved.clear()
            await _any(left, self.ended, self.moved)
        return True


async def _any(timeout_s: float, *events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def stop_signal(spec: Obj, run: Run) -> int:
    """The number of the signal that asks the container to stop."""
    name = (spec.get("lifecycle") or {}).get("stopSignal") or run.stop_signal or "SIGTERM"
    if name.isdigit():
        return int(name)
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    if full.startswith("SIGRTMIN+"):
        return int(signal.SIGRTMIN) + int(full.removeprefix("SIGRTMIN+"))
    with contextlib.suppress(KeyError):
        return int(signal.Signals[full])
    return int(signal.SIGTERM)


async def stop(tools: Tools, stopping: Stopping, target: Target) -> bool:
    """Stop the container; it has ended when this returns. False: its preStop hook failed."""
    hook = (target.spec.get("lifecycle") or {}).get("preStop")
    loop = asyncio.get_running_loop()
    hooked = True
    extra = 0.0
    if hook and stopping.run.state == "running" and stopping.deadline > loop.time():
        hooked = await _pre_stop(tools, stopping, target, hook)
        extra = max(0.0, min(AFTER_HOOK_S, AFTER_HOOK_S - (stopping.deadline - loop.time())))
    run_id = stopping.run.id
    asking = asyncio.ensure_future(_ask(tools, run_id, stop_signal(target.spec, stopping.run)))
    try:
        if not await stopping.until_deadline(extra):
            tools.runtime.kill(run_id)
    finally:
        asking.cancel()
        await asyncio.wait({asking})
    while not stopping.ended.is_set():
        await _any(KILL_AGAIN_S, stopping.ended)
        if not stopping.ended.is_set():
            tools.runtime.kill(run_id)
    return hooked


async def _ask(tools: Tools, run_id: str, number: int) -> None:
    """Send the stop signal until it can be heard: who has just begun may not listen yet."""
    pause_s = 0.01
    while not tools.runtime.signal(run_id, number):
        await asyncio.sleep(pause_s)
        pause_s = min(1.0, pause_s * 1.5)


async def _pre_stop(tools: Tools, stopping: Stopping, target: Target, hook: Obj) -> bool:
    async def body() -> bool:
        if hook.get("sleep"):
            await asyncio.sleep(float(hook["sleep"].get("seconds") or 0))
            return True
        left = max(0.1, stopping.deadline - asyncio.get_running_loop().time())
        return (await tools.checker.check(target, hook, left)).success

    task = asyncio.ensure_future(body())
    waiter = asyncio.ensure_future(stopping.until_deadline())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else stopping.ended.is_set()
    finally:
        for one in (task, waiter):
            one.cancel()
        await asyncio.wait({task, waiter})
