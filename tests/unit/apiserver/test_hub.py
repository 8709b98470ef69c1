"""The rows of a watch group, and Tables and compressed lists that take more than one slice."""

import gzip
from collections.abc import Sequence

import orjson

from petset.apiserver import hub
from petset.apiserver.hub import Group, Watcher
from petset.base.clock import SystemClock
from petset.store.drivers.memory import MemoryStore
from petset.store.types import Event
from tests.unit.apiserver.harness import MAPS, Ear, Server, configmap

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
