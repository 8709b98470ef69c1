"""The loop of one controller: outcomes, back-off, bugs, stale caches."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from petset.api import errors
from petset.client.queue import Queue
from petset.reconcile.actions import Create, Delete, Emit, Plan
from petset.reconcile.loop import After, Controller, Done, Loop, Retry, Terminal
from tests.unit.reconcile.fakes import FakeClient, Said, context, pod

Make = Callable[[str], Plan]


class Scripted(Controller[str]):
    """Plans what it was told to."""

    name = "scripted"
    component = "scripted-controller"
    workers = 2

    def __init__(self, make: Make) -> None:
        self.make = make
        self.planned: list[str] = []
        self.finished: list[str] = []
        self.observe_error: Exception | None = None

    def watch(self, queue: Queue) -> None:
        queue.add("a")

    async def observe(self, key: str) -> str | None:
        if self.observe_error is not None:
            raise self.observe_error
        return None if key == "gone" else key

    def plan(self, seen: str, now: float) -> Plan:
        assert now > 0
        self.planned.append(seen)
        return self.make(seen)

    def finish(self, key: str, seen: str) -> None:
        self.finished.append(f"{key}={seen}")


class Bench:
    """A loop around a scripted controller."""

    def __init__(self, make: Make) -> None:
        self.client, self.said = FakeClient(), Said()
        self.controller = Scripted(make)
        self.ctx = context(self.client, self.said)
        self.pods = self.ctx.informers.cache("pods")
        self.pods.replace([], "1")
        self.controller.caches = (self.pods,)
        self.loop = Loop(self.controller, self.ctx)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            task = group.create_task(self.loop.run())
            yield
            task.cancel()

    async def planned(self, count: int) -> None:
        while len(self.controller.planned) < count:
            await asyncio.sleep(0)


async def test_outcomes_follow_from_plan_and_failure() -> None:
    plans = {
        "nothing": Plan(),
        "later": Plan(requeue_after_s=3.0),
        "write": Plan((Create("pods", pod("p")),), requeue_after_s=3.0),
    }
    bench = Bench(plans.__getitem__)
    assert await bench.loop.turn("nothing") == Done()
    assert await bench.loop.turn("later") == After(3.0)
    assert await bench.loop.turn("gone") == Done()
    bench.client.failures["create pods default/p"] = errors.conflict("pods", "p")
    assert isinstance(await bench.loop.turn("write"), Retry)
    bench.client.failures["create pods default/p"] = errors.not_implemented("this")
    assert isinstance(await bench.loop.turn("write"), Terminal)
    going = {"causes": [{"reason": "NamespaceTerminating"}]}
    refusal = errors.StatusError(403, "Forbidden", "being terminated", going)
    bench.client.failures["create pods default/p"] = refusal
    assert await bench.loop.turn("write") == Done()
    assert bench.controller.finished == ["nothing=nothing", "later=later"]


async def test_a_key_is_not_planned_again_before_its_write_was_seen() -> None:
    bench = Bench(lambda key: Plan((Create("pods", pod("p")),)))
    assert await bench.loop.turn("a") == Done()
    assert isinstance(await bench.loop.turn("a"), After)
    assert isinstance(await bench.loop.turn("a"), After)
    assert bench.client.calls == ["create pods default/p"]
    bench.pods.apply("ADDED", pod("p", 11))
    assert await bench.loop.turn("a") == Done()
    assert len(bench.client.calls) == 2


async def test_a_failing_look_is_tried_again() -> None:
    bench = Bench(lambda key: Plan())
    bench.controller.observe_error = errors.unavailable("not now")
    assert isinstance(await bench.loop.turn("a"), Retry)


async def test_a_bug_in_one_key_is_retried_and_the_others_go_on() -> None:
    broken = {"a": 2}

    def make(key: str) -> Plan:
        if broken.get(key, 0):
            broken[key] -= 1
            raise ZeroDivisionError
        return Plan()

    bench = Bench(make)
    async with bench.running():
        bench.loop.queue.add("b")
        await bench.planned(4)
    assert sorted(bench.controller.planned) == ["a", "a", "a", "b"]
    retried = bench.ctx.metrics.value(
        "petset_controller_turns_total", controller="scripted", outcome="retry"
    )
    assert retried == 2


async def test_a_wake_up_in_the_future_comes_by_itself() -> None:
    waits = [0.01, 0.01, None]
    bench = Bench(lambda key: Plan(requeue_after_s=waits[len(bench.controller.planned) - 1]))
    async with bench.running():
        await bench.planned(3)
    assert bench.controller.planned == ["a", "a", "a"]


async def test_events_are_recorded_beside_the_work_in_order() -> None:
    events = tuple(Emit({}, "Normal", f"R{i}", "m") for i in range(3))
    bench = Bench(lambda key: Plan((*events, Delete("pods", "default", "x"))))
    async with bench.running():
        while len(bench.said.events) < 3:
            await asyncio.sleep(0)
    assert [reason for _, reason, _ in bench.said.events] == ["R0", "R1", "R2"]


async def test_a_key_whose_plan_is_expensive_pauses_before_its_next_plan() -> None:
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0

    def expensive(key: str) -> Plan:
        nonlocal ahead
        ahead += 0.02 if key == "expensive" else 0.0
        return Plan()

    bench = Bench(expensive)
    loop.time = lambda: real() + ahead  # type: ignore[method-assign]
    try:
        assert [await bench.loop.turn("cheap") for _ in range(2)] == [Done(), Done()]
        assert await bench.loop.turn("expensive") == Done()
        assert isinstance(await bench.loop.turn("expensive"), After)
        assert bench.controller.planned.count("expensive") == 1
        ahead += 1.0
        assert await bench.loop.turn("expensive") == Done()
    finally:
        loop.time = real  # type: ignore[method-assign]
