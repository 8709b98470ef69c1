"""A guard against stale caches: no plan is made from a cache older than the key's own writes.

A write answers with the resourceVersion it made. Until the cache of that resource has seen it, a
plan would repeat the write; so the key waits, and is woken by the event that brings the cache up
to date.

A watch that brings nothing may be dead: after `LIMIT_S` the cache is asked to list again, and so
on. What a list that was asked for after the write does not show is gone with the server's history.

Invariant: no key is planned from a cache that is known to be older than its writes.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from petset.api import meta
from petset.api.meta import Obj
from petset.client.cache import Cache

LIMIT_S = 5.0
"""How long a watch may take to bring a write before the cache is asked to list again, in seconds of
the loop's clock."""

Place = tuple[str, str, str]
"""Resource, namespace and name of an object."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Write:
    """What a write answered: which object, which uid and version, and whether it was a deletion."""

    resource: str
    namespace: str
    name: str
    uid: str
    version: int
    deletion: bool = False


class _Noted(NamedTuple):
    """A write, and when it was noted on the event loop's clock: it was made by then."""

    write: Write
    at: float


def write_of(resource: str, answer: Obj, *, deletion: bool = False) -> Write | None:
    """The write behind an answer; None when the answer is not an object with a version."""
    version = meta.version_of(answer)
    if not version.isdigit() or not meta.uid_of(answer):
        return None
    return Write(
        resource,
        meta.namespace_of(answer),
        meta.name_of(answer),
        meta.uid_of(answer),
        int(version),
        deletion,
    )


class Freshness:
    """Own writes per key, and whether the caches have seen them.

    Args:
        caches: the caches that plans are made from; writes to other resources are not waited for.
        wake: told the key when the last of its writes was seen.
    """

    def __init__(self, caches: Iterable[Cache], wake: Callable[[str], None]) -> None:
        self._caches = {cache.resource: cache for cache in caches}
        self._wake = wake
        self._writes: dict[str, dict[Place, _Noted]] = {}
        self._due: dict[str, list[tuple[int, str, Place]]] = {name: [] for name in self._caches}
        self._deletions: dict[Place, set[str]] = {}
        self._waiting: dict[str, float] = {}

    def start(self) -> None:
        """Listen to the caches."""
        for resource, cache in self._caches.items():
            cache.add_handler(partial(self._changed, resource))

    def _changed(self, resource: str, old: Obj | None, new: Obj | None) -> None:
        """Drop the writes that this change proves cached; wake keys that wait for no other."""
        version, due = _number(self._caches[resource].resource_version), self._due[resource]
        while due and due[0][0] <= version:
            _, key, place = heapq.heappop(due)
            self._cross_off(key, place)
        if self._deletions:
            obj = new or old or {}
            place = (resource, meta.namespace_of(obj), meta.name_of(obj))
            for key in tuple(self._deletions.get(place, ())):
                self._cross_off(key, place)

    def _cross_off(self, key: str, place: Place) -> None:
        noted = self._writes.get(key, {}).get(place)
        if noted is None or not self._is_seen(noted):
            return
        self._drop(key, place)
        if key not in self._writes and self._waiting.pop(key, None) is not None:
            self._wake(key)

    def _drop(self, key: str, place: Place) -> None:
        writes = self._writes[key]
        if writes.pop(place).write.deletion:
            keys = self._deletions[place]
            keys.discard(key)
            if not keys:
                del self._deletions[place]
        if not writes:
            del self._writes[key]

    def wrote(self, key: str, write: Write) -> None:
        """Remember a write made for `key`."""
        if write.resource not in self._caches:
            return
        place = (write.resource, write.namespace, write.name)
        if place in self._writes.get(key, {}):
            self._drop(key, place)
        noted = _Noted(write, asyncio.get_running_loop().time())
        self._writes.setdefault(key, {})[place] = noted
        heapq.heappush(self._due[write.resource], (write.version, key, place))
        if write.deletion:
            self._deletions.setdefault(place, set()).add(key)

    def forget(self, key: str) -> None:
        """The object of `key` is gone."""
        for place in tuple(self._writes.get(key, ())):
            self._drop(key, place)
        self._waiting.pop(key, None)

    def delay(self, key: str) -> float | None:
        """None when `key` may be planned now; else the seconds until this is to be asked again."""
        if not self._unseen(key):
            self._waiting.pop(key, None)
            return None
        now = asyncio.get_running_loop().time()
        deadline = self._waiting.setdefault(key, now + LIMIT_S)
        if now < deadline:
            return deadline - now
        resources = {noted.write.resource for noted in self._writes[key].values()}
        _log.warning("%s: own writes not seen in %s s, listing %s", key, LIMIT_S, sorted(resources))
        for resource in resources:
            self._caches[resource].refresh()
        self._waiting[key] = now + LIMIT_S
        return LIMIT_S

    def _unseen(self, key: str) -> bool:
        for place, noted in tuple(self._writes.get(key, {}).items()):
            if self._is_seen(noted):
                self._drop(key, place)
        return key in self._writes

    def _is_seen(self, noted: _Noted) -> bool:
        write, cache = noted.write, self._caches[noted.write.resource]
        if _number(cache.resource_version) >= write.version or cache.asked_at > noted.at:
            return True
        cached = cache.get(write.namespace, write.name)
        if cached is None or meta.uid_of(cached) != write.uid:
            return write.deletion
        if _number(meta.version_of(cached)) >= write.version:
            return True
        return write.deletion and meta.is_deleting(cached)


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0
