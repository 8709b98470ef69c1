"""Limits on one timer do what `asyncio.timeout` does."""

import asyncio

import pytest

from petset.apiserver.overtime import Overtime
from petset.testing.clock import run_virtual


async def under(overtime: Overtime, limit_s: float, work_s: float) -> tuple[str, float]:
    """How a block ends that works so long, and when."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        with overtime.limit(limit_s):
            await asyncio.sleep(work_s)
    except TimeoutError:
        return "late", round(loop.time() - began, 3)
    return "done", round(loop.time() - began, 3)


def test_each_block_ends_at_its_own_time() -> None:
    async def main() -> list[tuple[str, float]]:
        overtime = Overtime()
        pairs = [(60, 1), (5, 10), (1, 10), (3, 2), (60, 100), (1, 10), (0, 1)]
        return await asyncio.gather(*(under(overtime, *pair) for pair in pairs))

    assert run_virtual(main()) == [
        ("done", 1),
        ("late", 5),
        ("late", 1),
        ("done", 2),
        ("late", 60),
        ("late", 1),
        ("late", 0),
    ]


def test_no_timer_is_left_behind() -> None:
    async def main() -> None:
        overtime = Overtime()
        loop = asyncio.get_running_loop()
        for limit_s, work_s in ((60, 1), (1, 60), (60, 1)):
            await under(overtime, limit_s, work_s)
            assert overtime._timer is None
        assert loop.time() < 4

    run_virtual(main())


def test_a_cancellation_from_outside_stays_one() -> None:
    async def main() -> None:
        overtime = Overtime()
        task = asyncio.ensure_future(under(overtime, 60, 100))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_a_cancellation_at_the_very_end_of_the_time_stays_one() -> None:
    async def main() -> None:
        overtime = Overtime()
        task = asyncio.ensure_future(under(overtime, 1, 100))
        asyncio.get_running_loop().call_at(1, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_another_error_of_the_block_comes_through() -> None:
    async def broken() -> None:
        with Overtime().limit(1):
            try:
                await asyncio.sleep(10)
            finally:
                raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await broken()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run_virtual(main())
