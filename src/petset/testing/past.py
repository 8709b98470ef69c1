"""What the store held at every moment, and since when a process may not have seen it.

A controller acts on what its caches hold, which is older than what the store holds. So it is judged
by what was true at some moment since its caches were last up to date: `Past.since` is the first
such moment, and the other methods ask for states in force from then on.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import orjson

from petset.api import meta
from petset.api.meta import Obj
from petset.store.types import Event
from petset.testing.breakable import CONTROL_WIRE, BreakableWorld

PLAN_S = 2.0
"""How long a plan may take from the look at the caches to its last write, at little lag, without
requests that are made slow on purpose."""

KEPT_S = 60.0
"""For how long it is remembered what the caches had not seen."""

RESOURCES = (
    "pods", "services", "statefulsets.apps", "deployments.apps", "replicasets.apps", "nodes",
    "poddisruptionbudgets.policy",
)  # fmt: skip


class Past:
    """Remembers objects of `RESOURCES`."""

    def __init__(self, world: BreakableWorld) -> None:
        self._world = world
        self._states: dict[str, list[tuple[float, Obj | None]]] = {}
        self._times: dict[str, list[tuple[int, float]]] = {name: [] for name in RESOURCES}
        self._unseen: dict[str, deque[tuple[float, float]]] = {name: deque() for name in RESOURCES}
        self._plan_s = PLAN_S + 40 * world.lag_s + 40 * world.disk_s
        world.listeners.insert(0, self._on_events)

    def _on_events(self, events: Sequence[Event]) -> None:
        now = asyncio.get_running_loop().time()
        for event in events:
            resource = event.key.partition("/")[0]
            if resource in self._times:
                self._times[resource].append((event.revision, now))
                state = None if event.deleted else orjson.loads(event.value)
                self._states.setdefault(event.key, []).append((now, state))
        for resource, seen in self._unseen.items():
            seen.append((now, self._first_unseen(resource, now)))
            while len(seen) > 1 and seen[1][0] < now - self._plan_s - KEPT_S:
                seen.popleft()

    def since(self, *resources: str) -> float:
        """The first moment that the controllers may still take for the present."""
        now = asyncio.get_running_loop().time()
        plan_s = self._longest_plan_s(now)
        first, planned = now, now
        for resource in resources:
            first = min(first, self._first_unseen(resource, now))
            seen = self._unseen[resource]
            index = bisect_right(seen, now - plan_s, key=lambda pair: pair[0])
            planned = min((planned, *(m for _, m in islice(seen, max(0, index - 1), None))))
        return min(first - plan_s, planned)

    def _longest_plan_s(self, now: float) -> float:
        """How long the oldest plan that may still be under way has taken by now."""
        began = now - self._plan_s
        for start, end in reversed(self._world.wires[CONTROL_WIRE].slowed):
            if end <= began:
                break
            began -= end - start
        return now - began

    def _first_unseen(self, resource: str, now: float) -> float:
        """When the first change came that the controllers' cache has not seen; `now` for none."""
        informers = self._world.informers
        version = "" if informers is None else informers.cache(resource).resource_version
        times = self._times[resource]
        index = bisect_right(times, (int(version or 0), float("inf")))
        return times[index][1] if index < len(times) else now

    def states(self, key: str, since: float) -> Iterator[Obj | None]:
        """The states of an object in force from just before `since` on; None: not there."""
        known = self._states.get(key, [])
        index = bisect_left(known, since, key=lambda pair: pair[0])
        yield known[index - 1][1] if index else None
        for _, state in known[index:]:
            yield state

    def now(self, key: str) -> Obj | None:
        """The object as it is."""
        known = self._states.get(key)
        return known[-1][1] if known else None

    def ever(self, key: str) -> list[Obj]:
        """All states that the object ever had."""
        return [state for _, state in self._states.get(key, []) if state is not None]

    def named(self, prefix: str) -> list[str]:
        """The keys below `prefix` that ever had an object."""
        return [key for key in self._states if key.startswith(prefix)]


def pod_key(namespace: str, name: str) -> str:
    """The key of a pod."""
    return f"pods/{namespace}/{name}"


def is_healthy(pod: Obj | None, uid: str = "") -> bool:
    """Running, Ready and not going; of the set with that uid, if one is given."""
    if pod is None or meta.is_deleting(pod) or not meta.is_condition_true(pod, "Ready"):
        return False
    owner = meta.controller_of(pod) or {}
    return not uid or owner.get("uid") == uid
