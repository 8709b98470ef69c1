"""What every store does, whatever driver it stands on. Subclasses give the driver.

The faults are injected around the driver, so each driver is also shown to recover.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from petset.store import compact, log
from petset.store.drivers.types import Driver
from petset.store.log import Log
from petset.store.types import (
    CompactedError,
    ConflictError,
    Event,
    Item,
    Make,
    Store,
    UnavailableError,
)
from petset.store.worker import Worker
from petset.testing.faults import Fault, FaultyDriver

A, B, C = "pods/default/a", "pods/default/b", "pods/other/c"


def text(value: str) -> Make:
    """Encodes as `value@revision`, so that a test sees which revision the encoder was given."""
    return lambda revision: f"{value}@{revision}".encode()


async def put(store: Store, key: str, value: str = "v") -> Item:
    current = store.head(key)
    return await store.put(key, text(value), expect=current.revision if current else 0)


async def delete(store: Store, key: str) -> Item:
    current = store.head(key)
    assert current is not None
    return await store.delete(key, text("gone"), expect=current.revision)


def listen(store: Store, prefix: str) -> list[Event]:
    heard: list[Event] = []
    store.subscribe(prefix, heard.extend)
    return heard


def values(items: Sequence[Item]) -> list[tuple[str, bytes]]:
    return [(item.key, item.value) for item in items]


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds


class StoreSuite:
    """The contract. `driver` opens the durable side again and again on the same data.

    `soon`: so many writes are committed before the loop's turn is over.
    """

    soon = log.BATCH_MAX

    def driver(self, data: Path) -> Driver:
        raise NotImplementedError

    def worker(self) -> Worker:
        raise NotImplementedError

    @asynccontextmanager
    async def opened(
        self, data: Path, faults: Sequence[Fault] = (), **bounds: float
    ) -> AsyncIterator[Log]:
        self.faulty = FaultyDriver(self.driver(data), faults)
        self.clock = SetClock()
        store = Log(self.faulty, self.worker(), self.clock, soon=self.soon, **bounds)  # type: ignore[arg-type]
        try:
            yield store
        finally:
            await store.close()

    async def test_a_new_store_is_empty_at_revision_0(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            assert (store.revision, store.compacted) == (0, 0)
            assert store.list("pods/") == (0, [])
            assert store.history("pods/", 0) == []
            assert store.get(A) is None

    async def test_a_write_gets_the_next_revision_and_hands_it_to_the_encoder(
        self, tmp_path: Path
    ) -> None:
        async with self.opened(tmp_path) as store:
            assert await put(store, A, "x") == Item(A, 1, 1, b"x@1")
            assert await put(store, B, "y") == Item(B, 2, 2, b"y@2")
            assert await put(store, A, "z") == Item(A, 1, 3, b"z@3")
            assert store.get(A) == Item(A, 1, 3, b"z@3")
            assert store.revision == 3

    async def test_a_deletion_takes_a_revision_and_leaves_nothing(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await put(store, A)
            assert await delete(store, A) == Item(A, 1, 2, b"gone@2")
            assert store.get(A) is None
            assert store.head(A) is None
            assert store.count("pods/") == 0
            assert await put(store, A) == Item(A, 3, 3, b"v@3")

    async def test_a_write_on_another_state_than_the_newest_is_refused(
        self, tmp_path: Path
    ) -> None:
        async with self.opened(tmp_path) as store:
            item = await put(store, A)
            for expect in (0, 7):
                with pytest.raises(ConflictError) as caught:
                    await store.put(A, text("x"), expect=expect)
                assert caught.value.current == item
            with pytest.raises(ConflictError):
                await store.delete(A, text("x"), expect=2)
            for expect in (0, 1):
                with pytest.raises(ConflictError) as caught:
                    await store.delete(B, text("x"), expect=expect)
                assert caught.value.current is None
            assert store.revision == 1

    async def test_of_many_writers_on_one_state_exactly_one_wins(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await put(store, A)
            racing = [store.put(A, text(str(n)), expect=1) for n in range(10)]
            results = await asyncio.gather(*racing, return_exceptions=True)
            assert [type(r) for r in results].count(ConflictError) == 9
            assert store.revision == 2

    async def test_a_pending_write_shows_in_head_and_nowhere_else(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            heard = listen(store, "pods/")
            writing = asyncio.ensure_future(put(store, A))
            await asyncio.sleep(0)
            head = store.head(A)
            assert head is not None
            assert (head.revision, store.get(A), store.revision, heard) == (1, None, 0, [])
            await writing
            assert store.get(A) == head
            removing = asyncio.ensure_future(delete(store, A))
            await asyncio.sleep(0)
            assert (store.head(A), store.get(A)) == (None, head)
            await removing

    async def test_writes_may_build_on_pending_ones(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            heard = listen(store, "pods/")
            await asyncio.gather(
                put(store, A, "1"), put(store, A, "2"), delete(store, A), put(store, A, "3")
            )
            assert [(e.revision, e.deleted, e.value, e.previous) for e in heard] == [
                (1, False, b"1@1", None),
                (2, False, b"2@2", b"1@1"),
                (3, True, b"gone@3", b"2@2"),
                (4, False, b"3@4", None),
            ]
            assert store.get(A) == Item(A, 4, 4, b"3@4")

    async def test_an_encoder_that_raises_takes_no_revision(self, tmp_path: Path) -> None:
        def broken(revision: int) -> bytes:
            raise ValueError(revision)

        async with self.opened(tmp_path) as store:
            with pytest.raises(ValueError, match="1"):
                await store.put(A, broken, expect=0)
            assert (await put(store, A)).revision == 1

    async def test_lists_are_in_key_order_below_their_prefix(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            keys = [C, "pods.metrics/x/y", B, A, "nodes//n1", "pods/default-2/z"]
            await asyncio.gather(*[put(store, key) for key in keys])
            assert [i.key for i in store.list("pods/").items] == ["pods/default-2/z", A, B, C]
            assert [i.key for i in store.list("pods/default/").items] == [A, B]
            assert [i.key for i in store.list("nodes/").items] == ["nodes//n1"]
            assert [i.key for i in store.list("").items] == sorted(keys)
            assert [i.key for i in store.list("pods").items] == sorted(keys)[1:]
            assert store.list("secrets/").items == []
            counts = [store.count(p) for p in ("pods/", "pods/default/", "secrets/", "")]
            assert counts == [4, 2, 0, 6]

    async def test_a_list_does_not_change_afterwards(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await put(store, A)
            before = store.list("pods/")
            await put(store, A)
            await put(store, B)
            assert before.revision == 1
            assert values(before.items) == [(A, b"v@1")]

    async def test_subscribers_hear_their_prefix_in_order_each_once(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            pods, default, everything = (listen(store, p) for p in ("pods/", "pods/default/", ""))
            for key in (A, "nodes//n1", C, B):
                await put(store, key)
            assert [e.key for e in pods] == [A, C, B]
            assert [e.key for e in default] == [A, B]
            assert [e.revision for e in everything] == [1, 2, 3, 4]

    async def test_who_unsubscribed_hears_nothing_more(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            heard: list[Event] = []
            unsubscribe = store.subscribe("pods/", heard.extend)
            await put(store, A)
            unsubscribe()
            unsubscribe()
            await put(store, A)
            assert len(heard) == 1

    async def test_who_subscribes_or_leaves_while_others_are_told(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            late: list[Event] = []
            leaver: list[Event] = []

            def first(events: Sequence[Event]) -> None:
                assert store.revision >= events[-1].revision
                leave()
                if events[0].revision == 1:
                    store.subscribe("pods/", late.extend)

            store.subscribe("pods/", first)
            leave = store.subscribe("pods/", leaver.extend)
            await put(store, A)
            await put(store, A)
            assert [e.revision for e in late] == [2]
            assert leaver == []

    async def test_history_is_what_subscribers_heard(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            heard = listen(store, "pods/")
            for key in (A, "nodes//n1", B, A, C):
                await put(store, key)
            await delete(store, A)
            assert store.history("pods/", 0) == heard
            assert store.history("pods/", 3) == heard[2:]
            assert store.history("pods/default/", 3) == [e for e in heard[2:] if e.key == A]
            assert [e.revision for e in store.history("", 2)] == [3, 4, 5, 6]
            assert store.history("pods/", 6) == []
            assert store.history("pods/", 99) == []

    async def test_everything_is_there_after_reopening(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            for key in (A, B, C, A):
                await put(store, key)
            await delete(store, B)
            await delete(store, A)
            await put(store, A)
            listed, events = store.list("pods/"), store.history("pods/", 0)
        async with self.opened(tmp_path) as store:
            assert store.list("pods/") == listed
            assert store.history("pods/", 0) == events
            assert store.history("pods/", 4) == events[4:]
            assert (await put(store, B)).revision == 8

    async def test_the_revision_goes_on_after_everything_was_deleted(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, history_bytes_max=0) as store:
            await put(store, A)
            await delete(store, A)
        async with self.opened(tmp_path, history_bytes_max=0) as store:
            assert (store.revision, store.compacted) == (2, 2)
            assert (await put(store, A)).revision == 3

    async def test_history_is_bounded_by_bytes(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, history_bytes_max=2000) as store:
            for _ in range(50):
                await put(store, A, "x" * 100)
            assert 40 < store.compacted < 48
            kept = store.history("pods/", store.compacted)
            assert [e.revision for e in kept] == list(range(store.compacted + 1, 51))
            with pytest.raises(CompactedError) as caught:
                store.history("pods/", store.compacted - 1)
            assert caught.value.oldest == store.compacted
            compacted = store.compacted
        async with self.opened(tmp_path, history_bytes_max=2000) as store:
            assert store.compacted == compacted
            assert store.history("pods/", compacted) == kept

    async def test_history_is_bounded_by_age(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, history_age_max_s=60) as store:
            await put(store, A)
            self.clock.seconds += 40
            await put(store, B)
            self.clock.seconds += 40
            assert store.compacted == 0
            await put(store, C)
            assert store.compacted == 1
            self.clock.seconds += 61
            await put(store, A)
            assert store.compacted == 3
            assert [e.revision for e in store.history("pods/", 3)] == [4]

    async def test_compaction_keeps_pace_in_small_slices(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, history_bytes_max=5000) as store:
            rounds = 3 * compact.SLICE
            for _ in range(rounds // 10):
                await asyncio.gather(*[put(store, f"pods/default/{n}") for n in range(10)])
            revision = store.revision
        assert "compact" in self.faulty.calls
        driver = self.driver(tmp_path)
        loaded = driver.load(1 << 30)
        driver.close()
        assert loaded.stored_from > revision - 2 * compact.SLICE
        assert [e.revision for e in loaded.events] == list(range(loaded.stored_from, revision + 1))

    async def test_a_cancelled_writer_does_not_undo_its_write(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            heard = listen(store, "pods/")
            writing = asyncio.ensure_future(put(store, A))
            await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
            assert writing.cancelled()
            await put(store, A)
            assert [e.revision for e in heard] == [1, 2]

    async def test_closing_finishes_what_is_pending(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            writing = [asyncio.ensure_future(put(store, key)) for key in (A, B, C)]
            await asyncio.sleep(0)
        assert [(await w).revision for w in writing] == [1, 2, 3]
        with pytest.raises(UnavailableError, match="closed"):
            await put(store, A)
        await store.close()
        async with self.opened(tmp_path) as store:
            assert store.count("pods/") == 3

    async def test_who_answers_with_a_pending_state_can_wait_until_it_is_durable(
        self, tmp_path: Path
    ) -> None:
        async with self.opened(tmp_path) as store:
            writing = asyncio.ensure_future(put(store, A))
            await asyncio.sleep(0)
            head = store.head(A)
            assert head is not None
            assert store.get(A) is None
            await store.durable(head.revision)
            assert store.get(A) == head
            await store.durable(head.revision)
            await writing

    async def test_who_refuses_because_of_a_pending_state_can_wait_until_all_are_durable(
        self, tmp_path: Path
    ) -> None:
        async with self.opened(tmp_path) as store:
            await store.settled()
            writing = [asyncio.ensure_future(put(store, key)) for key in (A, B)]
            await asyncio.sleep(0)
            assert store.revision == 0
            await store.settled()
            assert store.revision == 2
            await asyncio.gather(*writing)

    async def test_who_waits_for_a_state_that_is_taken_back_is_told(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, faults=[Fault.REFUSED]) as store:
            writing = asyncio.ensure_future(put(store, A))
            await asyncio.sleep(0)
            head = store.head(A)
            assert head is not None
            waiting = asyncio.ensure_future(store.settled())
            with pytest.raises(UnavailableError):
                await store.durable(head.revision)
            with pytest.raises(UnavailableError):
                await waiting
            with pytest.raises(UnavailableError):
                await writing

    @pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LYING])
    async def test_a_failed_commit_changes_nothing_and_the_next_one_works(
        self, tmp_path: Path, fault: Fault
    ) -> None:
        async with self.opened(tmp_path, [Fault.NONE, Fault.NONE, fault]) as store:
            kept = await put(store, A, "old")
            await put(store, C)
            heard = listen(store, "")
            racing = [put(store, A, "lost"), put(store, B, "lost"), delete(store, C)]
            for result in await asyncio.gather(*racing, return_exceptions=True):
                assert isinstance(result, UnavailableError)
            assert (store.get(A), store.head(A), store.head(B)) == (kept, kept, None)
            assert (store.revision, heard) == (2, [])
            assert await put(store, A, "new") == Item(A, 1, 3, b"new@3")
            assert [e.previous for e in heard] == [b"old@1"]
            listed = store.list("")
        async with self.opened(tmp_path) as store:
            assert store.list("") == listed
            assert [e.revision for e in store.history("", 0)] == [1, 2, 3]

    async def test_writes_that_wait_behind_a_failing_commit_fail_with_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "BATCH_MAX", 1)
        async with self.opened(tmp_path, [Fault.REFUSED]) as store:
            racing = [put(store, A, "1"), put(store, A, "2"), put(store, B)]
            results = await asyncio.gather(*racing, return_exceptions=True)
            assert {type(r) for r in results} == {UnavailableError}
            assert self.faulty.calls.count("commit") == 1
            assert (await put(store, A)).revision == 1

    async def test_an_outage_may_last_and_reads_go_on(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, [Fault.NONE, Fault.LYING]) as store:
            await put(store, A, "old")
            self.faulty.restores.extend([Fault.REFUSED] * 3)
            for _ in range(4):
                with pytest.raises(UnavailableError):
                    await put(store, A, "lost")
            assert values(store.list("pods/").items) == [(A, b"old@1")]
            assert await put(store, B) == Item(B, 2, 2, b"v@2")
            listed = store.list("pods/")
        async with self.opened(tmp_path) as store:
            assert store.list("pods/") == listed

    async def test_a_slice_that_fails_is_tried_again_later(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, history_bytes_max=0) as store:
            self.faulty.compactions.append(Fault.LYING)
            self.faulty.compactions.append(Fault.REFUSED)
            for _ in range(compact.SLICE + 5):
                await put(store, A)
        calls = self.faulty.calls
        assert calls.count("compact") == 3
        assert calls.count("restore") == 2
        driver = self.driver(tmp_path)
        loaded = driver.load(1 << 30)
        driver.close()
        assert loaded.stored_from == compact.SLICE + 1

    async def test_a_listener_that_raises_harms_nobody_else(self, tmp_path: Path) -> None:
        def broken(events: Sequence[Event]) -> None:
            raise ValueError("listener")

        loop = asyncio.get_running_loop()
        reported: list[object] = []
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        async with self.opened(tmp_path) as store:
            store.subscribe("pods/", broken)
            heard = listen(store, "pods/")
            await put(store, A)
            await put(store, A)
        assert [e.revision for e in heard] == [1, 2]
        assert [str(error) for error in reported] == ["listener", "listener"]
