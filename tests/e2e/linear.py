"""Is a history of requests on a few keys one that a single register per key could have given?

Every write of a history carries a text of its own, so that what a reader was given tells which
write it saw, and at which resourceVersion. A request without an answer may have worked or not, but
no later than the server that it was sent to lived.

The search is Wing and Gong's, key by key and from one quiet moment to the next: take any request
that may come first, see whether the register would have answered so, go on with the rest.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

State = str
"""The text in the register, "" for no object."""

NODES_MAX = 500_000
"""Steps of a search for one stretch of a history: far more than a history that is right takes."""


@dataclass(slots=True, eq=False)
class Op:
    """One request.

    Attributes:
        verb: create, update, patch, delete or read.
        began, ended: times; `ended` of a request without an answer is when its server was gone.
        wrote: the text of a create, update or patch.
        expected: the resourceVersion that an update or deletion insists on, 0 for none.
        answer: ok, exists, conflict, missing, or "" where there was none.
        saw: what a read or list was given, "" for no object.
        revision: resourceVersion of what was answered, 0 for none.
    """

    verb: str
    key: str
    began: float
    ended: float = math.inf
    wrote: State = ""
    expected: int = 0
    answer: str = ""
    saw: State = ""
    revision: int = 0


@dataclass(slots=True)
class Listing:
    """A list: its resourceVersion, and text and resourceVersion of every key that it had."""

    began: float
    ended: float
    revision: int
    items: dict[str, tuple[State, int]]


@dataclass(slots=True)
class History:
    """What was asked and answered."""

    ops: list[Op] = field(default_factory=list)
    lists: list[Listing] = field(default_factory=list)


def faults(history: History, keys: Sequence[str]) -> list[str]:
    """What is wrong with a history; nothing if it is as it should be."""
    ops = [*history.ops, *_reads_of(history.lists, keys)]
    revisions, found = _revisions(ops)
    found += _order_faults(history)
    found += _list_faults(history, ops)
    by_key: dict[str, list[Op]] = defaultdict(list)
    for op in ops:
        by_key[op.key].append(op)
    for key, some in sorted(by_key.items()):
        found += _register_faults(key, some, revisions)
    return found


def _reads_of(lists: Sequence[Listing], keys: Sequence[str]) -> Iterator[Op]:
    """A list is a read of every key, too."""
    for listing in lists:
        for key in keys:
            saw, revision = listing.items.get(key, ("", 0))
            yield Op(
                "read", key, listing.began, listing.ended, "", 0, "ok", saw=saw, revision=revision
            )


def _revisions(ops: Sequence[Op]) -> tuple[dict[State, int], list[str]]:
    """The resourceVersion of every text that was seen, and texts that were seen with two."""
    found: dict[State, int] = {}
    wrong = []
    for op in ops:
        text = op.saw if op.verb == "read" else op.wrote
        if text and op.revision and found.setdefault(text, op.revision) != op.revision:
            wrong.append(f"{text} was seen at {found[text]} and at {op.revision}")
    if len(set(found.values())) != len(found):
        wrong.append("two writes have the same resourceVersion")
    return found, wrong


def _order_faults(history: History) -> list[str]:
    """Writes and lists that began after an answer but have a lower resourceVersion than it."""
    told: list[tuple[float, int]] = [(op.ended, op.revision) for op in history.ops if op.revision]
    told += [(listing.ended, listing.revision) for listing in history.lists]
    told.sort()
    times, highest = [t for t, _ in told], list(_running_max(r for _, r in told))
    found = []
    asked = [(op.began, op.revision, op.wrote) for op in history.ops if op.wrote and op.revision]
    asked += [(listing.began, listing.revision + 1, "a list") for listing in history.lists]
    for began, revision, what in asked:
        before = bisect_right(times, began)
        if before and highest[before - 1] >= revision:
            found.append(f"{what} came after {highest[before - 1]} but is at {revision}")
    return found


def _running_max(numbers: Iterator[int]) -> Iterator[int]:
    highest = 0
    for number in numbers:
        highest = max(highest, number)
        yield highest


def _list_faults(history: History, ops: Sequence[Op]) -> list[str]:
    """Lists that hold what is newer than themselves, or older than what they should hold."""
    written: dict[str, list[int]] = defaultdict(list)
    for op in ops:
        if op.revision:
            written[op.key].append(op.revision)
    for revisions in written.values():
        revisions.sort()
    found = []
    for listing in history.lists:
        for key, (text, revision) in listing.items.items():
            newest = written[key][bisect_right(written[key], listing.revision) - 1]
            if revision > listing.revision:
                found.append(f"a list at {listing.revision} has {text} of {revision}")
            elif newest > revision:
                found.append(f"a list at {listing.revision} has {text}, {newest} is missing")
    return found


def _register_faults(key: str, ops: list[Op], revisions: Mapping[State, int]) -> list[str]:
    states = {""}
    for stretch in _stretches(ops, revisions):
        after = _Search(stretch, revisions).ends(states)
        if not after:
            return [f"{key}: no order explains {_told(stretch, states)}"]
        states = after
    return []


def _told(stretch: Sequence[Op], states: set[State]) -> str:
    lines = [f"{op.began:.6f}-{op.ended:.6f} {op}" for op in stretch]
    return "\n".join([f"from {sorted(states)}:", *lines])


def _stretches(ops: Sequence[Op], revisions: Mapping[State, int]) -> Iterator[list[Op]]:
    """The requests of a key from quiet moment to quiet moment, in the order they began.

    A request without an answer that was seen to work has worked: it ended, at the latest, with the
    first answer that showed it.
    """
    shown: dict[State, float] = {}
    for op in ops:
        if op.verb == "read" and op.saw:
            shown[op.saw] = min(op.ended, shown.get(op.saw, math.inf))
    stretch: list[Op] = []
    until = -math.inf
    for op in sorted(ops, key=attrgetter("began")):
        if not op.answer and op.verb != "read" and op.wrote in revisions:
            op.answer, op.revision = "ok", revisions[op.wrote]
            op.ended = min(op.ended, shown.get(op.wrote, math.inf))
        if not op.answer and (op.verb == "read" or op.ended < op.began):
            continue
        if stretch and op.began > until:
            yield stretch
            stretch = []
        stretch.append(op)
        until = max(until, op.ended)
    if stretch:
        yield stretch


class _Search:
    """All states that a stretch of requests may end in."""

    def __init__(self, ops: Sequence[Op], revisions: Mapping[State, int]) -> None:
        self._ops = ops
        self._revisions = revisions
        self._needed = sum(1 << i for i, op in enumerate(ops) if op.answer)

    def ends(self, starts: set[State]) -> set[State]:
        """The states after it, from any of `starts`; none if no order explains the answers."""
        found: set[State] = set()
        todo = [(0, -math.inf, start) for start in starts]
        seen = set()
        while todo:
            done, since, state = todo.pop()
            if (done, state) in seen:
                continue
            seen.add((done, state))
            assert len(seen) < NODES_MAX, "the search takes too long"
            if done & self._needed == self._needed:
                found.add(state)
            todo += self._steps(done, since, state)
        return found

    def _steps(self, done: int, since: float, state: State) -> Iterator[tuple[int, float, State]]:
        """What may come next; the last of these is tried first."""
        left = [(i, op) for i, op in enumerate(self._ops) if not done >> i & 1]
        before = min((op.ended for _, op in left if op.answer), default=math.inf)
        left.sort(key=lambda pair: (bool(pair[1].answer), -pair[1].ended))
        for i, op in left:
            if op.began > before or op.ended < since:
                continue
            after = self._after(op, state)
            if after is not None:
                yield done | 1 << i, max(since, op.began), after

    def _after(self, op: Op, state: State) -> State | None:
        """The register's state after `op`; None if it would have answered otherwise."""
        if op.verb == "read":
            return state if op.saw == state else None
        if op.verb == "create":
            fits = "exists" if state else "ok"
        elif not state:
            fits = "missing"
        elif op.expected and self._revisions.get(state) != op.expected:
            fits = "conflict"
        else:
            fits = "ok"
        if fits != (op.answer or "ok"):
            return None
        return state if fits != "ok" else op.wrote
