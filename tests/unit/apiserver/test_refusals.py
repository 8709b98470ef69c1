"""Refusals because of writes that are still on their way: told when readers can see the reason."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from petset.store.drivers.memory import MemoryDriver
from petset.store.drivers.types import DriverError
from petset.store.log import Log
from petset.store.types import Event
from petset.store.worker import Inline
from tests.unit.apiserver.harness import MAPS, Answer, HandClock, Server, configmap, serving

CROSSING = [
    ("POST", MAPS, configmap("new"), ("POST", MAPS, configmap("new")), 409),
    ("PUT", f"{MAPS}/a", {"data": {"a": "2"}}, ("PUT", f"{MAPS}/a", None), 409),
    ("DELETE", f"{MAPS}/a", None, ("PATCH", f"{MAPS}/a", {"data": {"a": "3"}}), 404),
    ("DELETE", f"{MAPS}/a", None, ("DELETE", f"{MAPS}/a", None), 404),
]


async def crossed(server: Server, first: Any, second: Any) -> tuple[Answer, int]:
    """The answer to `second` while `first` is pending, and what was committed by then."""
    made = await server.make(MAPS, configmap("a"))
    method, path, body = first
    if method == "PUT":
        body = {**made, **body}
    other = asyncio.ensure_future(server.ask(method, path, body))
    await asyncio.sleep(0)
    method, path, body = second
    kind = {"content_type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = await server.ask(method, path, made if method == "PUT" else body, **kind)
    revision = server.store.revision
    await other
    return answer, revision - int(made["metadata"]["resourceVersion"])


@pytest.mark.parametrize(("method", "path", "body", "second", "status"), CROSSING)
async def test_a_refusal_is_told_when_readers_can_see_why(
    method: str, path: str, body: Any, second: Any, status: int, server: Server
) -> None:
    answer, committed = await crossed(server, (method, path, body), second)
    assert (answer.status, committed) == (status, 1)


class FailingDriver(MemoryDriver):
    """A driver whose commits fail."""

    failing = False

    def commit(self, events: Sequence[Event]) -> None:
        if self.failing and any(b'"new"' in event.value for event in events):
            raise DriverError("no space left on device")
        super().commit(events)


async def test_nothing_is_refused_because_of_what_was_taken_back() -> None:
    driver = FailingDriver()
    async with serving(Log(driver, Inline(), HandClock())) as server:
        driver.failing = True
        new = ("POST", MAPS, configmap("new"))
        answer, committed = await crossed(server, new, new)
        assert (answer.status, answer.body["reason"], committed) == (500, "InternalError", 0)
