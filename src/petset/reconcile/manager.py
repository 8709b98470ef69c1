"""Starts the informers and the controllers of one process, and keeps them running.

Invariant: no controller works before every cache it was given has its first list.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from petset.reconcile.context import Context
from petset.reconcile.loop import Controller, Loop

Factory = Callable[[Context], Controller[Any]]


class Manager:
    """The controllers of one process.

    Args:
        factories: (name, factory) in starting order, as `controllers.registry.CONTROLLERS`.
    """

    def __init__(self, ctx: Context, factories: Sequence[tuple[str, Factory]]) -> None:
        self._ctx = ctx
        self.loops = {name: Loop(factory(ctx), ctx) for name, factory in factories}
        self.started = asyncio.Event()

    async def run(self, *, informers: bool = True) -> None:
        """Run until cancelled. `informers` False: somebody else runs the caches."""
        async with asyncio.TaskGroup() as group:
            if informers:
                group.create_task(self._ctx.informers.run(), name="informers")
            await self._ctx.informers.wait_synced()
            for name, loop in self.loops.items():
                group.create_task(loop.run(), name=name)
            self.started.set()
