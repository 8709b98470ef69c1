import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from petset.api import errors, meta
from petset.client import reflector
from petset.client.reflector import Informers
from petset.client.transport import TransportError
from petset.testing.clock import run_virtual
from tests.unit.client import api as fake
from tests.unit.client.api import Api


@asynccontextmanager
async def running(api: Api) -> AsyncIterator[Informers]:
    informers = Informers(fake.client(api))
    task = asyncio.ensure_future(informers.run())
    try:
        yield informers
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def following() -> AsyncIterator[tuple[Api, Informers]]:
    """An API with one pod, `a`, and informers that have listed it and watch."""
    api = Api()
    api.emit("ADDED", "a")
    async with running(api) as informers:
        informers.cache("pods")
        await informers.wait_synced()
        await asyncio.sleep(1)
        yield api, informers


def names(informers: Informers) -> list[str]:
    return [meta.name_of(obj) for obj in informers.cache("pods").list()]


def test_lists_then_watches_from_the_list() -> None:
    async def main() -> None:
        api = Api()
        api.emit("ADDED", "a")
        async with running(api) as informers:
            cache = informers.cache("pods")
            assert not cache.synced
            await informers.wait_synced()
            assert names(informers) == ["a"]
            assert cache.list()[0]["kind"] == "Pod"
            api.emit("ADDED", "b")
            api.emit("DELETED", "a")
            await asyncio.sleep(1)
            assert names(informers) == ["b"]
            assert (api.lists, api.watches) == (1, ["1"])

    run_virtual(main())


def test_caches_do_not_keep_who_owns_which_fields() -> None:
    async def main() -> None:
        api = Api()

        def emit(kind: str, name: str) -> None:
            api.emit(kind, name)
            api.events[-1][1]["metadata"]["managedFields"] = [{"manager": "me"}]

        emit("ADDED", "listed")
        async with running(api) as informers:
            cache = informers.cache("pods")
            await informers.wait_synced()
            emit("ADDED", "watched")
            await asyncio.sleep(1)
            assert sorted(names(informers)) == ["listed", "watched"]
            assert not any("managedFields" in obj["metadata"] for obj in cache.list())

    run_virtual(main())


def test_one_reflector_serves_everyone_who_asks_for_the_same() -> None:
    async def main() -> None:
        api = Api()
        async with running(api) as informers:
            assert informers.cache("pods") is informers.cache("pods")
            other = informers.cache("pods", fields="spec.nodeName=n1")
            assert other is not informers.cache("pods")
            await informers.wait_synced()
            await asyncio.sleep(0.1)
            assert api.lists == 2
            selectors = {r.param("fieldSelector") for r in api.requests}
            assert selectors == {"", "spec.nodeName=n1"}

    run_virtual(main())


def test_a_cut_watch_goes_on_where_it_was_without_a_new_list() -> None:
    async def main() -> None:
        api = Api()
        async with running(api) as informers:
            informers.cache("pods")
            await informers.wait_synced()
            api.emit("ADDED", "a")
            await asyncio.sleep(1)
            api.cut_watches()
            api.emit("ADDED", "b")
            await asyncio.sleep(2)
            assert names(informers) == ["a", "b"]
            assert api.lists == 1
            assert api.watches == ["0", "1"]

    run_virtual(main())


def test_a_compacted_position_is_answered_by_a_new_list() -> None:
    async def main() -> None:
        async with following() as (api, informers):
            api.replies.append(fake.status(errors.expired("too old")))
            api.compacted = 3
            api.events += [("DELETED", fake.pod("a", 2)), ("ADDED", fake.pod("b", 3))]
            api.cut_watches()
            await asyncio.sleep(2)
            assert names(informers) == ["b"]
            assert api.lists == 2

    run_virtual(main())


def test_an_error_event_410_leads_to_a_new_list() -> None:
    async def main() -> None:
        async with following() as (api, informers):
            api.cut_watches()
            api.compacted = 2
            api.events.append(("ADDED", fake.pod("b", 2)))
            await asyncio.sleep(2)
            assert names(informers) == ["a", "b"]
            assert api.lists == 2

    run_virtual(main())


