import asyncio
import threading

import pytest

from petset.store.worker import Inline, Thread, Worker


@pytest.fixture(params=[Thread, Inline])
async def worker(request: pytest.FixtureRequest) -> Worker:
    made: Worker = Thread("test-worker") if request.param is Thread else Inline()
    return made


async def test_jobs_run_in_order_and_say_so_on_the_loop(worker: Worker) -> None:
    here = threading.get_ident()
    seen: list[object] = []
    for number in range(3):
        worker.submit(
            lambda number=number: seen.append(number),  # type: ignore[misc]
            lambda error: seen.append((error, threading.get_ident() == here)),
        )
    assert seen == []
    await worker.close()
    assert [entry for entry in seen if isinstance(entry, int)] == [0, 1, 2]
    assert [entry for entry in seen if isinstance(entry, tuple)] == [(None, True)] * 3


async def test_a_job_that_raises_hands_over_its_error(worker: Worker) -> None:
    def broken() -> None:
        raise ValueError("job")

    errors: list[BaseException | None] = []
    worker.submit(broken, errors.append)
    worker.submit(lambda: None, errors.append)
    await worker.close()
    assert [repr(error) for error in errors] == ["ValueError('job')", "None"]


async def test_a_thread_is_gone_after_closing() -> None:
    worker = Thread("test-gone")
    await worker.close()
    await asyncio.sleep(0)
    assert "test-gone" not in {thread.name for thread in threading.enumerate()}
