"""Fan-out of watch events: one encoding per group of watchers, the same bytes to each.

A group holds the watchers of one resource, namespace, filter and answer format, divided into rows
(docs/adr/watch-fan-out-in-rows.md). Rows are written to in turn, each with what was committed since
its own last turn, and the event loop runs other work in between. An idle group writes at once;
after a round over all rows it pauses for half of the round's duration.

Invariant: a watcher has a position (the last revision delivered), never a queue. One that is
behind reads the store's history from its position on, and is told 410 when that is gone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial

from petset.apiserver.byvalue import ByValue
from petset.apiserver.selection import Slot
from petset.base.http import Writer
from petset.store.types import Event, Listener, Store

GAP_S = 0.005
GAP_MAX_S = 0.020
ROW = 40
"""Watchers written to per turn of the event loop."""
CATCH_UP = 500
"""Events read from history at a time."""

Subscribe = Callable[[Listener], Callable[[], None]]
"""Subscribes a listener to the events of one prefix: at least to all that can matter to it."""

Encode = Callable[[Sequence[Event], bool], bytes]
"""Events as a chunk of the answer; the flag says that it is the watcher's first one."""


@dataclass(slots=True, eq=False)
class Watcher:
    """One watch: where it writes and how far it is.

    Attributes:
        position: every matching event up to this revision was written.
        fresh: whether nothing was written yet (Tables tell their columns in the first event).
        behind: whether it must read from history before it takes part in flushes again.
        ended: whether the server wants the watch to end.
        wake: set when the watch's own task has something to do.
    """

    writer: Writer
    position: int
    fresh: bool = True
    behind: bool = False
    ended: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, events: Sequence[Event], chunk: bytes, encode: Encode) -> None:
        """Take in `events`, of which `chunk` is the shared encoding for watchers under way."""
        if not events or events[-1].revision <= self.position:
            return
        if events[0].revision <= self.position:
            events = [e for e in events if e.revision > self.position]
            chunk = encode(events, self.fresh)
        elif self.fresh:
            chunk = encode(events, True)
        if chunk:
            self.writer.write(chunk)
            self.fresh = False
        self.position = events[-1].revision


