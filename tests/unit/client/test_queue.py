import asyncio

import pytest

from petset.client.queue import Queue
from petset.testing.clock import run_virtual


def test_a_key_added_twice_is_handed_out_once() -> None:
    async def main() -> None:
        queue = Queue()
        queue.add("a")
        queue.add("a")
        queue.add("b")
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0

    run_virtual(main())


def test_a_key_in_work_comes_again_only_after_done() -> None:
    async def main() -> None:
        queue = Queue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        waiter = asyncio.ensure_future(queue.get())
        await asyncio.sleep(1)
        assert not waiter.done()
        queue.done("a")
        assert await waiter == "a"

    run_virtual(main())


def test_done_without_a_new_add_leaves_the_queue_empty() -> None:
    async def main() -> None:
        queue = Queue()
        queue.add("a")
        queue.done(await queue.get())
        assert len(queue) == 0
        queue.add("a")
        assert await queue.get() == "a"

    run_virtual(main())


def test_the_earliest_of_several_delays_wins() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue = Queue()
        queue.add_after("a", 5)
        queue.add_after("a", 2)
        queue.add_after("a", 9)
        queue.done(await queue.get())
        assert loop.time() == pytest.approx(2, abs=1e-3)
        await asyncio.sleep(20)
        assert len(queue) == 0

    run_virtual(main())


def test_retries_wait_twice_as_long_each_time_until_the_limit() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue = Queue(base_s=1, max_s=4)
        waits = []
        for _ in range(5):
            before = loop.time()
            queue.retry("a")
            queue.done(await queue.get())
            waits.append(loop.time() - before)
        assert waits == pytest.approx([1, 2, 4, 4, 4], abs=1e-3)
        assert queue.failures("a") == 5
        queue.forget("a")
        before = loop.time()
        queue.retry("a")
        await queue.get()
        assert loop.time() - before == pytest.approx(1, abs=1e-3)

    run_virtual(main())


def test_close_drops_what_is_delayed() -> None:
    async def main() -> None:
        queue = Queue()
        queue.add_after("a", 5)
        queue.close()
        await asyncio.sleep(10)
        assert len(queue) == 0

    run_virtual(main())


def test_a_cancelled_get_loses_no_key() -> None:
    async def main() -> None:
        queue = Queue()
        first = asyncio.ensure_future(queue.get())
        second = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await second == "a"

    run_virtual(main())
