"""Subscriptions by one field's value: an event reaches those of its old and its new value only.

A thousand nodes that watch their own pods are a thousand groups, and a pod concerns one.

Invariant: a listener hears every event that can matter to it, in order: those whose object has
its value now or had it before.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from petset.apiserver.selection import Slot
from petset.store.types import Event, Listener, Store


@dataclass(slots=True, eq=False)
class _Field:
    """The listeners of one field of a prefix.

    Attributes:
        close: stops listening to the store.
    """

    slot: Slot
    close: Callable[[], None] = lambda: None
    listeners: dict[str, list[Listener]] = field(default_factory=dict)

    def hear(self, events: Sequence[Event]) -> None:
        """From the store."""
        wanted: dict[str, Sequence[Event]] | None = None
        try:
            wanted = self._sorted(events)
        finally:
            if wanted is None:  # a bug in a reader: notify every group and let each one filter
                wanted = dict.fromkeys(self.listeners, events)
            with contextlib.ExitStack() as stack:  # runs every call, whatever one of them raises
                for value, some in wanted.items():
                    for listener in self.listeners.get(value, ()):
                        stack.callback(listener, some)

    def _sorted(self, events: Sequence[Event]) -> dict[str, Sequence[Event]]:
        """The events of each value that somebody listens for."""
        wanted: dict[str, list[Event]] = {}
        for event in events:
            for value in self._values(event):
                if value in self.listeners:
                    wanted.setdefault(value, []).append(event)
        return {**wanted}

    def _values(self, event: Event) -> set[str]:
        """The values before and after `event`."""
        slot = self.slot
        if slot.read_key is not None:
            return {slot.read_key(event.key)}
        values = {slot.read_value(event.value)}
        if event.previous is not None:
            values.add(slot.read_value(event.previous))
        return values


class ByValue:
    """Listeners of a store by prefix, field and value."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fields: dict[tuple[str, str, object], _Field] = {}

    def subscribe(self, prefix: str, slot: Slot, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of later events below `prefix` that can matter to `slot`.

        Returns the unsubscriber.
        """
        key = (prefix, slot.path, slot.read)
        place = self._fields.get(key)
        if place is None:
            place = self._fields[key] = _Field(slot)
            place.close = self._store.subscribe(prefix, place.hear)
        place.listeners.setdefault(slot.value, []).append(listener)

        def unsubscribe() -> None:
            some = place.listeners.get(slot.value, [])
            if listener in some:
                some.remove(listener)
            if not some:
                place.listeners.pop(slot.value, None)
            if not place.listeners and self._fields.get(key) is place:
                place.close()
                del self._fields[key]

        return unsubscribe
