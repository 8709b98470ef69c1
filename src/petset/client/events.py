"""Records Events about objects: repeats are counted, similar ones joined, floods dropped.

Rules of upstream's core/v1 recorder (wire reference section 14): the name is the object's plus the
time in hex; a repeat patches `count`; more than 10 similar ones in 10 minutes are combined; each
source may say 25 things about one object at once, then one every 5 minutes. Here that counts for
each reason by itself, so that what happens often (members made and deleted) does not silence what
happens once (a roll-out that was taken back).

Invariant: memory is bounded whatever is recorded. Recording never fails its caller.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from petset.api import errors, meta
from petset.api.meta import MutableObj, Obj
from petset.base.clock import Clock
from petset.base.ids import Ids
from petset.client.client import Client
from petset.client.transport import TransportError

RESOURCE = "events"
REMEMBERED_MAX = 4096
BACKLOG_MAX = 512
SIMILAR_MAX = 10
SIMILAR_WINDOW_S = 600.0
BURST = 25
REFILL_S = 300.0
TRIES_MAX = 12
MESSAGE_MAX = 1024
NAMES_TRIED_MAX = 5
COMBINED = "(combined from similar events): "

_log = logging.getLogger(__name__)
_V = TypeVar("_V")
_Key = tuple[str, ...]


class _Recent(Generic[_V]):
    """A mapping that forgets what was used longest ago."""

    def __init__(self) -> None:
        self._values: OrderedDict[_Key, _V] = OrderedDict()

    def get(self, key: _Key) -> _V | None:
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: _Key, value: _V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > REMEMBERED_MAX:
            self._values.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Similar:
    """Events that differ in their message only: the messages, and when the last one came."""

    messages: frozenset[str]
    last: float


@dataclass(frozen=True, slots=True)
class _Said:
    """An event that was sent: its name, how often it came, and when first."""

    name: str
    count: int
    first: str


@dataclass(frozen=True, slots=True)
class _Note:
    """One thing to say."""

    involved: Mapping[str, Any]
    kind: str
    reason: str
    message: str
    now: float
    tries: int = 0

    @property
    def namespace(self) -> str:
        """Where the event is kept: beside its object, or in `default`."""
        return self.involved.get("namespace") or "default"

    @property
    def subject(self) -> _Key:
        """Identity of the object it is about."""
        fields = ("apiVersion", "kind", "namespace", "name", "uid", "fieldPath")
        return tuple(self.involved.get(field) or "" for field in fields)


class Recorder:
    """Records what happened to objects as Events.

    Args:
        component, host: the source written into the events; host may be "".
        ids: gives the last digits of event names, so that two recorders never meet.
    """

    def __init__(self, client: Client, component: str, host: str, clock: Clock, ids: Ids) -> None:
        self._client = client
        self._component = component
        self._host = host
        self._clock = clock
        self._ids = ids
        self._said: _Recent[_Said] = _Recent()
        self._similar: _Recent[_Similar] = _Recent()
        self._tokens: _Recent[tuple[float, float]] = _Recent()
        self._backlog: deque[_Note] = deque(maxlen=BACKLOG_MAX)
        self._sending = asyncio.Lock()

    async def record(self, involved: Obj, kind: str, reason: str, message: str) -> None:
        """Record that `reason` happened to `involved`.

        Args:
            involved: an object, or a mapping that has its reference fields.
            kind: `Normal` or `Warning`.

        What the server refuses is logged and dropped. What cannot be sent because the server is
        not there is kept and goes out, in order, before the next event.
        """
        reference = meta.reference_to(involved) if "metadata" in involved else dict(involved)
        note = _Note(reference, kind, reason, message[:MESSAGE_MAX], self._clock.now())
        note = self._combine(note)
        if not self._allowed(note):
            _log.debug("event dropped, too many about %s: %s", note.subject, message)
            return
        self._backlog.append(note)
        await self.flush()

    async def flush(self) -> None:
        """Send what waits, until done or until the server cannot be reached."""
        async with self._sending:
            while self._backlog:
                note = self._backlog[0]
                try:
                    await self._send(note)
                except TransportError as error:
                    self._postpone(note, error)
                    return
                except errors.StatusError as error:
                    _log.warning("event %s refused: %s", note.reason, error)
                self._drop(note)

    def _postpone(self, note: _Note, error: TransportError) -> None:
        """Keep `note` for the next flush, up to TRIES_MAX times."""
        _log.debug("event %s waits: %s", note.reason, error)
        if not (self._backlog and self._backlog[0] is note):
            return
        if note.tries + 1 >= TRIES_MAX:
            self._backlog.popleft()
        else:
            self._backlog[0] = replace(note, tries=note.tries + 1)

    def _drop(self, note: _Note) -> None:
        if self._backlog and self._backlog[0] is note:
            self._backlog.popleft()

    def _combine(self, note: _Note) -> _Note:
        """Mark `note` as combined when too many others differ from it in the message only."""
        key = (*note.subject, note.kind, note.reason)
        similar = self._similar.get(key)
        if similar is None or note.now - similar.last > SIMILAR_WINDOW_S:
            similar = _Similar(frozenset(), note.now)
        messages = similar.messages
        if len(messages) <= SIMILAR_MAX:
            messages |= {note.message}
        self._similar.put(key, _Similar(messages, note.now))
        if len(messages) <= SIMILAR_MAX:
            return note
        return replace(note, message=COMBINED + note.message)

    def _allowed(self, note: _Note) -> bool:
        """Take one token of this source, object and reason, if there is any."""
        key = (*note.subject, note.reason)
        tokens, since = self._tokens.get(key) or (float(BURST), note.now)
        tokens = min(float(BURST), tokens + max(0.0, note.now - since) / REFILL_S)
        self._tokens.put(key, (tokens - 1 if tokens >= 1 else tokens, note.now))
        return tokens >= 1

    async def _send(self, note: _Note) -> None:
        combined = note.message.startswith(COMBINED)
        key = (*note.subject, note.kind, note.reason, COMBINED if combined else note.message)
        said = self._said.get(key)
        if said is not None:
            said = replace(said, count=said.count + 1)
            if await self._repeat(note, said):
                self._said.put(key, said)
                return
        said = said or _Said("", 1, meta.format_time(note.now))
        self._said.put(key, await self._create(note, said))

    async def _create(self, note: _Note, said: _Said) -> _Said:
        """Make the event, under another name when the one drawn is taken."""
        for left in reversed(range(NAMES_TRIED_MAX)):
            said = replace(said, name=self._name(note))
            try:
                await self._client.create(RESOURCE, self._body(note, said), note.namespace)
                break
            except errors.StatusError as error:
                if error.reason != "AlreadyExists" or not left:
                    raise
        return said

    async def _repeat(self, note: _Note, said: _Said) -> bool:
        """Count an event that was sent before; False when the server has forgotten it."""
        last = meta.format_time(note.now)
        patch = {"count": said.count, "lastTimestamp": last, "message": note.message}
        try:
            await self._client.patch(RESOURCE, said.name, patch, note.namespace, kind="strategic")
        except errors.StatusError as error:
            if error.code == 404:
                return False
            raise
        return True

    def _name(self, note: _Note) -> str:
        nanos = int(note.now * 1_000_000) * 1000 + self._ids.rng.randrange(1000)
        return f"{note.involved.get('name', '')}.{nanos:x}"

    def _body(self, note: _Note, said: _Said) -> MutableObj:
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        return {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": said.name, "namespace": note.namespace},
            "involvedObject": dict(note.involved),
            "reason": note.reason,
            "message": note.message,
            "source": source,
            "firstTimestamp": said.first,
            "lastTimestamp": meta.format_time(note.now),
            "count": said.count,
            "type": note.kind,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }
