"""The rows of a watch group, and Tables and compressed lists that take more than one slice."""

import asyncio
import contextlib
import gzip
from collections.abc import Sequence
from functools import partial

import orjson

from petset.apiserver import hub
from petset.apiserver.byvalue import ByValue
from petset.apiserver.hub import Group, Watcher
from petset.apiserver.selection import Slot
from petset.base.clock import SystemClock
from petset.store.drivers.memory import MemoryDriver, MemoryStore
from petset.store.log import Log
from petset.store.types import Event
from petset.store.worker import Inline
from tests.unit.apiserver.harness import MAPS, PODS, Ear, Server, configmap, pod

NAMED = "metadata.name=b"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def lines(events: Sequence[Event], fresh: bool) -> bytes:
    named = [{"type": "X", "object": {"metadata": {"name": e.key}}} for e in events]
    return b"".join(orjson.dumps(one) + b"\n" for one in named)


async def test_every_row_of_a_large_group_hears_everything_once() -> None:
    store = MemoryStore(SystemClock())
    group = Group(store, "pods/", lines)
    watchers = [Watcher(Ear(), 0) for _ in range(2 * hub.ROW + 3)]
    for watcher in watchers:
        group.join(watcher)
    for number in range(3):
        await store.put(f"pods/a/{number}", lambda _: b"{}", expect=0)
    gone = watchers[:: hub.ROW // 2]
    for watcher in gone:
        group.leave(watcher)
    assert len(group) == len(watchers) - len(gone)
    stay = [w for w in watchers if w not in gone]
    for number in range(3, 6):
        await store.put(f"pods/a/{number}", lambda _: b"{}", expect=0)
    wanted = [("X", f"pods/a/{number}") for number in range(6)]
    for watcher in stay:
        ear = watcher.writer
        assert isinstance(ear, Ear)
        await ear.until(6)
        assert ear.names() == wanted
        assert group.progress(watcher) == watcher.position == store.revision
    group.close()
    await store.close()


async def test_what_bookmarks_say_never_goes_back() -> None:
    store = MemoryStore(SystemClock())
    group = Group(store, "pods/", lines)
    watcher = Watcher(Ear(), 0)
    group.join(watcher)
    await store.put("nodes//n", lambda _: b"{}", expect=0)
    assert group.progress(watcher) == 1
    watcher.behind = True
    assert group.progress(watcher) == 1
    group.close()
    await store.close()


async def test_lists_of_several_slices_are_whole_in_every_form(server: Server) -> None:
    names = [f"c{number:04}" for number in range(230)]
    for name in names:
        await server.make(MAPS, configmap(name, {"text": "x" * 900}))
    plain = await server.get(MAPS)
    listed = [item["metadata"]["name"] for item in plain.body["items"]]
    assert [name for name in listed if name != "kube-root-ca.crt"] == names
    packed = await server.get(MAPS, accept_encoding="gzip")
    assert packed.header("Content-Encoding") == ["gzip"]
    assert gzip.decompress(packed.raw) == plain.raw
    for include in ("Metadata", "Object", "None"):
        rows = (await server.get(f"{MAPS}?includeObject={include}", accept=TABLE)).body["rows"]
        assert [row["cells"][0] for row in rows] == listed
        if include == "Object":
            assert [row["object"] for row in rows] == plain.body["items"]
    partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    items = (await server.get(MAPS, accept=partial)).body["items"]
    assert [item["metadata"] for item in items] == [i["metadata"] for i in plain.body["items"]]


async def test_watchers_of_one_value_each_cost_nothing_for_the_others(server: Server) -> None:
    def at(node: str, **more: str) -> dict[str, object]:
        return {"spec": {"nodeName": node}, "metadata": more}

    asked: list[str] = []
    hub_ = server.app._backend.hub
    names = [f"n{number}" for number in range(20)]
    async with contextlib.AsyncExitStack() as stack:
        path = "/api/v1/pods?fieldSelector=spec.nodeName="
        ears = {n: await stack.enter_async_context(server.watching(path + n)) for n in names}
        loose = await stack.enter_async_context(server.watching(path))
        other = f"{path}n3,status.phase!=Failed"
        tables = await stack.enter_async_context(server.watching(other, accept=TABLE))
        named = await stack.enter_async_context(server.watching(f"{PODS}?fieldSelector={NAMED}"))
        await asyncio.sleep(0)
        for key, group in hub_._groups.items():
            note_encoding(group, str(key), asked)
        await server.make(PODS, pod("a"))
        await server.ask("POST", f"{PODS}/a/binding", {"target": {"name": "n3"}})
        await server.make(PODS, pod("b", **at("n3")))
        await server.patch(f"{PODS}/b", {"metadata": {"labels": {"x": "1"}}})
        await server.ask("DELETE", f"{PODS}/b?gracePeriodSeconds=0")
        await loose.until(2)
        await tables.until(4)
        await ears["n3"].until(4)
        await named.until(3)
    assert loose.names() == [("ADDED", "a"), ("DELETED", "a")]
    assert ears["n3"].names() == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("MODIFIED", "b"),
        ("DELETED", "b"),
    ]
    assert named.names() == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")]
    assert not any(ear.chunks for name, ear in ears.items() if name != "n3")
    assert len(set(asked)) == 4
    assert not hub_._groups
    assert not hub_._by_value._fields


def note_encoding(group: Group, key: str, asked: list[str]) -> None:
    """Have `asked` tell that `group` looked at events."""
    encode = group._encode

    def noting(events: Sequence[Event], fresh: bool) -> bytes:
        asked.append(key)
        return encode(events, fresh)

    group._encode = noting


async def test_a_slow_watcher_of_one_value_needs_no_history_of_the_others() -> None:
    store = Log(MemoryDriver(), Inline(), SystemClock(), history_bytes_max=2000)
    slot = Slot("metadata.name", "mine", lambda _: "", lambda key: key.rpartition("/")[2])
    group = Group(store, "pods/", lines, partial(ByValue(store).subscribe, "pods/", slot))
    ear = Ear()
    watcher = Watcher(ear, 0)
    group.join(watcher)
    for number in range(50):
        await store.put(f"pods/a/{number}", lambda _: b"{}", expect=0)
    assert store.compacted > 0
    ear.pressure = True
    await store.put("pods/a/mine", lambda _: b"{}", expect=0)
    async with asyncio.timeout(5):
        await watcher.wake.wait()
    assert watcher.behind
    assert not ear.chunks
    assert group.catch_up(watcher)
    assert ear.names() == [("X", "pods/a/mine")]
    group.close()
    await store.close()
