"""Watches: where they start, what they tell, bookmarks, slow ones, coalescing."""

import asyncio
from collections.abc import Sequence

import pytest

from petset.apiserver.hub import CATCH_UP, Group, Watcher
from petset.base.http import Stream
from petset.base.ids import Ids
from petset.store.drivers.memory import MemoryDriver, MemoryStore
from petset.store.log import Log
from petset.store.types import Event
from petset.store.worker import Inline
from tests.unit.apiserver.harness import (
    MAPS,
    PODS,
    Ear,
    HandClock,
    Server,
    configmap,
    pod,
    serving,
)

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def test_without_version_the_present_comes_first(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    async with server.watching(MAPS) as ear:
        await ear.until(1)
        await server.patch(f"{MAPS}/a", {"data": {"b": "1"}})
        await server.make(MAPS, configmap("b"))
        await server.ask("DELETE", f"{MAPS}/a")
        await ear.until(4)
        assert ear.names() == [("ADDED", "a"), ("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]
        versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in ear.events]
        assert versions == sorted(set(versions))
        assert versions[-1] == server.store.revision


async def test_from_a_version_only_what_came_after(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"))
    await server.make(MAPS, configmap("b"))
    version = made["metadata"]["resourceVersion"]
    async with server.watching(f"{MAPS}?resourceVersion={version}") as ear:
        await ear.until(1)
        assert ear.names() == [("ADDED", "b")]


async def test_a_name_is_a_selector(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    await server.make(MAPS, configmap("b"))
    async with server.watching(f"{MAPS}/b") as ear:
        await ear.until(1)
        await server.patch(f"{MAPS}/a", {"data": {"x": "1"}})
        await server.patch(f"{MAPS}/b", {"data": {"x": "1"}})
        await ear.until(2)
        assert ear.names() == [("ADDED", "b"), ("MODIFIED", "b")]


async def test_labels_make_objects_come_and_go(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    async with server.watching(f"{MAPS}?labelSelector=x=1") as ear:
        await server.patch(f"{MAPS}/a", {"metadata": {"labels": {"x": "1"}}})
        await server.patch(f"{MAPS}/a", {"data": {"y": "1"}})
        await server.patch(f"{MAPS}/a", {"metadata": {"labels": {"x": "2"}}})
        await server.patch(f"{MAPS}/a", {"data": {"y": "2"}})
        await server.patch(f"{MAPS}/a", {"metadata": {"labels": {"x": "1"}}})
        await server.ask("DELETE", f"{MAPS}/a")
        events = await ear.until(5)
        assert [e["type"] for e in events] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
        left = events[2]["object"]["metadata"]
        assert left["labels"] == {"x": "1"}
        assert int(left["resourceVersion"]) > int(
            events[1]["object"]["metadata"]["resourceVersion"]
        )


async def test_pods_of_one_node(server: Server) -> None:
    async with server.watching("/api/v1/pods?fieldSelector=spec.nodeName=n1") as ear:
        await server.make(PODS, pod("a"))
        await server.make(PODS, pod("b"))
        binding = {"metadata": {"name": "b"}, "target": {"name": "n1"}}
        await server.ask("POST", f"{PODS}/b/binding", binding)
        await ear.until(1)
        assert ear.names() == [("ADDED", "b")]


async def test_namespaces_are_apart(server: Server) -> None:
    await server.make("/api/v1/namespaces", {"metadata": {"name": "n"}})
    async with server.watching(MAPS) as here, server.watching("/api/v1/configmaps") as all_:
        await server.make("/api/v1/namespaces/n/configmaps", configmap("other"))
        await server.make(MAPS, configmap("mine"))
        await all_.until(2)
        await here.until(1)
        assert here.names() == [("ADDED", "mine")]


async def test_tables_tell_their_columns_once(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    async with server.watching(MAPS, accept=TABLE) as ear:
        await ear.until(1)
        await server.make(MAPS, configmap("b"))
        await server.ask("DELETE", f"{MAPS}/a")
        first, second, third = await ear.until(3)
        assert [c["name"] for c in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
        assert second["object"]["columnDefinitions"] is None
        assert third["type"] == "DELETED"
        assert third["object"]["rows"][0]["cells"][:2] == ["a", 1]
    async with (
        server.watching(f"{MAPS}?resourceVersion={server.store.revision}", accept=TABLE) as one,
        server.watching(f"{MAPS}?resourceVersion={server.store.revision}", accept=TABLE) as two,
    ):
        await server.make(MAPS, configmap("c"))
        for ear in (one, two):
            (event,) = await ear.until(1)
            assert event["object"]["columnDefinitions"]


async def test_streaming_lists_end_with_a_bookmark(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with server.watching(f"{MAPS}?{query}") as ear:
        added, mark = await ear.until(2)
        assert (added["type"], mark["type"]) == ("ADDED", "BOOKMARK")
        meta = mark["object"]["metadata"]
        assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert meta["resourceVersion"] == str(server.store.revision)
        assert mark["object"]["kind"] == "ConfigMap"


@pytest.mark.parametrize(
    "query",
    [
        "sendInitialEvents=true",
        "sendInitialEvents=true&resourceVersionMatch=Exact",
        "resourceVersionMatch=NotOlderThan",
    ],
)
async def test_bad_streaming_lists_are_refused(server: Server, query: str) -> None:
    answer = await server.ask("GET", f"{MAPS}?watch=1&{query}")
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")


async def test_initial_events_can_be_left_out(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    query = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
    async with server.watching(f"{MAPS}?{query}") as ear:
        await asyncio.sleep(0)
        await server.make(MAPS, configmap("b"))
        await ear.until(1)
        assert ear.names() == [("ADDED", "b")]


async def test_bookmarks_tell_how_far_one_is() -> None:
    async with (
        serving(bookmark_s=0.02) as server,
        server.watching(f"{MAPS}?allowWatchBookmarks=true") as ear,
        server.watching(MAPS) as plain,
    ):
        await server.make(PODS, pod("elsewhere"))
        now = str(server.store.revision)
        async with asyncio.timeout(5):
            while not any(
                e["type"] == "BOOKMARK" and e["object"]["metadata"]["resourceVersion"] == now
                for e in ear.events
            ):
                ear.heard.clear()
                await ear.heard.wait()
        assert plain.events == []


async def test_a_watch_ends_in_time() -> None:
    async with serving() as server:
        reply = await server.reply("GET", f"{MAPS}?watch=1&timeoutSeconds=1")
        assert isinstance(reply, Stream)
        ear = Ear()
        async with asyncio.timeout(5):
            await reply.run(ear)
        assert ear.events == []


async def test_closing_the_server_ends_watches(server: Server) -> None:
    reply = await server.reply("GET", f"{MAPS}?watch=1")
    assert isinstance(reply, Stream)
    task = asyncio.ensure_future(reply.run(Ear()))
    await asyncio.sleep(0.01)
    await server.app.close()
    async with asyncio.timeout(5):
        await task


async def test_a_watch_that_begins_while_the_server_closes_ends(server: Server) -> None:
    reply = await server.reply("GET", f"{MAPS}?watch=1")
    assert isinstance(reply, Stream)
    await server.app.close()
    async with asyncio.timeout(5):
        await reply.run(Ear())


async def test_a_slow_watcher_keeps_a_position_and_misses_nothing(server: Server) -> None:
    async with server.watching(MAPS) as ear, server.watching(MAPS) as quick:
        await server.make(MAPS, configmap("a"))
        await ear.until(1)
        ear.pressure = True
        for number in range(30):
            await server.make(MAPS, configmap(f"m{number:02}"))
        await quick.until(31)
        assert len(ear.events) == 1
        ear.pressure = False
        ear.relieved.set()
        await ear.until(31)
        await server.make(MAPS, configmap("last"))
        await ear.until(32)
        assert ear.names() == quick.names() + ([] if len(quick.events) > 31 else ear.names()[31:])


async def test_a_watcher_that_is_too_slow_is_told_so() -> None:

    store = Log(MemoryDriver(), Inline(), HandClock(), history_bytes_max=5000)
    async with serving(store) as server, server.watching(MAPS) as ear:
        await server.make(MAPS, configmap("a"))
        await ear.until(1)
        ear.pressure = True
        for number in range(40):
            await server.patch(f"{MAPS}/a", {"data": {"n": str(number)}})
        await asyncio.sleep(0.05)
        ear.pressure = False
        ear.relieved.set()
        events = await ear.until(2)
        assert (events[1]["type"], events[1]["object"]["reason"]) == ("ERROR", "Expired")


async def test_a_group_encodes_once_for_all() -> None:
    store = MemoryStore(HandClock())
    calls: list[int] = []

    def encode(events: Sequence[Event], fresh: bool) -> bytes:
        calls.append(len(events))
        return b"".join(b"%d\n" % e.revision for e in events)

    group = Group(store, "things/", encode)
    ears = [Ear() for _ in range(3)]
    for ear in ears:
        watcher = Watcher(ear, store.revision, fresh=False)
        assert group.catch_up(watcher)
        group.join(watcher)
    await asyncio.gather(
        *(store.put(f"things//{n}", lambda r: b"%d" % r, expect=0) for n in range(5))
    )
    async with asyncio.timeout(5):
        while len(b"".join(ears[2].chunks).split()) < 5:
            await asyncio.sleep(0.001)
    assert {b"".join(ear.chunks) for ear in ears} == {b"1\n2\n3\n4\n5\n"}
    assert all(a is b for a, b in zip(ears[0].chunks, ears[1].chunks, strict=True))
    assert sum(calls) == 5
    group.close()
    await store.close()


async def test_catching_up_goes_by_pieces() -> None:
    store = MemoryStore(HandClock())
    for number in range(CATCH_UP + 10):
        await store.put(f"things//{number:05}", lambda r: b"%d" % r, expect=0)
    group = Group(store, "things/", lambda events, fresh: b"x" * len(events))
    ear = Ear()
    watcher = Watcher(ear, 0)
    assert not group.catch_up(watcher)
    assert len(b"".join(ear.chunks)) == CATCH_UP
    assert group.catch_up(watcher)
    assert watcher.position == store.revision
    group.close()
    await store.close()


async def _until_end(server: Server, ears: list[Ear]) -> None:
    async with server.watching(MAPS) as ear:
        ears.append(ear)
        async with asyncio.timeout(10):
            while ("ADDED", "end") not in ear.names():
                ear.heard.clear()
                await ear.heard.wait()


async def _random_change(server: Server, ids: Ids, number: int) -> None:
    name = f"m{ids.rng.randint(0, 9)}"
    if (await server.get(f"{MAPS}/{name}")).status == 404:
        await server.make(MAPS, configmap(name))
    elif ids.rng.random() < 0.5:
        await server.ask("DELETE", f"{MAPS}/{name}")
    else:
        await server.patch(f"{MAPS}/{name}", {"data": {"n": str(number)}})


async def test_watchers_that_join_at_any_time_see_the_same_story(server: Server) -> None:
    ids, ears = Ids(3), list[Ear]()
    async with asyncio.TaskGroup() as tasks:
        for number in range(80):
            if number % 10 == 0:
                tasks.create_task(_until_end(server, ears))
            await _random_change(server, ids, number)
        await server.make(MAPS, configmap("end"))
    present = await _present(server)
    assert len(ears) == 8
    for ear in ears:
        assert _replayed(ear) == present


def _replayed(ear: Ear) -> dict[str, str]:
    state: dict[str, str] = {}
    for event in ear.events:
        meta = event["object"]["metadata"]
        if event["type"] == "DELETED":
            del state[meta["name"]]
        else:
            assert (meta["name"] in state) is (event["type"] == "MODIFIED")
            state[meta["name"]] = meta["resourceVersion"]
    return state


async def _present(server: Server) -> dict[str, str]:
    items = (await server.get(MAPS)).body["items"]
    return {i["metadata"]["name"]: i["metadata"]["resourceVersion"] for i in items}


async def test_watches_end_rather_than_fall_silent_when_encoding_breaks() -> None:
    store = MemoryStore(HandClock())
    problems: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context["exception"]))

    def encode(events: Sequence[Event], fresh: bool) -> bytes:
        raise ZeroDivisionError

    group = Group(store, "things/", encode)
    watcher = Watcher(Ear(), store.revision)
    group.join(watcher)
    await store.put("things//a", lambda r: b"", expect=0)
    async with asyncio.timeout(5):
        await watcher.wake.wait()
    assert watcher.ended
    assert isinstance(problems[0], ZeroDivisionError)
    group.close()
    await store.close()
