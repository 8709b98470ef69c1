"""Pauses between the plans of one key, where planning is expensive.

Changes that come during a pause are handled together by the plan after it. A set of a hundred pods
that start gets some hundreds of changes; a plan, and a status, for each of them would cost more
than the pods themselves.

Invariant: plans that take no time (small objects, a virtual clock) are never delayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.reconcile.actions import Action, Emit, Plan

EXPENSIVE_S = 0.00015
"""A plan that takes at least this long is expensive: its key is delayed before the next one."""

FACTOR = 5.0
"""The delay is this many times the duration of the last plan, times the number of delayed keys:
planning leaves most of the CPU to other work, however many keys are busy."""

GROWTH_MAX = 8.0
"""How often the factor is doubled at most, as a factor, while a key's plans only tell."""

PAUSE_MAX_S = 2.0
"""Longest delay, in seconds."""

SOON_S = 1.0
"""A plan that comes within so many seconds after a pause goes on with what led to it."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """One key's pause; times are the loop's.

    Attributes:
        told: how many plans in a row, each soon after the one before it, did nothing but tell.
    """

    until: float
    told: int


class Pauses:
    """The pauses of the keys of one controller. Times are seconds on the loop's clock."""

    def __init__(self) -> None:
        self._pauses: dict[str, _Pause] = {}

    def left(self, key: str, now: float) -> float:
        """Seconds until `key` may be planned again, 0 or less when it may be now."""
        pause = self._pauses.get(key)
        return 0.0 if pause is None else pause.until - now

    def forget(self, key: str) -> None:
        """The object of `key` is gone."""
        self._pauses.pop(key, None)

    def planned(self, key: str, began: float, ended: float, plan: Plan) -> None:
        """A plan of `key` was made. An expensive one delays the next.

        While one change follows the other and there is nothing to do but to tell of them, the
        pauses grow; a plan that does something, or a quiet moment, ends that.
        """
        last = self._pauses.pop(key, None)
        if ended - began < EXPENSIVE_S:
            return
        self._pauses = {k: p for k, p in self._pauses.items() if p.until + SOON_S > ended}
        told = 0
        if not _does(plan.actions):
            again = last is not None and began <= last.until + SOON_S
            told = last.told + 1 if last is not None and again else 1
        growth = min(GROWTH_MAX, 2.0 ** max(0, min(told, 60) - 2))
        keys = 1 + sum(p.until > ended for p in self._pauses.values())
        length = min((ended - began) * FACTOR * growth * keys, PAUSE_MAX_S)
        self._pauses[key] = _Pause(ended + length, told)


def _does(actions: Sequence[Action]) -> bool:
    """Whether the actions change anything."""
    return any(not isinstance(action, Emit) for action in actions)
