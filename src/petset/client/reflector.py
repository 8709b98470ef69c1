"""Keeps caches up to date: list, watch, and list again when the history is gone.

Invariant: cached objects carry no managedFields.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from petset.api import errors, meta
from petset.api.meta import MutableObj
from petset.client.cache import Cache
from petset.client.client import Client
from petset.client.sharing import Sharing
from petset.client.transport import TransportError

PAGE = 500
BACKOFF_BASE_S = 0.2
BACKOFF_MAX_S = 10.0
ANSWERS = 2
"""At most so many failures are counted of a server that lists (next pause: 0.8 s, as in client-go).
"""
SILENCE_MAX_S = 300.0
"""A watch without any event, not even a bookmark, for so long is taken for dead."""

HEARD_S = 1.0
"""Resolution at which a watch's last event is noted: a timer per event would cost more than the
event itself."""

LASTING = 5
"""Failures in a row (some 6 s) after which a warning is logged."""

_log = logging.getLogger(__name__)


class _Reflector:
    """List and watch of one resource, into one cache.

    The position (`version`) outlives a cut connection: the watch goes on where it was, and the
    list is read again only when the server says that the position is too old.
    """

    def __init__(self, client: Client, cache: Cache, fields: str, sharing: Sharing) -> None:
        self.client = client
        self.sharing = sharing
        self.cache = cache
        self.fields = fields
        self.version = ""
        self.failures = 0
        self._again = False
        self._silence: asyncio.Timeout | None = None

    def refresh(self) -> None:
        """List again: at once if a watch goes on, else before the next one."""
        self._again = True
        if self._silence is not None and not self._silence.expired():
            self._silence.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Reflect until cancelled."""
        while True:
            started = asyncio.get_running_loop().time()
            try:
                while self._again or not self.version:
                    await self._list()
                fruitful = await self._watch()
            except errors.StatusError as error:
                self._refused(error)
                await self._back_off()
            except (TransportError, TimeoutError) as error:
                self._tell(error)
                await self._back_off()
            else:
                if not fruitful and asyncio.get_running_loop().time() - started < 1:
                    await self._back_off()

    async def _list(self) -> None:
        asked_at = asyncio.get_running_loop().time()
        self._again = False
        listed = await self.client.list(
            self.cache.resource, fields=self.fields, limit=PAGE, prepare=self._slim
        )
        self.version = listed.resource_version
        self.failures = min(self.failures, ANSWERS)
        self.cache.replace(listed.items, listed.resource_version, asked_at)

    async def _watch(self) -> bool:
        """Follow one watch to its end; says whether it brought anything."""
        fruitful = False
        watch = self.client.watch(
            self.cache.resource, resource_version=self.version, fields=self.fields
        )
        time = asyncio.get_running_loop().time
        heard = time()
        async with aclosing(watch), self._listening() as silence:
            while True:
                event = await anext(watch, None)
                if event is None:
                    return fruitful
                if (now := time()) > heard + HEARD_S and not self._again:
                    heard = now
                    silence.reschedule(now + SILENCE_MAX_S)
                if event.type != "BOOKMARK":
                    self._slim(event.obj)
                    self.cache.apply(event.type, event.obj)
                self.version = meta.version_of(event.obj) or self.version
                fruitful = True
                self.failures = 0

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[asyncio.Timeout]:
        """A limit to the silence of a watch, which `refresh` may bring forward."""
        async with asyncio.timeout(SILENCE_MAX_S) as silence:
            self._silence = silence
            try:
                yield silence
            finally:
                self._silence = None

    def _slim(self, obj: MutableObj) -> None:
        """Drop managedFields: a third of an object, which no reader of a cache needs.
        The server keeps it where an update leaves it out."""
        metadata = obj.get("metadata")
        if metadata:
            metadata.pop("managedFields", None)
        self.sharing.condense(obj)

    def _refused(self, error: errors.StatusError) -> None:
        causes = error.details.get("causes") or ()
        ahead = any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes)
        if error.code == 410 or ahead:
            self.version = ""
            self.failures = min(self.failures, ANSWERS)
        self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Log a failure: a short one quietly, a lasting one as a warning, once."""
        level = logging.WARNING if self.failures == LASTING else logging.DEBUG
        _log.log(level, "cannot follow %s: %r", self.cache.resource, error)

    async def _back_off(self) -> None:
        delay_s = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** min(self.failures, 16))
        self.failures += 1
        await asyncio.sleep(delay_s)


class Informers:
    """Shared caches of one process: one reflector per (resource, field selector).

    `cache()` may be called before `run`; a cache asked for later starts at once.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._reflectors: dict[tuple[str, str], _Reflector] = {}
        self._group: asyncio.TaskGroup | None = None
        self._sharing = Sharing()

    def cache(self, resource: str, *, fields: str = "") -> Cache:
        """The shared cache of `resource`, made on first use."""
        reflector = self._reflectors.get((resource, fields))
        if reflector is None:
            reflector = _Reflector(self.client, Cache(resource), fields, self._sharing)
            reflector.cache.refresh = reflector.refresh
            self._reflectors[resource, fields] = reflector
            if self._group is not None:
                self._group.create_task(reflector.run(), name=f"reflector {resource}")
        return reflector.cache

    async def run(self) -> None:
        """Reflect every cache until cancelled: list+watch, back off on errors, relist on 410."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for (resource, _), reflector in self._reflectors.items():
                    group.create_task(reflector.run(), name=f"reflector {resource}")
                await asyncio.Future[None]()
        finally:
            self._group = None

    async def wait_synced(self) -> None:
        """Wait until every cache asked for so far has its first list."""
        for reflector in list(self._reflectors.values()):
            await reflector.cache.wait_synced()
