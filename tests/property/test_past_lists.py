"""The past can be listed: whatever was written, every revision kept looks as it did then."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.apiserver.verbs.list import at_revision
from petset.base.clock import SystemClock
from petset.store.drivers.memory import MemoryStore

NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(st.tuples(st.sampled_from(["things", "others"]), NAMES, st.booleans()))


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_every_revision_lists_as_it_did(steps: list[tuple[str, str, bool]]) -> None:
    asyncio.run(_check(steps))


async def _check(steps: list[tuple[str, str, bool]]) -> None:
    store = MemoryStore(SystemClock())
    then: dict[int, list[tuple[str, bytes]]] = {0: []}
    for resource, name, deletes in steps:
        key = f"{resource}/ns/{name}"
        item = store.head(key)
        if deletes and item is not None:
            await store.delete(key, lambda r: b"gone %d" % r, expect=item.revision)
        else:
            await store.put(key, lambda r: b"value %d" % r, expect=item.revision if item else 0)
        then[store.revision] = [(i.key, i.value) for i in store.list("things/").items]
    for revision, seen in then.items():
        snapshot = at_revision(store, "things/", revision)
        assert snapshot.revision == revision
        assert [(i.key, i.value) for i in snapshot.items] == seen
    await store.close()
