"""Delivery of committed events: the history kept in memory, and the subscribers.

Invariant: an event costs its own resource's subscribers, never those of others.
Invariant: the history has no gap: it holds every event after `compacted`.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from petset.store.image import resource_of
from petset.store.types import CompactedError, Event, Listener

EVENT_OVERHEAD = 200
"""Bytes that an event takes in memory beside its value, about."""

_revision = attrgetter("revision")


def size_of(event: Event) -> int:
    """Bytes that an event counts for. `previous` is the value of an older event, mostly."""
    return len(event.value) + EVENT_OVERHEAD


ByResource = Mapping[str, Sequence[Event]]
"""Events of each resource, in order."""


def by_resource(events: Sequence[Event]) -> ByResource:
    """`events` by resource."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(resource_of(event.key), []).append(event)
    return found


class _Run:
    """Events of one resource in order, losing the oldest at low cost."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.start = 0

    def drop_first(self) -> None:
        self.start += 1
        if self.start > 64 and self.start * 8 > len(self.events):
            del self.events[: self.start]
            self.start = 0

    def after(self, revision: int) -> list[Event]:
        return self.events[bisect_right(self.events, revision, self.start, key=_revision) :]


class History:
    """The newest events, bounded by bytes and by age.

    Attributes:
        compacted: events up to and including this revision are gone.
        dropped_bytes: the size of all that is gone, since the history was made.
    """

    def __init__(self, compacted: int, *, bytes_max: int, age_max_s: float) -> None:
        self.compacted = compacted
        self.dropped_bytes = 0
        self._bytes_max = bytes_max
        self._age_max_s = age_max_s
        self._bytes = 0
        self._order: deque[Event] = deque()
        self._runs: dict[str, _Run] = {}
        self._times: deque[tuple[float, int]] = deque()

    def add(self, events: Sequence[Event], now: float, grouped: ByResource | None = None) -> None:
        """Add committed events and drop what is too old or too much.

        `grouped`: the same by resource, if somebody has sorted them already.
        """
        self._order.extend(events)
        self._bytes += sum(map(size_of, events))
        for resource, some in (grouped or by_resource(events)).items():
            run = self._runs.get(resource)
            if run is None:
                run = self._runs[resource] = _Run()
            run.events.extend(some)
        if events:
            self._times.append((now, events[-1].revision))
        self._trim(now)

    def after(self, prefix: str, revision: int) -> Sequence[Event]:
        """Events below `prefix` after `revision`, in order. Raises CompactedError."""
        if revision < self.compacted:
            raise CompactedError(revision, self.compacted)
        if "/" not in prefix:
            return [e for e in self._order if e.revision > revision and e.key.startswith(prefix)]
        resource = resource_of(prefix)
        run = self._runs.get(resource)
        events = [] if run is None else run.after(revision)
        if prefix == f"{resource}/":
            return events
        return [event for event in events if event.key.startswith(prefix)]

    def _trim(self, now: float) -> None:
        while self._times and self._times[0][0] < now - self._age_max_s:
            _, upto = self._times.popleft()
            while self.compacted < upto:
                self._drop_first()
        while self._bytes > self._bytes_max and self._order:
            self._drop_first()
        while self._times and self._times[0][1] <= self.compacted:
            self._times.popleft()

    def _drop_first(self) -> None:
        event = self._order.popleft()
        size = size_of(event)
        self._bytes -= size
        self.dropped_bytes += size
        self._runs[resource_of(event.key)].drop_first()
        self.compacted = event.revision


class _Subscription:
    """One listener and the prefix it listens to."""

    def __init__(self, prefix: str, listener: Listener) -> None:
        self.prefix = prefix
        self.listener = listener
        self.active = True

    def wanted(self, events: Sequence[Event]) -> Sequence[Event]:
        if self.prefix == f"{resource_of(self.prefix)}/":
            return events
        return [event for event in events if event.key.startswith(self.prefix)]


class Hub:
    """Subscribers by resource."""

    def __init__(self) -> None:
        self._by_resource: dict[str, dict[_Subscription, None]] = {}
        self._general: dict[_Subscription, None] = {}

    def subscribe(self, prefix: str, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of later events below `prefix`. Returns the unsubscriber."""
        subscription = _Subscription(prefix, listener)
        group = self._general
        if "/" in prefix:
            group = self._by_resource.setdefault(resource_of(prefix), {})
        group[subscription] = None

        def unsubscribe() -> None:
            subscription.active = False
            group.pop(subscription, None)

        return unsubscribe

    def publish(
        self, events: Sequence[Event], grouped: ByResource | None = None
    ) -> Sequence[Callable[[], None]]:
        """The calls that tell every subscriber, each once, of what it wants of `events`.

        `grouped`: the same by resource, if somebody has sorted them already.
        They are collected before the first one runs: a listener that is added meanwhile hears only
        later events.
        """
        calls = []
        for resource, some in (grouped or by_resource(events)).items():
            calls += [(s, s.wanted(some)) for s in self._by_resource.get(resource, ())]
        calls += [(s, s.wanted(events)) for s in self._general]
        return [_call(subscription, wanted) for subscription, wanted in calls if wanted]


def _call(subscription: _Subscription, events: Sequence[Event]) -> Callable[[], None]:
    def call() -> None:
        if subscription.active:
            subscription.listener(events)

    return call
