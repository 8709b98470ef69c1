"""How fast pods are taken from lost nodes: slowly, and not at all when the fault is our own. Pure.

Rules (upstream's node controller): a node whose agent is silent loses its pods only if some other
node still answers; if none does, it is taken for our own network's fault. Nodes of one zone follow
one another at RATE; in a zone of which more than half is lost, at SLOW_RATE if it is large, and not
at all if it is small.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from petset.api import meta
from petset.api.meta import Obj

RATE = 0.1
SLOW_RATE = 0.01
"""Nodes per second and zone."""
LARGE_ZONE = 50
"""A zone of more nodes than this is large."""
LOST_SHARE = 0.55
LOST_LEAST = 3
"""A zone is partially disrupted when at least this many of its nodes, and this share of them, are
not ready."""

_REGION, _ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"

Word = Literal["go", "hold", "spare"]
"""go: the pods of the node have to leave. hold: leave it as it is. spare: they may all stay."""


@dataclass(slots=True)
class _Zone:
    ready: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    @property
    def rate(self) -> float:
        """Nodes per second."""
        count = len(self.ready) + len(self.lost)
        torn = len(self.lost) >= LOST_LEAST and len(self.lost) >= LOST_SHARE * count
        if not self.ready or not torn:  # a zone that is lost completely: the others are healthy
            return RATE
        return SLOW_RATE if count > LARGE_ZONE else 0.0


class Disruption:
    """Counts the nodes that answer, and lets one lost node after the other go."""

    def __init__(self) -> None:
        self._zones: dict[str, _Zone] = {}
        self._zone_of: dict[str, str] = {}
        self._next: dict[str, float] = {}
        self._granted: set[str] = set()

    @property
    def lost(self) -> list[str]:
        """Names of the nodes that are not ready, in order."""
        return sorted(name for zone in self._zones.values() for name in zone.lost)

    @property
    def picture(self) -> tuple[bool, Mapping[str, float]]:
        """What `word` depends on beside the node: lost nodes have to be looked at if it changes."""
        return self._all_lost(), {name: zone.rate for name, zone in self._zones.items()}

    def note(self, name: str, node: Obj | None, *, silent: bool = False) -> None:
        """Take a node as it is now; None: it is gone. A silent one is lost, whatever it said."""
        old = self._zone_of.pop(name, None)
        if old is not None:
            self._zones[old].ready.discard(name)
            self._zones[old].lost.discard(name)
            if not self._zones[old].ready and not self._zones[old].lost:
                del self._zones[old]
        if node is None:
            self._granted.discard(name)
            return
        labels = meta.labels_of(node)
        zone = f"{labels.get(_REGION, '')}/{labels.get(_ZONE, '')}"
        found = self._zones.setdefault(zone, _Zone())
        self._zone_of[name] = zone
        if meta.is_condition_true(node, "Ready") and not silent:
            found.ready.add(name)
            self._granted.discard(name)
        else:
            found.lost.add(name)

    def word(self, name: str, now: float) -> tuple[Word, float | None]:
        """What to do about a lost node, and after how many seconds to ask again.

        Args:
            now: seconds on any clock that only goes forward.
        """
        zone = self._zones.get(self._zone_of.get(name, ""))
        if zone is None:
            return "hold", None
        if self._all_lost():
            self._granted.clear()
            return "spare", None
        if name in self._granted:
            return "go", None
        if not zone.rate:
            return "hold", None
        key = self._zone_of[name]
        wait_s = self._next.get(key, now) - now
        if wait_s > 0:
            return "hold", wait_s
        self._granted.add(name)
        self._next[key] = now + 1 / zone.rate
        return "go", None

    def _all_lost(self) -> bool:
        return not any(zone.ready for zone in self._zones.values())
