"""The manager: nothing works before the caches are there."""

import asyncio

from petset.client.queue import Queue
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller
from petset.reconcile.manager import Manager
from tests.unit.reconcile.fakes import FakeClient, context


class Watching(Controller[str]):
    """Notes whether its cache was there when the work began."""

    name = "watching"
    component = "watching-controller"

    def __init__(self, ctx: Context) -> None:
        self.caches = (ctx.informers.cache("pods"),)
        self.synced: list[bool] = []

    def watch(self, queue: Queue) -> None:
        self.synced.append(self.caches[0].synced)
        queue.add("a")

    async def observe(self, key: str) -> str | None:
        return key

    def plan(self, seen: str, now: float) -> Plan:
        del seen, now
        self.synced.append(self.caches[0].synced)
        return Plan()


async def test_controllers_start_when_the_first_lists_are_in() -> None:
    made: list[Watching] = []

    def make(ctx: Context) -> Watching:
        made.append(Watching(ctx))
        return made[-1]

    ctx = context(FakeClient())
    manager = Manager(ctx, [("watching", make)])
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(manager.run(informers=False))
        await asyncio.sleep(0)
        assert made[0].synced == []
        assert not manager.started.is_set()
        ctx.informers.cache("pods").replace([], "1")
        await manager.started.wait()
        while len(made[0].synced) < 2:
            await asyncio.sleep(0)
        task.cancel()
    assert made[0].synced == [True, True]
