import asyncio

import pytest

from petset.base import tasks

QUICK = tasks.Backoff(first_s=0.001, limit_s=0.004)


async def test_a_crashed_task_starts_again_and_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs: list[int] = []

    async def sometimes() -> None:
        runs.append(1)
        if len(runs) < 6:
            raise KeyError("oops")

    before = tasks.crashes["sometimes"]
    await tasks.supervise("sometimes", sometimes, QUICK)
    assert len(runs) == 6
    assert tasks.crashes["sometimes"] - before == 5
    delays = [r.args[1] for r in caplog.records if isinstance(r.args, tuple)]
    assert delays == [0.001, 0.002, 0.004, 0.004, 0.004]


async def test_a_steady_run_resets_the_delay(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    async def sometimes() -> None:
        runs.append(1)
        if len(runs) < 4:
            raise KeyError("oops")

    pace = tasks.Backoff(first_s=0.001, limit_s=1, steady_s=0)
    await tasks.supervise("steady", sometimes, pace)
    delays = [r.args[1] for r in caplog.records if isinstance(r.args, tuple)]
    assert delays == [0.001, 0.001, 0.001]


async def test_cancelling_gets_through() -> None:
    started = asyncio.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(tasks.supervise("forever", forever))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tasks.crashes["forever"] == 0
