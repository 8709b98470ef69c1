"""Watches a world for states that must never be, whatever fails.

- Never two pods of one name run at the same time, on whatever nodes.
- A claim that a StatefulSet's pod has mounted is never mounted by another ordinal's, neither at
  the same time nor later.
- Ordered sets start an ordinal only after all lower ones were Ready, and shrink from the top.

Invariant: looks at what really runs (`Runtime`) and at what the store has committed, never at what
a controller believes.
"""

import asyncio
import itertools
from collections.abc import Sequence

import orjson

from petset.api import meta
from petset.api.apps.v1 import setoptions
from petset.api.meta import Obj
from petset.store.types import Event
from petset.testing.fakepod import Happening
from petset.testing.world import World

PODS, SETS = "pods/", "statefulsets.apps/"


class Checker:
    """Notes what goes against the rules.

    Args:
        stale_s: how old a controller's view may be: an order is judged by what was true at some
            moment in the last so many seconds.
        orders: whether orders are judged.

    Attributes:
        faults: what went wrong, in order.
        by_hand: names of pods that the test deletes itself; their deletions are not judged.
        forfeited: uids of pods of which the test has told the API that they run no more (it has
            forced their deletion, or removed their node), whether that is so or not.
    """

    def __init__(self, world: World, *, stale_s: float = 1.0, orders: bool = True) -> None:
        self._world = world
        self._stale_s = max(stale_s, 20 * world.lag_s)
        self._holders: dict[tuple[str, str], str] = {}
        self._ready_until: dict[tuple[str, str], float] = {}
        self.faults: list[str] = []
        self.by_hand: set[str] = set()
        self.forfeited: set[str] = set()
        world.runtime.listeners.append(self._on_happening)
        if orders:
            world.listeners.append(self._on_events)

    def assert_ok(self) -> None:
        """Raise AssertionError that tells every fault, with the end of the trace."""
        recent = "\n".join(self._world.trace[-40:])
        assert not self.faults, "\n".join([*self.faults, "what happened last:", recent])

    def _fault(self, text: str) -> None:
        self.faults.append(f"{asyncio.get_running_loop().time():.3f} {text}")

    # -- what runs --------------------------------------------------------------------------------

    def _on_happening(self, happening: Happening) -> None:
        if happening.what != "started":
            return
        name = f"{happening.namespace}/{happening.pod}"
        for other in self._world.runtime.live.values():
            if other.namespace == happening.namespace:
                self._compare(happening, other)
        if happening.owner != "StatefulSet":
            return
        for claim in happening.claims:
            holder = self._holders.setdefault((happening.namespace, claim), happening.pod)
            if holder != happening.pod:
                self._fault(f"{name} got the claim {claim} of {holder}")

    def _compare(self, new: Happening, other: Happening) -> None:
        """Judge a pod that has just started against another one that runs."""
        if (other.uid, other.node) == (new.uid, new.node):
            return
        if {other.uid, new.uid} & self.forfeited:  # the node may hear of it later than others
            return
        if other.pod == new.pod:
            self._fault(f"{new.namespace}/{new.pod} runs on {other.node} and on {new.node}")
            return
        shared = set(other.claims) & set(new.claims)
        if shared and new.owner == other.owner == "StatefulSet":
            self._fault(f"{new.namespace}/{new.pod} and {other.pod} have mounted {sorted(shared)}")

    # -- what is written --------------------------------------------------------------------------

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if not event.key.startswith(PODS):
                continue
            new = None if event.deleted else orjson.loads(event.value)
            old = None if event.previous is None else orjson.loads(event.previous)
            self._judge(old, new)
            self._remember(old, new)

    def _remember(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old or {}
        place = (meta.namespace_of(pod), meta.name_of(pod))
        was_ready = old is not None and meta.is_condition_true(old, "Ready")
        if new is not None and meta.is_condition_true(new, "Ready"):
            self._ready_until[place] = float("inf")
        elif was_ready:
            self._ready_until[place] = asyncio.get_running_loop().time()

    def _judge(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            return
        owner = meta.controller_of(new)
        if owner is None or owner.get("kind") != "StatefulSet":
            return
        parent = self._world.get("statefulsets.apps", owner["name"], meta.namespace_of(new))
        if parent is None or meta.is_deleting(parent) or meta.uid_of(parent) != owner["uid"]:
            return
        if parent["spec"].get("podManagementPolicy") == "Parallel":
            return
        if old is None:
            self._judge_start(parent, new)
        elif meta.is_deleting(new) and not meta.is_deleting(old):
            self._judge_end(parent, new)

    def _judge_start(self, parent: Obj, pod: Obj) -> None:
        ordinal, now = _ordinal(pod), asyncio.get_running_loop().time()
        for lower in (o for o in _ordinals(parent) if o < ordinal):
            place = (meta.namespace_of(pod), f"{meta.name_of(parent)}-{lower}")
            if self._ready_until.get(place, float("-inf")) < now - self._stale_s:
                self._fault(f"{meta.key_of(pod)} was made although {place[1]} is not Ready")

    def _judge_end(self, parent: Obj, pod: Obj) -> None:
        """Scaling down takes the highest ordinal first, and one at a time."""
        ordinal, wanted = _ordinal(pod), _ordinals(parent)
        if ordinal in wanted or meta.name_of(pod) in self.by_hand:
            return
        for other in self._world.objects("pods", meta.namespace_of(pod)):
            owner, above = meta.controller_of(other) or {}, _ordinal(other)
            if owner.get("uid") == meta.uid_of(parent) and above > ordinal and above not in wanted:
                self._fault(f"{meta.key_of(pod)} goes before {meta.name_of(other)} is gone")


def _ordinal(pod: Obj) -> int:
    return int(meta.name_of(pod).rpartition("-")[2])


def _ordinals(parent: Obj) -> frozenset[int]:
    """The ordinals that are to have a pod: reserved ones are left out."""
    reserved = setoptions.read(meta.annotations_of(parent)).reserved
    free = (o for o in itertools.count(_first(parent)) if o not in reserved)
    return frozenset(itertools.islice(free, parent["spec"].get("replicas", 1)))


def _first(parent: Obj) -> int:
    return int((parent["spec"].get("ordinals") or {}).get("start") or 0)
