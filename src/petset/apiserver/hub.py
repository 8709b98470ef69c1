"""Fan-out of watch events: one encoding per group of watchers, the same bytes to each.

A group is made of the watchers of one resource, namespace, filter and form of answer. Committed
events collect in the group and are flushed as one chunk: at once when it was idle, then no sooner
than a gap later; the gap grows while flushing is slow.

Invariant: a watcher has a position (the last revision delivered), never a queue. One that is
behind reads the store's history from its position on, and is told 410 when that is gone.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from petset.base.http import Writer
from petset.store.types import Event, Store

GAP_S = 0.005
SLOW_GAP_S = 0.020
SLICE = 250
"""So many watchers are written to before the loop gets its turn."""
CATCH_UP = 500
"""So many events are read from history at a time."""

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
        closing: whether the server is: who joins has come to the end already.
    """

    def __init__(self, store: Store, prefix: str, encode: Encode) -> None:
        self._store = store
        self._prefix = prefix
        self._encode = encode
        self._pending: list[Event] = []
        self._watchers: dict[Watcher, None] = {}
        self._gap_s = GAP_S
        self._next_flush = 0.0
        self._busy = False
        self.closing = False
        self._unsubscribe = store.subscribe(prefix, self._hear)

    def __len__(self) -> int:
        return len(self._watchers)

    def close(self) -> None:
        """Stop listening to the store."""
        self._unsubscribe()

    def end(self) -> None:
        """Have every watch of the group end as if its time were up."""
        for watcher in self._watchers:
            watcher.ended = True
            watcher.wake.set()

    def join(self, watcher: Watcher) -> None:
        """Let `watcher`, which has caught up in this very step of the loop, take part."""
        self._watchers[watcher] = None
        watcher.ended = watcher.ended or self.closing

    def leave(self, watcher: Watcher) -> None:
        """Forget `watcher`."""
        self._watchers.pop(watcher, None)

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
        """A revision up to which `watcher` has seen everything: what a bookmark may say."""
        if watcher.behind or self._pending or self._busy:
            return watcher.position
        return max(watcher.position, self._store.revision)

    def _hear(self, events: Sequence[Event]) -> None:
        if not self._watchers:
            return
        self._pending.extend(events)
        if not self._busy:
            self._busy = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._next_flush), self._flush)

    def _flush(self) -> None:
        events, self._pending = self._pending, []
        chunk: bytes | None = None
        try:
            chunk = self._encode(events, False)
        finally:
            if chunk is None:  # a bug: better that clients list again than that they hear nothing
                self._busy = False
                self.end()
        started = asyncio.get_running_loop().time()
        self._deliver(events, chunk, list(self._watchers), started)

    def _deliver(
        self, events: Sequence[Event], chunk: bytes, watchers: list[Watcher], started: float
    ) -> None:
        for watcher in watchers[:SLICE]:
            if watcher.behind or watcher not in self._watchers:
                continue
            if watcher.writer.pressure:
                watcher.behind = True
                watcher.wake.set()
            else:
                watcher.send(events, chunk, self._encode)
        loop = asyncio.get_running_loop()
        if len(watchers) > SLICE:
            loop.call_soon(self._deliver, events, chunk, watchers[SLICE:], started)
        else:
            self._settle(loop, started)

    def _settle(self, loop: asyncio.AbstractEventLoop, started: float) -> None:
        now = loop.time()
        self._gap_s = SLOW_GAP_S if now - started > GAP_S else GAP_S
        self._next_flush = now + self._gap_s
        self._busy = bool(self._pending)
        if self._busy:
            loop.call_at(self._next_flush, self._flush)


class Hub:
    """The groups of a server."""

    def __init__(self, store: Store) -> None:
        self._store = store
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

    def group(self, key: Hashable, prefix: str, encode: Encode) -> Group:
        """The group of `key`, made on first use."""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(self._store, prefix, encode)
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
