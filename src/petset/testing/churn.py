"""A cluster's daily writes on a store, as fast as the store takes them, on a driven clock.

Leases, statuses of pods, Events that expire, pods that are replaced, and now and then something
large that goes again. Beside the writes runs a watch on what the store takes in memory and on disk.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from petset.api.meta import MutableObj, format_time
from petset.apiserver import objects
from petset.apiserver.expire import Expiry
from petset.base.ids import Ids
from petset.store.types import Event, Store

TICK_S = 10.0
EVENT_TTL_S = 3600.0
SPARE_BYTES = 64 * 1024 * 1024
"""What the files may take beside twice the live data."""
HISTORY_EVENT_BYTES = 500
"""What an event of the history takes in memory beside its value, at most."""

PODS_EVERY = 6
"""Each pod's status is written every so many ticks."""
_BULK_TICKS = 60


class DrivenClock:
    """A wall clock that is moved by hand."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        return self.time


@dataclass
class Sizes:
    """What was seen at worst.

    Attributes:
        writes: how many there were.
        live: bytes of all objects now.
        files: largest size of the files, in bytes.
        over: largest excess of the files over twice the live data.
        history: largest size of the history in memory, in bytes.
    """

    writes: int = 0
    live: int = 0
    files: int = 0
    over: int = -(1 << 60)
    history: int = 0


class Churn:
    """The writes of a cluster of `nodes` with `pods` in all.

    Args:
        directory: where the store keeps its files.
    """

    def __init__(
        self, store: Store, clock: DrivenClock, directory: Path, *, nodes: int = 10, pods: int = 100
    ) -> None:
        self.sizes = Sizes()
        self._store = store
        self._clock = clock
        self._directory = directory
        self._nodes = nodes
        self._pods = pods
        self._rng = Ids(nodes * 1000 + pods).rng
        self._expiry = Expiry(store)
        self._ticks = 0
        self._unsubscribe = store.subscribe("", self._count)

    def close(self) -> None:
        """Count no more."""
        self._unsubscribe()

    async def run(self, minutes: float) -> Sizes:
        """Let so much time go by. Returns what was seen since the beginning."""
        for _ in range(round(minutes * 60 / TICK_S)):
            self._clock.time += TICK_S
            self._ticks += 1
            await self._tick()
            self._look()
        return self.sizes

    async def _tick(self) -> None:
        await asyncio.gather(
            *(self._lease(n) for n in range(self._nodes)),
            *(self._status(n) for n in range(self._ticks % PODS_EVERY, self._pods, PODS_EVERY)),
            *(self._event(n) for n in range(3)),
        )
        if self._ticks % PODS_EVERY == 0:
            await self._replace(self._rng.randrange(self._pods))
        if self._ticks % _BULK_TICKS == 0:
            await self._bulk()
        if self._ticks % 3 == 0:
            await self._expiry.sweep(self._clock.time - EVENT_TTL_S)

    def _look(self) -> None:
        sizes = self.sizes
        files = sum(path.stat().st_size for path in self._directory.iterdir())
        sizes.files = max(sizes.files, files)
        sizes.over = max(sizes.over, files - 2 * sizes.live)
        if self._ticks % 50 == 0:
            kept = self._store.history("", self._store.compacted)
            sizes.history = max(sizes.history, sum(len(event.value) for event in kept))
            sizes.history = max(sizes.history, len(kept) * HISTORY_EVENT_BYTES)

    def _count(self, events: Sequence[Event]) -> None:
        self.sizes.writes += len(events)
        for event in events:
            self.sizes.live += 0 if event.deleted else len(event.value)
            self.sizes.live -= len(event.previous or b"")

    async def _lease(self, number: int) -> None:
        spec = {
            "holderIdentity": f"n{number}",
            "renewTime": self._when(),
            "leaseDurationSeconds": 40,
        }
        obj = _named("coordination.k8s.io/v1", "Lease", f"n{number}", "kube-node-lease")
        await self._put("leases.coordination.k8s.io", {**obj, "spec": spec})

    async def _status(self, number: int) -> None:
        await self._put("pods", self._pod(number))

    def _pod(self, number: int) -> MutableObj:
        obj = _named("v1", "Pod", f"p{number}", "default")
        obj["spec"] = {"containers": [{"name": "c", "image": "nginx", "args": ["x" * 900]}]}
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": self._when()}
        obj["status"] = {"conditions": [condition], "message": "y" * self._rng.randrange(600)}
        return obj

    async def _event(self, number: int) -> None:
        obj = _named("v1", "Event", f"p{number}.{self._ticks:x}", "default")
        about = {"kind": "Pod", "name": f"p{number}", "namespace": "default"}
        obj.update({"involvedObject": about, "lastTimestamp": self._when(), "message": "m" * 300})
        await self._put("events", obj)

    async def _replace(self, number: int) -> None:
        await self._delete("pods", self._pod(number))
        await self._put("pods", self._pod(number))

    async def _bulk(self) -> None:
        """Something large comes and is gone an hour later, as an image list or a chart's values."""
        for number in range(8):
            obj = _named("v1", "ConfigMap", f"b{number}", "default")
            if self._ticks // _BULK_TICKS % 12 == 11:
                await self._delete("configmaps", obj)
            else:
                size = self._rng.randrange(1000, 900_000)
                await self._put("configmaps", {**obj, "data": {"text": "z" * size}})

    async def _put(self, resource: str, obj: MutableObj) -> None:
        key = _key(resource, obj)
        current = self._store.head(key)
        await self._store.put(key, objects.maker(obj), expect=current.revision if current else 0)

    async def _delete(self, resource: str, obj: MutableObj) -> None:
        key = _key(resource, obj)
        current = self._store.head(key)
        if current is not None:
            await self._store.delete(key, objects.maker(obj), expect=current.revision)

    def _when(self) -> str:
        return format_time(self._clock.time)


def _key(resource: str, obj: MutableObj) -> str:
    meta = obj["metadata"]
    return f"{resource}/{meta['namespace']}/{meta['name']}"


def _named(version: str, kind: str, name: str, namespace: str) -> MutableObj:
    return {
        "kind": kind,
        "apiVersion": version,
        "metadata": {"name": name, "namespace": namespace},
    }
