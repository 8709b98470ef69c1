"""Expiry of Events after an hour: a task that removes old ones in small batches.

Invariant: removal keeps pace with creation, however many Events there are.
"""

import asyncio
import logging

from petset.api.meta import Obj, parse_time
from petset.apiserver import objects
from petset.base.clock import Clock
from petset.store.types import ConflictError, Item, Store, UnavailableError

PREFIX = "events/"
PERIOD_S = 30.0
SLICE = 100
"""Events examined, or removed together, per turn of the event loop."""
DELETES_MAX = 200
"""Events removed in one pass at most."""
PAUSE_S = 0.1
"""Pause before the next pass where one was not enough."""

_log = logging.getLogger(__name__)


async def expire_events(store: Store, clock: Clock, ttl_s: float) -> None:
    """Remove Events whose time is up, for as long as the server runs."""
    expiry = Expiry(store)
    pause_s = min(PERIOD_S, ttl_s)
    while True:
        await asyncio.sleep(pause_s)
        pause_s = min(PERIOD_S, ttl_s)
        try:
            if await expiry.sweep(clock.now() - ttl_s) >= DELETES_MAX:
                pause_s = min(PAUSE_S, pause_s)
        except UnavailableError as error:
            _log.warning("old Events cannot be removed: %s", error)


class Expiry:
    """Finds old Events; remembers of each when it was seen, so that it is decoded once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[str, tuple[int, float]] = {}

    async def sweep(self, before: float) -> int:
        """Remove Events last seen before `before` (epoch seconds); how many they were."""
        seen: dict[str, tuple[int, float]] = {}
        old: list[Item] = []
        for index, item in enumerate(self._store.list(PREFIX).items):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            known = self._seen.get(item.key)
            if known is None or known[0] != item.revision:
                known = (item.revision, last_seen(objects.decode(item.value)))
            seen[item.key] = known
            if known[1] < before and len(old) < DELETES_MAX:
                old.append(item)
        self._seen = seen
        removed = 0
        for at in range(0, len(old), SLICE):
            removed += sum(
                await asyncio.gather(*(_remove(self._store, i) for i in old[at : at + SLICE]))
            )
        return removed


async def _remove(store: Store, item: Item) -> bool:
    try:
        last = objects.maker(objects.decode(item.value))
        await store.delete(item.key, last, expect=item.revision)
    except ConflictError:
        return False
    return True


def last_seen(event: Obj) -> float:
    """When an Event was written last, in epoch seconds."""
    series = event.get("series") or {}
    texts = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        (event.get("metadata") or {}).get("creationTimestamp"),
    )
    times = [parse_time(text) for text in texts]
    return max((t for t in times if t is not None), default=0.0)