def test_an_unreachable_server_is_asked_ever_less_often_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        api = Api()
        api.replies += [TransportError("down")] * 8
        async with running(api) as informers:
            cache = informers.cache("pods")
            await asyncio.sleep(0.1)
            assert len(api.requests) == 1
            started = asyncio.get_running_loop().time()
            await cache.wait_synced()
            waited = asyncio.get_running_loop().time() - started
            delays = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
            assert abs(waited + 0.1 - sum(delays)) < 0.01
            assert caplog.messages == ["cannot follow pods: TransportError('down')"]

    run_virtual(main())


def test_a_silent_watch_is_opened_again() -> None:
    async def main() -> None:
        api = Api()
        api.emit("ADDED", "a")
        async with running(api) as informers:
            informers.cache("pods")
            await informers.wait_synced()
            await asyncio.sleep(reflector.SILENCE_MAX_S + 5)
            assert api.watches == ["1", "1"]
            assert api.lists == 1

    run_virtual(main())


def test_a_server_that_is_back_and_has_forgotten_the_position_is_listed_soon() -> None:
    async def main() -> None:
        async with following() as (api, informers):
            cache = informers.cache("pods")
            api.replies += [TransportError("down")] * 7
            api.replies.append(fake.status(errors.expired("too old")))
            api.cut_watches()
            while api.replies:
                await asyncio.sleep(0.1)
            api.events += [("DELETED", fake.pod("a", 2)), ("ADDED", fake.pod("b", 3))]
            asked_at = cache.asked_at
            await asyncio.sleep(1)
            assert names(informers) == ["b"]
            assert cache.asked_at > asked_at

    run_virtual(main())


def test_a_server_that_lists_and_never_watches_is_listed_every_0_8_seconds() -> None:
    async def main() -> None:
        api = Api()
        api.emit("ADDED", "a")
        api.compacted = 5
        async with running(api) as informers:
            informers.cache("pods")
            await asyncio.sleep(100)
            assert 110 <= api.lists <= 130

    run_virtual(main())


def test_a_cache_that_is_asked_to_refresh_lists_though_its_watch_goes_on() -> None:
    async def main() -> None:
        async with following() as (api, informers):
            cache = informers.cache("pods")
            asked = asyncio.get_running_loop().time()
            api.events.append(("ADDED", fake.pod("b", 2)))  # of which the watch is not told
            cache.refresh()
            cache.refresh()
            await asyncio.sleep(1)
            assert names(informers) == ["a", "b"]
            assert (api.lists, api.watches) == (2, ["1", "2"])
            assert asked < cache.asked_at

    run_virtual(main())


def test_a_refresh_may_be_asked_for_at_any_time() -> None:
    """Seeds 600246 and 600318: between two watches it met the limit of the one that had ended."""

    async def main() -> None:
        api = Api()
        api.emit("ADDED", "a")
        async with running(api) as informers:
            cache = informers.cache("pods")
            cache.refresh()
            await informers.wait_synced()
            await asyncio.sleep(1)
            api.replies += [TransportError("down")] * 3
            api.cut_watches()
            for _ in range(40):
                cache.refresh()
                await asyncio.sleep(0.05)
            api.emit("ADDED", "b")
            await asyncio.sleep(1)
            assert names(informers) == ["a", "b"]

    run_virtual(main())


def test_a_server_that_ends_every_watch_at_once_is_not_hammered() -> None:
    async def main() -> None:
        api = Api()
        api.cut.set()
        async with running(api) as informers:
            informers.cache("pods")
            await informers.wait_synced()
            await asyncio.sleep(10)
            assert 3 <= len(api.watches) <= 8

    run_virtual(main())


def test_bookmarks_move_the_position() -> None:
    async def main() -> None:
        api = Api()
        async with running(api) as informers:
            informers.cache("pods")
            await informers.wait_synced()
            api.emit("BOOKMARK", "")
            api.emit("BOOKMARK", "")
            await asyncio.sleep(1)
            api.cut_watches()
            await asyncio.sleep(1)
            assert api.watches == ["0", "2"]
            assert names(informers) == []

    run_virtual(main())