class Group:
    """Watchers that get the same bytes.

    Attributes:
        closing: whether the server shuts down; a watcher that joins then ends at once.
    """

    def __init__(
        self, store: Store, prefix: str, encode: Encode, subscribe: Subscribe | None = None
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._encode = encode
        self._rows: list[_Row] = []
        self._places: dict[Watcher, _Row] = {}
        self._due: deque[_Row] = deque()
        self._running = False
        self._round_began = 0.0
        self._next_round = 0.0
        self.closing = False
        self._unsubscribe = (subscribe or partial(store.subscribe, prefix))(self._hear)

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Stop listening to the store."""
        self._unsubscribe()

    def end(self) -> None:
        """Have every watch of the group end as if its time were up."""
        for watcher in self._places:
            watcher.ended = True
            watcher.wake.set()

    def join(self, watcher: Watcher) -> None:
        """Add `watcher`, which has to have caught up in this same turn of the event loop."""
        row = next((row for row in self._rows if len(row.watchers) < ROW), None)
        if row is None:
            row = _Row()
            self._rows.append(row)
        row.watchers[watcher] = None
        self._places[watcher] = row
        watcher.ended = watcher.ended or self.closing

    def leave(self, watcher: Watcher) -> None:
        """Forget `watcher`."""
        row = self._places.pop(watcher, None)
        if row is not None:
            del row.watchers[watcher]
            if not row.watchers:
                self._rows.remove(row)

    def catch_up(self, watcher: Watcher) -> bool:
        """Write a piece of what `watcher` has missed, from history; True when that was all.

        Raises CompactedError.
        """
        events = self._store.history(self._prefix, watcher.position)
        piece = events[:CATCH_UP]
        if piece:
            watcher.send(piece, self._encode(piece, watcher.fresh), self._encode)
        watcher.behind = len(piece) < len(events)
        return not watcher.behind

    def progress(self, watcher: Watcher) -> int:
        """The revision up to which `watcher` has seen everything: what a bookmark may say.

        It becomes the watcher's position, so that no later bookmark says less.
        """
        row = self._places.get(watcher)
        if not watcher.behind and row is not None and not row.waiting:
            watcher.position = max(watcher.position, self._store.revision)
        return watcher.position

    def _hear(self, events: Sequence[Event]) -> None:
        batch = _Batch(events)
        for row in self._rows:
            row.waiting.append(batch)
        if self._rows and not self._running:
            self._running = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._next_round), self._begin_round)

    def _begin_round(self) -> None:
        self._round_began = asyncio.get_running_loop().time()
        self._due.extend(self._rows)
        self._take_turn()

    def _take_turn(self) -> None:
        """Write to the row whose turn it is."""
        fine = False
        try:
            if self._due:
                self._deliver(self._due.popleft())
            fine = True
        finally:
            if not fine:  # a bug: end the watches, so that clients list again
                self._due.clear()
                self._running = False
                self.end()
        loop = asyncio.get_running_loop()
        if self._due:
            loop.call_soon(self._take_turn)
        else:
            self._end_round(loop)

    def _deliver(self, row: "_Row") -> None:
        batches, row.waiting = row.waiting, []
        if not batches:
            return
        events = [event for batch in batches for event in batch.events]
        chunk = b"".join([batch.encoded(self._encode) for batch in batches])
        for watcher in list(row.watchers):
            if watcher.behind:
                continue
            if watcher.writer.pressure:
                # Earlier events did not match, or they would be here: history need not hold them.
                watcher.position = max(watcher.position, events[0].revision - 1)
                watcher.behind = True
                watcher.wake.set()
            else:
                watcher.send(events, chunk, self._encode)

    def _end_round(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        gap_s = min(max(GAP_S, (now - self._round_began) / 2), GAP_MAX_S)
        self._next_round = now + gap_s
        self._running = any(row.waiting for row in self._rows)
        if self._running:
            loop.call_at(self._next_round, self._begin_round)


class _Batch:
    """Events committed together; encoded once, when the first row gets them."""

    __slots__ = ("_chunk", "events")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self._chunk: bytes | None = None

    def encoded(self, encode: Encode) -> bytes:
        if self._chunk is None:
            self._chunk = encode(self.events, False)
        return self._chunk


class _Row:
    """Some of a group's watchers, and the batches not yet written to them.

    Attributes:
        waiting: what was committed since the row's last turn.
    """

    __slots__ = ("waiting", "watchers")

    def __init__(self) -> None:
        self.watchers: dict[Watcher, None] = {}
        self.waiting: list[_Batch] = []


class Hub:
    """The groups of a server."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_value = ByValue(store)
        self._groups: dict[Hashable, Group] = {}
        self._closing = False

    @property
    def watchers(self) -> int:
        """How many watches are open."""
        return sum(len(group) for group in self._groups.values())

    def close(self) -> None:
        """Have every watch end as if its time were up, those that are yet to join as well."""
        self._closing = True
        for group in self._groups.values():
            group.closing = True
            group.end()

    def group(self, key: Hashable, prefix: str, encode: Encode, slot: Slot | None = None) -> Group:
        """The group of `key`, made on first use. `slot`: a value that all that it sends has."""
        group = self._groups.get(key)
        if group is None:
            subscribe = partial(self._by_value.subscribe, prefix, slot) if slot else None
            group = self._groups[key] = Group(self._store, prefix, encode, subscribe)
            group.closing = self._closing
        return group

    def leave(self, key: Hashable, watcher: Watcher) -> None:
        """Take `watcher` out of its group, and close the group with its last watcher."""
        group = self._groups.get(key)
        if group is None:
            return
        group.leave(watcher)
        if not len(group):
            group.close()
            del self._groups[key]
