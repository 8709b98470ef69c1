"""The guard against stale caches."""

import asyncio

from petset.client.cache import Cache
from petset.reconcile.freshness import LIMIT_S, Freshness, Write, write_of
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


async def test_waiting_ends_after_the_limit() -> None:
    loop = asyncio.get_running_loop()
    bench = Bench()
    bench.wrote("web-1", 8)
    first = bench.freshness.delay("k")
    assert first is not None
    assert first <= LIMIT_S
    real, ahead = loop.time, LIMIT_S + 1
    loop.time = lambda: real() + ahead  # type: ignore[method-assign]
    try:
        assert bench.freshness.delay("k") is None
    finally:
        loop.time = real  # type: ignore[method-assign]


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
