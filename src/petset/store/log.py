"""The store: gives revisions, compares, commits in groups, publishes in order.

Invariant: a revision is given on the loop before anything is awaited; `head` shows it at once,
`get`, `list` and events only when it is durable.
Invariant: revisions are dense. When a commit fails, every write that was not durable fails, and
their revisions are given out again; before the next commit the driver makes sure that nothing of
them is left.
Invariant: cancelling a caller that waits for a write does not undo the write.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from petset.base.clock import Clock
from petset.store.compact import Compaction
from petset.store.drivers.sqlite import SqliteDriver, Synchronous
from petset.store.drivers.types import Driver, DriverError
from petset.store.hub import History, Hub, by_resource
from petset.store.image import Image, resource_of
from petset.store.types import (
    ConflictError,
    Done,
    Event,
    Item,
    Listener,
    Make,
    Snapshot,
    Store,
    UnavailableError,
)
from petset.store.worker import Thread, Worker

HISTORY_BYTES_MAX = 16 * 1024 * 1024
HISTORY_AGE_MAX_S = 300.0
BATCH_MAX = 512
"""Writes committed together at most."""
SOON = 32
"""So many writes are not kept waiting for the end of the loop's turn: the disk works meanwhile."""
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""Bytes committed together, about: what a commit adds to the write-ahead log stays small."""


class _Write(NamedTuple):
    """One write that waits to be durable."""

    event: Event
    item: Item
    done: Done


class Log:
    """A store on a driver. To be made on the loop it belongs to.

    Args:
        driver: opened, not yet loaded.
        worker: runs the driver's blocking calls.
        history_bytes_max, history_age_max_s: bounds of the history that watches can resume from.
        soon: so many writes are committed at once, fewer at the end of the loop's turn.
    """

    def __init__(
        self,
        driver: Driver,
        worker: Worker,
        clock: Clock,
        *,
        history_bytes_max: int = HISTORY_BYTES_MAX,
        history_age_max_s: float = HISTORY_AGE_MAX_S,
        soon: int = BATCH_MAX,
    ) -> None:
        loaded = driver.load(history_bytes_max)
        self._driver = driver
        self._worker = worker
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._image = Image(loaded.items)
        self._history = History(
            loaded.compacted, bytes_max=history_bytes_max, age_max_s=history_age_max_s
        )
        self._history.add(loaded.events, clock.now())
        self._compaction = Compaction(loaded.stored_from)
        self._hub = Hub()
        self._soon = soon
        self._revision = loaded.revision
        self._next = loaded.revision + 1
        self._head: dict[str, tuple[int, Item | None]] = {}
        self._pending: list[_Write] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._suspect: dict[str, Item | None] | None = None
        self._repair_due = False
        self._busy = False
        self._scheduled = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def revision(self) -> int:
        """The newest committed revision; 0 when nothing was ever written."""
        return self._revision

    @property
    def compacted(self) -> int:
        """History up to and including this revision is gone."""
        return self._history.compacted

    def get(self, key: str) -> Item | None:
        """The committed state of `key`."""
        return self._image.get(key)

    def head(self, key: str) -> Item | None:
        """The newest state of `key`, pending writes included: what a writer compares with."""
        pending = self._head.get(key)
        return self._image.get(key) if pending is None else pending[1]

    def list(self, prefix: str) -> Snapshot:
        """All committed items whose key starts with `prefix`."""
        return Snapshot(self._revision, self._image.list(prefix))

    def count(self, prefix: str) -> int:
        """How many committed items there are below `prefix`."""
        return self._image.count(prefix)

    async def put(self, key: str, make: Make, *, expect: int) -> Item:
        """Write `make(revision)` if the newest revision of `key` is `expect` (0: must not exist).

        Returns when the write is durable. Raises ConflictError at once, UnavailableError when the
        write could not be made durable.
        """
        current = self._expect(key, expect)
        return await self._wait(key, make, current, deleted=False)

    def put_soon(self, key: str, make: Make, done: Done, *, expect: int) -> None:
        """`put` without waiting: `done` is told in a later turn of the loop.

        Raises ConflictError, and UnavailableError where nothing was begun.
        """
        current = self._expect(key, expect)
        self._submit(key, make, current, done, deleted=False)

    async def delete(self, key: str, make: Make, *, expect: int) -> Item:
        """Remove `key` if its newest revision is `expect`; `make` encodes the last state."""
        current = self._expect(key, expect)
        if current is None:
            raise ConflictError(key, None)
        return await self._wait(key, make, current, deleted=True)

    async def durable(self, revision: int) -> None:
        """Wait until `revision` is committed: for callers that answer with what `head` shows.

        Raises UnavailableError when it was taken back instead.
        """
        if revision > self._revision:
            waiter = self._loop.create_future()
            self._waiters.append((revision, waiter))
            await waiter

    async def settled(self) -> None:
        """Wait until all that `head` shows is committed: for callers that refuse because of it.

        Raises UnavailableError when some of it was taken back instead.
        """
        await self.durable(self._next - 1)

    def history(self, prefix: str, after: int) -> Sequence[Event]:
        """Committed events below `prefix` with revisions over `after`, in order.

        Raises CompactedError when `after` is below the compaction point.
        """
        return self._history.after(prefix, after)

    def subscribe(self, prefix: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every later event below `prefix`. Returns the unsubscriber."""
        return self._hub.subscribe(prefix, listener)

    async def close(self) -> None:
        """Finish pending writes and close the files."""
        if self._closed:
            return
        self._closed = True
        self._repair_due = True
        self._schedule()
        await self._idle.wait()
        self._worker.submit(self._driver.close, _raise)
        await self._worker.close()

    def _expect(self, key: str, expect: int) -> Item | None:
        """The newest state of `key`, which has to be at revision `expect`."""
        if self._closed:
            raise UnavailableError("the store is closed")
        current = self.head(key)
        if (current.revision if current else 0) != expect:
            raise ConflictError(key, current)
        return current

    def _wait(
        self, key: str, make: Make, current: Item | None, *, deleted: bool
    ) -> "asyncio.Future[Item]":
        future: asyncio.Future[Item] = self._loop.create_future()
        self._submit(key, make, current, partial(_settle, future), deleted=deleted)
        return future

    def _submit(
        self, key: str, make: Make, current: Item | None, done: Done, *, deleted: bool
    ) -> None:
        revision = self._next
        # Encoders hand out bytes in buffers far too large; the copy has just the right size.
        value = bytes(memoryview(make(revision)))
        self._next += 1
        created = current.created if current else revision
        item = Item(key, created, revision, value)
        event = Event(revision, deleted, key, created, value, current.value if current else None)
        self._head[key] = (revision, None if deleted else item)
        self._pending.append(_Write(event, item, done))
        if not self._busy:
            self._schedule()
            if len(self._pending) >= self._soon:
                self._turn()

    def _schedule(self) -> None:
        """Have the next job handed out at the end of this turn of the loop."""
        if not self._busy and not self._scheduled:
            self._scheduled = True
            self._idle.clear()
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Hand out the next job, if there is one: a repair, else a slice, else a commit."""
        if not self._scheduled:
            return  # it was handed out earlier in this turn of the loop
        self._scheduled = False
        self._busy = True
        if not self._pending:
            self._compaction.idle()
        upto = self._compaction.due(self._history.compacted, self._history.dropped_bytes)
        if self._suspect is not None and (self._repair_due or self._pending):
            self._repair_due = False
            repair = partial(self._driver.restore, self._revision, self._suspect)
            self._worker.submit(repair, self._repaired)
        elif upto is not None:
            self._slice(upto)
        elif self._pending:
            size = self._batch_size()
            batch, self._pending = self._pending[:size], self._pending[size:]
            commit = partial(self._driver.commit, [write.event for write in batch])
            self._worker.submit(commit, partial(self._ended, batch))
        else:
            self._busy = False
            self._idle.set()

    def _ended(self, batch: Sequence[_Write], error: BaseException | None) -> None:
        """A commit is over: publish it, or take it all back."""
        self._busy = False
        try:
            if error is None:
                self._publish(batch)
            else:
                self._doubt({write.event.key for write in batch})
                self._take_back(batch, error)
        finally:
            self._schedule()

    def _doubt(self, keys: Iterable[str]) -> None:
        """A call failed that may have changed `keys`: have that repaired, now and before commits.

        Now, lest a restart shows a write that was refused; if that fails too, with the next write.
        """
        self._suspect = {**(self._suspect or {}), **{key: self._image.get(key) for key in keys}}
        self._repair_due = True

    def _repaired(self, error: BaseException | None) -> None:
        """The driver has taken back what failed calls left, or could not."""
        self._busy = False
        try:
            if error is None:
                self._suspect = None
            else:
                self._take_back((), error)
        finally:
            self._schedule()

    def _publish(self, batch: Sequence[_Write]) -> None:
        events = [write.event for write in batch]
        image, head = self._image, self._head
        for event, item, _ in batch:
            key = event.key
            if event.deleted:
                image.remove(resource_of(key), key)
            else:
                image.put(resource_of(key), item)
            if head[key][0] == event.revision:
                del head[key]
        self._revision = events[-1].revision
        grouped = by_resource(events)
        self._history.add(events, self._clock.now(), grouped)
        self._compaction.wrote(len(events))
        if self._waiters:
            self._wake(None)
        calls = self._hub.publish(events, grouped)
        _tell(iter([(write.done, write.item) for write in batch]), calls)

    def _take_back(self, batch: Sequence[_Write], error: BaseException) -> None:
        lost = [*batch, *self._pending]
        self._pending = []
        self._head = {}
        self._next = self._revision + 1
        self._wake(UnavailableError(str(error)))
        _tell(iter([(write.done, UnavailableError(str(error))) for write in lost]))
        if not isinstance(error, DriverError):
            raise error

    def _wake(self, error: UnavailableError | None) -> None:
        """Tell those who wait for a revision: all if there was an `error`, else if it is there."""
        waiters, self._waiters = self._waiters, []
        for revision, waiter in waiters:
            if waiter.done():
                continue
            if error is not None:
                waiter.set_exception(error)
            elif revision <= self._revision:
                waiter.set_result(None)
            else:
                self._waiters.append((revision, waiter))

    def _batch_size(self) -> int:
        """How many of the pending writes are committed together."""
        size = 0
        for index, write in enumerate(self._pending[:BATCH_MAX]):
            size += len(write.event.value)
            if size > BATCH_BYTES_MAX:
                return index + 1
        return BATCH_MAX

    def _slice(self, upto: int) -> None:
        """Hand out a slice of compaction."""
        more: list[bool] = []
        done = partial(self._sliced, upto, self._history.dropped_bytes, more)
        self._worker.submit(lambda: more.append(self._driver.compact(upto)), done)

    def _sliced(
        self, upto: int, dropped_bytes: int, more: Sequence[bool], error: BaseException | None
    ) -> None:
        """A slice of compaction is over."""
        self._busy = False
        if error is None:
            self._compaction.did(upto, dropped_bytes, roomy=more[0])
        else:
            self._compaction.failed()
            self._doubt(())
        self._schedule()
        if error is not None and not isinstance(error, DriverError):
            raise error


def _settle(future: "asyncio.Future[Item]", outcome: Item | UnavailableError) -> None:
    """Tell who waits for a write, unless it was cancelled."""
    if future.done():
        return
    if isinstance(outcome, UnavailableError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _tell(
    outcomes: Iterator[tuple[Done, Item | UnavailableError]],
    calls: Sequence[Callable[[], None]] = (),
) -> None:
    """Tell writers, then run `calls`: all of them, whatever one of them raises."""
    fine = False
    try:
        for done, outcome in outcomes:
            done(outcome)
        fine = True
    finally:
        if not fine:
            _tell(outcomes, calls)
        else:
            with ExitStack() as stack:
                for call in reversed(calls):
                    stack.callback(call)


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


async def open_store(directory: Path, *, clock: Clock, synchronous: Synchronous = "FULL") -> Store:
    """Open the store kept in `directory`, which is made if it is missing.

    Args:
        synchronous: "FULL": an acknowledged write outlives a power failure. "NORMAL": it outlives
            any crash of the process, but the last ones may go with the power.

    Raises StoreError in words for people: directory in use, of another format, unreadable.
    """
    driver = SqliteDriver(directory, synchronous=synchronous)
    worker = Thread("store")
    try:
        return Log(driver, worker, clock, soon=SOON)
    except BaseException:
        await worker.close()
        driver.close()
        raise
