"""Pods that wait for a node: by priority, then by arrival; those refused wait until it can help.

Invariant: an entry is in one place only: ready, waiting (refused, until a change wakes it), resting
(woken, until its back-off is over), or taken by an attempt. A change during an attempt is not lost:
the entry then comes again.
Invariant: a change costs the pods that it may help, not those that are ready, taken or waiting for
something else.
"""

import asyncio
import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from petset.api import meta
from petset.api.meta import Obj
from petset.scheduler.plugins.info import claims_of

BASE_S = 0.005
MAX_S = 10.0
FORGOTTEN_S = 300.0
"""A refused pod is tried again after so long even if nothing woke it."""

WAKES: dict[str, frozenset[str] | None] = {
    "node": None,
    "pod-gone": frozenset(("fit", "ports", "spread", "affinity", "volumes")),
    "pod-placed": frozenset(("affinity", "spread")),
    "claim": frozenset(("claims", "volumes")),
    "volume": frozenset(("volumes",)),
    "class": frozenset(("claims", "volumes")),
    "namespace": frozenset(("affinity",)),
}
"""Which refusals a change may heal: names of filters, None for all."""

_PAUSED = ("waiting", "resting")


@dataclass(slots=True, eq=False)
class Entry:
    """A pod in the queue.

    Attributes:
        filters: the filters that refused it at the last attempt.
        ready_at: loop time before which its back-off keeps it from being tried again.
        woken: whether something that may help has changed since it was taken.
        changes: how many changes there had been when it was taken.
    """

    pod: Obj
    arrival: int
    attempts: int = 0
    filters: frozenset[str] = frozenset()
    ready_at: float = 0.0
    place: str = "ready"
    woken: bool = False
    changes: int = 0
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def uid(self) -> str:
        """The pod's uid: what entries are filed under."""
        return meta.uid_of(self.pod)

    @property
    def order(self) -> tuple[int, int]:
        """Higher priority first, then first come, first served."""
        return (-((self.pod.get("spec") or {}).get("priority") or 0), self.arrival)


class Queue:
    """The pods that have no node yet."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._waiting: dict[frozenset[str], dict[str, Entry]] = {}
        self._users: dict[str, set[str]] = {}
        self._changes = 0
        self._heap: list[tuple[tuple[int, int], str]] = []
        self._arrivals = 0
        self._some = asyncio.Event()

    def __len__(self) -> int:
        """How many pods wait, in whatever place."""
        return len(self._entries)

    def get(self, uid: str) -> Entry | None:
        """The entry of a pod."""
        return self._entries.get(uid)

    def put(self, pod: Obj) -> None:
        """A pod came or changed. A change of what it asks for ends its waiting at once."""
        entry = self._entries.get(meta.uid_of(pod))
        if entry is None:
            self._arrivals += 1
            entry = Entry(pod, self._arrivals)
            self._entries[entry.uid] = entry
            self._note_claims(entry)
            self._push(entry)
            return
        changed = _asks(entry.pod) != _asks(pod)
        if changed:
            self._drop_claims(entry)
        entry.pod = pod
        if changed:
            self._note_claims(entry)
            entry.ready_at = 0.0
            self._wake(entry)

    def remove(self, uid: str) -> None:
        """The pod needs no node any more."""
        entry = self._entries.pop(uid, None)
        if entry is not None:
            self._leave(entry)
            self._drop_claims(entry)
            entry.place = "gone"

    async def take(self) -> Entry:
        """Wait for the next pod to try."""
        while True:
            while self._heap:
                _, uid = heapq.heappop(self._heap)
                entry = self._entries.get(uid)
                if entry is not None and entry.place == "ready":
                    entry.place, entry.woken, entry.changes = "taken", False, self._changes
                    return entry
            self._some.clear()
            await self._some.wait()

    def refused(self, entry: Entry, filters: Iterable[str]) -> None:
        """The attempt failed: wait until a change can help, at least as long as the back-off."""
        if entry.place != "taken":
            return
        now = asyncio.get_running_loop().time()
        entry.filters = frozenset(filters)
        entry.ready_at = now + min(MAX_S, BASE_S * 2.0 ** min(entry.attempts, 30))
        entry.attempts += 1
        if entry.woken or entry.changes != self._changes:
            self._rest(entry)
            return
        entry.place = "waiting"
        self._waiting.setdefault(entry.filters, {})[entry.uid] = entry
        entry.timer = asyncio.get_running_loop().call_at(now + FORGOTTEN_S, self._push, entry)

    def wake(self, change: str, *, claim: str = "") -> None:
        """Something changed: try those again that it may help. `claim`: only users of it."""
        healed = WAKES[change]
        if claim:
            for uid in sorted(self._users.get(claim, ())):
                entry = self._entries[uid]
                if entry.place in _PAUSED and healed is not None and not healed & entry.filters:
                    continue
                entry.ready_at = 0.0  # it waited for just that, so there is nothing to back off of
                self._wake(entry)
            return
        self._changes += 1
        for filters in [f for f in self._waiting if healed is None or healed & f]:
            for entry in list(self._waiting[filters].values()):
                self._wake(entry)

    def close(self) -> None:
        """Drop every timer."""
        for entry in self._entries.values():
            self._leave(entry)

    def _note_claims(self, entry: Entry) -> None:
        for claim in claims_of(entry.pod):
            self._users.setdefault(claim, set()).add(entry.uid)

    def _drop_claims(self, entry: Entry) -> None:
        for claim in claims_of(entry.pod):
            users = self._users.get(claim, set())
            users.discard(entry.uid)
            if not users:
                self._users.pop(claim, None)

    def _wake(self, entry: Entry) -> None:
        entry.woken = True
        if entry.place in _PAUSED:
            self._rest(entry)

    def _rest(self, entry: Entry) -> None:
        """Let the back-off pass."""
        self._leave(entry)
        loop = asyncio.get_running_loop()
        if entry.ready_at <= loop.time():
            self._push(entry)
        else:
            entry.place = "resting"
            entry.timer = loop.call_at(entry.ready_at, self._push, entry)

    def _push(self, entry: Entry) -> None:
        self._leave(entry)
        entry.place = "ready"
        heapq.heappush(self._heap, (entry.order, entry.uid))
        self._some.set()

    def _leave(self, entry: Entry) -> None:
        """Take the entry out of whatever place it waits in."""
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        group = self._waiting.get(entry.filters)
        if group is not None and group.pop(entry.uid, None) is not None and not group:
            del self._waiting[entry.filters]


def _asks(pod: Obj) -> tuple[object, object]:
    return pod.get("spec"), meta.labels_of(pod)
