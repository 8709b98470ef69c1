"""The guard against stale caches."""

import asyncio

from petset.client.cache import Cache
from petset.reconcile.freshness import LIMIT_S, Freshness, Write, write_of
from petset.testing.clock import run_virtual
from tests.unit.reconcile.fakes import pod


class Bench:
    """One cache of pods, and the keys that were woken."""

    def __init__(self) -> None:
        self.cache = Cache("pods")
        self.cache.replace([pod("web-0", 5)], "5")
        self.woken: list[str] = []
        self.freshness = Freshness([self.cache], self.woken.append)
        self.freshness.start()

    def wrote(self, name: str, version: int, *, deletion: bool = False) -> None:
        write = Write("pods", "default", name, f"uid-{name}", version, deletion)
        self.freshness.wrote("k", write)


async def test_a_key_waits_until_the_cache_has_seen_its_write_and_is_woken_then() -> None:
    bench = Bench()
    assert bench.freshness.delay("k") is None
    bench.wrote("web-1", 8)
    assert bench.freshness.delay("k") is not None
    bench.cache.apply("MODIFIED", pod("web-0", 7))
    assert bench.woken == []
    bench.cache.apply("ADDED", pod("web-1", 8))
    assert bench.woken == ["k"]
    assert bench.freshness.delay("k") is None


async def test_later_events_of_the_resource_prove_that_the_write_was_seen() -> None:
    bench = Bench()
    bench.wrote("web-1", 8)
    assert bench.freshness.delay("k") is not None
    bench.cache.apply("MODIFIED", pod("web-0", 9))
    assert bench.woken == ["k"]


async def test_a_list_that_is_new_enough_proves_it_too() -> None:
    bench = Bench()
    bench.wrote("web-1", 8)
    bench.cache.replace([], "8")
    assert bench.freshness.delay("k") is None


async def test_a_deletion_is_seen_when_the_object_is_gone_or_going_or_another_one() -> None:
    for kind, event in (
        ("DELETED", pod("web-0", 6)),
        ("MODIFIED", pod("web-0", 6, deletionTimestamp="2026-01-01T00:00:00Z")),
        ("MODIFIED", pod("web-0", 6, uid="another")),
    ):
        bench = Bench()
        bench.wrote("web-0", 9, deletion=True)
        assert bench.freshness.delay("k") is not None
        bench.cache.apply(kind, event)
        assert bench.freshness.delay("k") is None


async def test_other_keys_and_other_resources_do_not_wait() -> None:
    bench = Bench()
    bench.wrote("web-1", 8)
    bench.freshness.wrote("k2", Write("nodes", "", "n1", "u", 99))
    assert bench.freshness.delay("k2") is None
    assert bench.freshness.delay("other") is None
    bench.freshness.forget("k")
    assert bench.freshness.delay("k") is None


def test_a_cache_that_does_not_get_on_is_asked_to_list_and_never_planned_from() -> None:
    async def main() -> None:
        bench = Bench()
        lists: list[float] = []
        time = asyncio.get_running_loop().time
        bench.cache.refresh = lambda: lists.append(time())
        bench.wrote("web-1", 8)
        for _ in range(3):
            delay = bench.freshness.delay("k")
            assert delay == LIMIT_S
            await asyncio.sleep(delay)
        assert bench.freshness.delay("k") == LIMIT_S
        assert [round(at, 3) for at in lists] == [LIMIT_S, 2 * LIMIT_S, 3 * LIMIT_S]

    run_virtual(main())


def test_a_write_that_a_later_list_does_not_show_is_gone_with_the_servers_history() -> None:
    async def main() -> None:
        bench = Bench()
        asked_at = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        bench.wrote("web-1", 8)
        bench.cache.replace([], "4", asked_at)
        assert bench.freshness.delay("k") is not None
        await asyncio.sleep(1)
        bench.cache.replace([], "4", asyncio.get_running_loop().time())
        assert bench.freshness.delay("k") is None

    run_virtual(main())


def test_answers_without_version_or_uid_are_no_writes() -> None:
    assert write_of("pods", {}) is None
    assert write_of("pods", {"kind": "Status", "metadata": {}}) is None
    assert write_of("pods", pod("a", 3)) == Write("pods", "default", "a", "uid-a", 3)


async def test_a_key_is_woken_by_the_last_of_its_writes_only() -> None:
    bench = Bench()
    for name, version in (("web-1", 8), ("web-2", 9), ("web-1", 12)):
        bench.wrote(name, version)
    assert bench.freshness.delay("k") is not None
    bench.cache.apply("ADDED", pod("web-1", 8))
    bench.cache.apply("ADDED", pod("web-2", 9))
    assert bench.woken == []
    bench.cache.apply("MODIFIED", pod("web-1", 12))
    assert bench.woken == ["k"]
