"""The store against a model: whatever is written, refused, lost or reopened, both agree."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from petset.base.loopclock import LoopClock
from petset.store.drivers.memory import MemoryDriver
from petset.store.drivers.sqlite import SqliteDriver
from petset.store.drivers.types import Driver
from petset.store.log import Log
from petset.store.types import CompactedError, ConflictError, Event, Item, UnavailableError
from petset.store.worker import Inline, Thread, Worker
from petset.testing.faults import Fault, FaultyDriver

KEYS = ["pods/a/x", "pods/a/y", "pods/b/x", "nodes//x", "pods.metrics/a/x"]
PREFIXES = ["pods/", "pods/a/", "nodes/", "pods.metrics/", "", "pod"]
HISTORY_BYTES = 4000

keys = st.sampled_from(KEYS)
values = st.binary(max_size=300)
changes = st.tuples(keys, st.one_of(st.none(), values), st.sampled_from([0, 0, 0, 0, 1]))
"""What to do to a key: a value to put or None to delete, and how wrong the expected revision is."""


class Machine(RuleBasedStateMachine):
    """Rules shared by both drivers."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.runner.get_loop()
        self.items: dict[str, Item] = {}
        self.events: list[Event] = []
        self.heard: list[Event] = []
        self.open()

    def driver(self) -> Driver:
        raise NotImplementedError

    def worker(self) -> Worker:
        raise NotImplementedError

    def open(self) -> None:
        async def opening() -> None:
            self.faulty = FaultyDriver(self.driver())
            self.store = Log(
                self.faulty, self.worker(), LoopClock(), history_bytes_max=HISTORY_BYTES
            )
            self.store.subscribe("", self.heard.extend)

        self.runner.run(opening())

    async def change(self, key: str, value: bytes | None, wrong: int) -> Item:
        head = self.store.head(key)
        expect = (head.revision if head else 0) + wrong
        if value is None:
            return await self.store.delete(
                key, lambda revision: b"last %d" % revision, expect=expect
            )
        return await self.store.put(
            key, lambda revision: b"%d %b" % (revision, value), expect=expect
        )

    def expected(self, key: str, value: bytes | None, wrong: int) -> Event | None:
        """The event that a change makes on the model as it stands; None if it is refused."""
        current, revision = self.items.get(key), len(self.events) + 1
        if wrong or (value is None and current is None):
            return None
        created = current.created if current else revision
        after = b"last %d" % revision if value is None else b"%d %b" % (revision, value)
        previous = current.value if current else None
        return Event(revision, value is None, key, created, after, previous)

    def take(self, event: Event) -> None:
        self.events.append(event)
        self.items.pop(event.key, None)
        if not event.deleted:
            self.items[event.key] = Item(event.key, event.created, event.revision, event.value)

    @rule(batch=st.lists(changes, min_size=1, max_size=8))
    def write_at_once(self, batch: list[tuple[str, bytes | None, int]]) -> None:
        async def main() -> list[Any]:
            writing = [self.change(*change) for change in batch]
            return await asyncio.gather(*writing, return_exceptions=True)

        for change, result in zip(batch, self.runner.run(main()), strict=True):
            event = self.expected(*change)
            if event is None:
                assert isinstance(result, ConflictError)
                assert result.current == self.items.get(change[0])
            else:
                assert result == Item(event.key, event.created, event.revision, event.value)
                self.take(event)

    @rule(
        batch=st.lists(changes, min_size=1, max_size=8),
        fault=st.sampled_from([Fault.REFUSED, Fault.LYING]),
        outage=st.integers(0, 2),
    )
    def write_on_a_failing_disk(
        self, batch: list[tuple[str, bytes | None, int]], fault: Fault, outage: int
    ) -> None:
        async def main(some: list[tuple[str, bytes | None, int]]) -> list[Any]:
            writing = [self.change(*change) for change in some]
            return await asyncio.gather(*writing, return_exceptions=True)

        self.faulty.commits.append(fault)
        self.faulty.restores.extend([Fault.REFUSED] * outage)
        results = self.runner.run(main(batch))
        assert {type(r) for r in results} <= {UnavailableError, ConflictError}
        while self.faulty.commits or self.faulty.restores:
            (result,) = self.runner.run(main([("pods/a/x", b"probe", 0)]))
            if isinstance(result, Item):
                event = self.expected("pods/a/x", b"probe", 0)
                assert event is not None
                self.take(event)
            else:
                assert isinstance(result, UnavailableError)

    @rule(change=changes)
    def writer_goes_away(self, change: tuple[str, bytes | None, int]) -> None:
        async def main() -> None:
            writing = asyncio.ensure_future(self.change(*change))
            await asyncio.sleep(0)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            # Commits are in order: the one of this write is over when a later one is.
            await self.change("nodes//x", b"later", 0)

        event = self.expected(*change)
        self.runner.run(main())
        for made in (event, None):
            made = made or self.expected("nodes//x", b"later", 0)
            assert made is not None
            self.take(made)
            if event is None:
                break

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self.open()

    @rule(prefix=st.sampled_from(PREFIXES), after=st.integers(0, 60))
    def read_history(self, prefix: str, after: int) -> None:
        wanted = [e for e in self.events[after:] if e.key.startswith(prefix)]
        if after < self.store.compacted:
            with pytest.raises(CompactedError):
                self.store.history(prefix, after)
        else:
            assert list(self.store.history(prefix, after)) == wanted

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.store.revision == len(self.events)
        assert self.heard == self.events
        for prefix in PREFIXES:
            found = self.store.list(prefix)
            below = sorted(key for key in self.items if key.startswith(prefix))
            assert list(found.items) == [self.items[key] for key in below]
            assert self.store.count(prefix) == len(below)
        for key in KEYS:
            assert self.store.get(key) == self.store.head(key) == self.items.get(key)

    @invariant()
    def keeps_the_newest_history(self) -> None:
        kept = self.events[self.store.compacted :]
        assert list(self.store.history("", self.store.compacted)) == kept
        if self.store.compacted:
            assert sum(len(e.value) + 500 for e in kept) > HISTORY_BYTES / 2

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()


class MemoryMachine(Machine):
    def __init__(self) -> None:
        self.disk = MemoryDriver()
        super().__init__()

    def driver(self) -> Driver:
        return self.disk

    def worker(self) -> Worker:
        return Inline()


class SqliteMachine(Machine):
    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="petset-test-"))
        super().__init__()

    def driver(self) -> Driver:
        return SqliteDriver(self.directory, synchronous="NORMAL")

    def worker(self) -> Worker:
        return Thread("test-store")

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.directory)


quick = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

TestMemory = MemoryMachine.TestCase
TestMemory.settings = quick
TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(quick, max_examples=20)
