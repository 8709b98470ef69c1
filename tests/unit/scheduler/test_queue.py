import asyncio
from typing import Any

import pytest

from petset.scheduler.queue import Entry, Queue
from tests.unit.scheduler.objects import make_pod, using


def pod(name: str, priority: int = 0, **spec: Any) -> dict[str, Any]:
    return make_pod(name, priority=priority, **spec)


async def taken(queue: Queue) -> str:
    async with asyncio.timeout(1):
        return (await queue.take()).uid.removeprefix("uid-")


async def refuse_next(queue: Queue, *filters: str) -> Entry:
    entry = await queue.take()
    queue.refused(entry, filters)
    return entry


async def nothing_ready(queue: Queue) -> bool:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await queue.take()
    return True


async def test_higher_priority_first_then_first_come_first_served() -> None:
    queue = Queue()
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        queue.put(pod(name, priority))
    assert [await taken(queue) for _ in range(4)] == ["b", "d", "a", "c"]


async def test_a_refused_pod_waits_for_a_change_that_can_help() -> None:
    queue = Queue()
    queue.put(pod("a"))
    await refuse_next(queue, "taints")
    queue.wake("pod-gone")
    assert await nothing_ready(queue)
    queue.wake("node")
    assert await taken(queue) == "a"
    queue.close()


async def test_a_claim_wakes_only_its_users() -> None:
    queue = Queue()
    queue.put(pod("a", volumes=using("one")))
    await refuse_next(queue, "claims")
    queue.put(pod("b", volumes=using("two")))
    await refuse_next(queue, "claims")
    queue.wake("claim", claim="default/two")
    assert await taken(queue) == "b"
    assert await nothing_ready(queue)
    queue.close()


async def test_a_change_during_an_attempt_is_not_lost() -> None:
    queue = Queue()
    queue.put(pod("a"))
    entry = await queue.take()
    queue.wake("node")
    queue.refused(entry, ["taints"])
    assert await taken(queue) == "a"
    queue.close()


async def test_a_pod_that_changes_its_wishes_is_tried_at_once() -> None:
    queue = Queue()
    queue.put(pod("a"))
    await refuse_next(queue, "taints")
    queue.put(pod("a", tolerations=[{"operator": "Exists"}]))
    assert await taken(queue) == "a"


async def test_a_change_of_status_wakes_nobody() -> None:
    queue = Queue()
    queue.put(pod("a"))
    await refuse_next(queue, "taints")
    queue.put({**pod("a"), "status": {"conditions": []}})
    assert await nothing_ready(queue)
    queue.close()


async def test_a_removed_pod_does_not_come() -> None:
    queue = Queue()
    queue.put(pod("a"))
    queue.put(pod("b"))
    queue.remove("uid-a")
    assert await taken(queue) == "b"
    assert len(queue) == 1


async def test_a_change_of_a_claim_does_not_wake_who_waits_for_something_else() -> None:
    queue = Queue()
    queue.put(pod("a", volumes=using("one")))
    await refuse_next(queue, "taints")
    queue.wake("claim", claim="default/one")
    assert await nothing_ready(queue)
    queue.close()
