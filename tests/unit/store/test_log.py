"""What the store does about bugs below it; the contract itself is in suite.py."""

import asyncio
from collections.abc import Sequence

import pytest

from petset.base.loopclock import LoopClock
from petset.store.drivers.memory import MemoryDriver
from petset.store.log import Log
from petset.store.types import Event, UnavailableError
from petset.store.worker import Done as Ended
from petset.store.worker import Inline, Job
from tests.unit.store.suite import A, put


class Buggy(MemoryDriver):
    bug = False

    def commit(self, events: Sequence[Event]) -> None:
        if self.bug:
            raise ZeroDivisionError
        super().commit(events)


async def test_a_bug_in_a_driver_fails_the_write_and_is_reported() -> None:
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    driver = Buggy()
    store = Log(driver, Inline(), LoopClock())
    driver.bug = True
    with pytest.raises(UnavailableError):
        await put(store, A)
    driver.bug = False
    assert (await put(store, A)).revision == 1
    await store.close()
    assert [type(error) for error in reported] == [ZeroDivisionError]


class Watched(Inline):
    """Notes when it is given a job."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = 0

    def submit(self, job: Job, done: Ended) -> None:
        self.jobs += 1
        super().submit(job, done)


async def test_many_writes_do_not_wait_for_the_end_of_the_turn() -> None:
    worker = Watched()
    store = Log(MemoryDriver(), worker, LoopClock(), soon=3)
    told: list[int] = []
    for number in range(8):
        store.put_soon(f"pods/default/p{number}", lambda _: b"", lambda _: told.append(1), expect=0)
        assert worker.jobs == (number >= 2)
    assert not told, "nobody is told in the turn in which the write was made"
    await store.settled()
    assert (store.revision, worker.jobs, len(told)) == (8, 2, 8)
    await store.close()
