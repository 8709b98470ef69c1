import asyncio
import socket
import time

import pytest

from petset.base.loopclock import LoopClock
from petset.testing.clock import DeadlockError, run_virtual


def test_hours_pass_at_once_and_in_order() -> None:
    async def main() -> list[tuple[float, str]]:
        seen: list[tuple[float, str]] = []

        async def note(after_s: float, what: str) -> None:
            await asyncio.sleep(after_s)
            seen.append((asyncio.get_running_loop().time(), what))

        await asyncio.gather(note(7200, "c"), note(0.001, "a"), note(3600, "b"))
        return seen

    began = time.monotonic()
    seen = run_virtual(main())
    assert [what for _, what in seen] == ["a", "b", "c"]
    assert [at for at, _ in seen] == pytest.approx([0.001, 3600, 7200], abs=1e-4)
    assert time.monotonic() - began < 60


def test_timeouts_and_wall_time_follow_the_loop() -> None:
    async def main() -> float:
        clock = LoopClock(epoch=1000.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return clock.now()

    assert run_virtual(main()) == pytest.approx(1030.0, abs=1e-4)


def test_time_hardly_moves_while_tasks_are_at_work() -> None:
    async def main() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert 0.0 < run_virtual(main()) < 0.001


def test_a_wait_shorter_than_the_clock_can_tell_ends() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1000)
        until = loop.time() + 1e-6
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(left)

    run_virtual(main())


def test_waiting_for_nothing_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError):
        run_virtual(main())


def test_blocking_calls_run_on_the_loop() -> None:
    async def main() -> tuple[int, float]:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        found = await asyncio.to_thread(sum, [1, 2])
        return found, asyncio.get_running_loop().time()

    found, at = run_virtual(main())
    assert (found, round(at, 3)) == (3, 0.0)


def test_what_is_readable_is_served_before_time_moves() -> None:
    async def main() -> tuple[bytes, float]:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.send(b"x")
            loop = asyncio.get_running_loop()
            sleeper = asyncio.ensure_future(asyncio.sleep(100))
            data = await loop.sock_recv(one, 1)
            sleeper.cancel()
            return data, loop.time()

    data, at = run_virtual(main())
    assert (data, round(at, 3)) == (b"x", 0.0)
