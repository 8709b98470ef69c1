"""What the store does about bugs below it; the contract itself is in suite.py."""

import asyncio
from collections.abc import Sequence

import pytest

from petset.base.loopclock import LoopClock
from petset.store.drivers.memory import MemoryDriver
from petset.store.log import Log
from petset.store.types import Event, UnavailableError
from petset.store.worker import Inline
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
