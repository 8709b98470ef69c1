"""Events live for an hour: a task that removes old ones, a few at a time."""

import asyncio
import logging

from petset.api.meta import Obj, parse_time
from petset.apiserver import objects
from petset.base.clock import Clock
from petset.store.types import ConflictError, Item, Store, UnavailableError

PREFIX = "events/"
PERIOD_S = 30.0
SLICE = 100
"""So many Events are looked at before the loop gets its turn."""
DELETES_MAX = 200
"""So many are removed in one pass."""

_log = logging.getLogger(__name__)


async def expire_events(store: Store, clock: Clock, ttl_s: float) -> None:
    """Remove Events whose time is up, for as long as the server runs."""
    while True:
        await asyncio.sleep(min(PERIOD_S, ttl_s))
        try:
            await sweep(store, clock.now() - ttl_s)
        except UnavailableError as error:
            _log.warning("old Events cannot be removed: %s", error)


async def sweep(store: Store, before: float) -> int:
    """Remove Events last seen before `before` (epoch seconds); how many they were."""
    removed = 0
    for index, item in enumerate(store.list(PREFIX).items):
        if index % SLICE == SLICE - 1:
            await asyncio.sleep(0)
        obj = objects.decode(item.value)
        if last_seen(obj) < before and await _remove(store, item, obj):
            removed += 1
        if removed >= DELETES_MAX:
            break
    return removed


async def _remove(store: Store, item: Item, obj: Obj) -> bool:
    try:
        await store.delete(item.key, objects.maker(obj), expect=item.revision)
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
