import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from petset.testing.paced import PacedClock, PacedLoop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=PacedLoop) as runner:
        return runner.run(main)


def loop() -> PacedLoop:
    found = asyncio.get_running_loop()
    assert isinstance(found, PacedLoop)
    return found


def test_a_leap_does_what_lies_in_it_in_order() -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []
        began = loop().time()

        async def beat(name: str, every_s: float) -> None:
            while True:
                await asyncio.sleep(every_s)
                seen.append((name, loop().time() - began))

        tasks = [asyncio.ensure_future(beat("a", 700)), asyncio.ensure_future(beat("b", 900))]
        await asyncio.sleep(0)
        await loop().advance(1810)
        for task in tasks:
            task.cancel()
        return seen

    seen = run(main())
    assert [name for name, _ in seen] == ["a", "b", "a", "b"]
    assert [at for _, at in seen] == pytest.approx([700, 900, 1400, 1800], abs=30)


def test_a_leap_moves_loop_and_wall_clock_alike_and_ends_where_it_should() -> None:
    async def main() -> tuple[float, float]:
        clock, began, wall = PacedClock(loop()), loop().time(), time.time()
        await loop().advance(3600)
        return loop().time() - began, clock.now() - wall

    assert list(run(main())) == pytest.approx([3600, 3600], abs=30)


def test_outside_of_leaps_time_is_real() -> None:
    async def main() -> float:
        await loop().advance(100)
        began = time.monotonic()
        await asyncio.sleep(0.02)
        return time.monotonic() - began

    assert run(main()) >= 0.02


def test_what_comes_due_in_a_leap_can_be_cancelled_with_it() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(50):
                await loop().advance(100)
        await asyncio.sleep(0)
        await loop().advance(1)

    run(main())


def test_blocking_work_is_not_outrun() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def work() -> None:
            await asyncio.to_thread(time.sleep, 0.01)
            order.append("worked")

        async def later() -> None:
            await asyncio.sleep(5)
            order.append("later")

        tasks = asyncio.gather(work(), later())
        await loop().advance(10)
        await tasks
        return order

    assert run(main()) == ["worked", "later"]
