"""A guard against stale caches: no plan is made from a cache older than the key's own writes.

A write answers with the resourceVersion it made. Until the cache of that resource has seen it, a
plan would repeat the write; so the key waits, and is woken by the event that brings the cache up
to date.

Invariant: a key never waits longer than `LIMIT_S` (a relist can hide an object that was made and
removed in between).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import Obj
from petset.client.cache import Cache

LIMIT_S = 5.0
"""Longest wait for a cache, in seconds of the loop's clock."""

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
        self._writes: dict[str, dict[tuple[str, str, str], Write]] = {}
        self._waiting: dict[str, float] = {}

    def start(self) -> None:
        """Listen to the caches."""
        for cache in self._caches.values():
            cache.add_handler(self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        del old, new
        for key in [k for k in self._waiting if not self._unseen(k)]:
            del self._waiting[key]
            self._wake(key)

    def wrote(self, key: str, write: Write) -> None:
        """Remember a write made for `key`."""
        if write.resource in self._caches:
            place = (write.resource, write.namespace, write.name)
            self._writes.setdefault(key, {})[place] = write

    def forget(self, key: str) -> None:
        """The object of `key` is gone."""
        self._writes.pop(key, None)
        self._waiting.pop(key, None)

    def delay(self, key: str) -> float | None:
        """None when `key` may be planned now; else the seconds to wait at most."""
        if not self._unseen(key):
            self._waiting.pop(key, None)
            return None
        now = asyncio.get_running_loop().time()
        deadline = self._waiting.setdefault(key, now + LIMIT_S)
        if now < deadline:
            return deadline - now
        _log.warning("%s: own writes not seen after %s s, planning anyway", key, LIMIT_S)
        self.forget(key)
        return None

    def _unseen(self, key: str) -> bool:
        writes = self._writes.get(key)
        if not writes:
            return False
        for place in [p for p, write in writes.items() if self._is_seen(write)]:
            del writes[place]
        if not writes:
            del self._writes[key]
        return bool(writes)

    def _is_seen(self, write: Write) -> bool:
        cache = self._caches[write.resource]
        if _number(cache.resource_version) >= write.version:
            return True
        cached = cache.get(write.namespace, write.name)
        if cached is None or meta.uid_of(cached) != write.uid:
            return write.deletion
        if _number(meta.version_of(cached)) >= write.version:
            return True
        return write.deletion and meta.is_deleting(cached)


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0
