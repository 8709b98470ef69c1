"""list: the objects of a collection, whole or in pages, as of one revision."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from petset.api.errors import StatusError, expired
from petset.apiserver import collection, negotiate, selection
from petset.apiserver.call import Call
from petset.apiserver.selection import Selection
from petset.apiserver.verbs import listing
from petset.apiserver.verbs.listing import Options, Token
from petset.base.http import Reply
from petset.store.types import CompactedError, Event, Item, Snapshot, Store

WAIT_S = 3.0
"""How long a list waits for a revision that is yet to come."""
YIELD_EVERY = 200
"""Objects examined per turn of the event loop."""

_key = attrgetter("key")


async def list_objects(call: Call) -> Reply:
    """Answer a list request."""
    route, request = call.route, call.request
    call.format = negotiate.choose(request.headers.get("accept", ""), negotiate.LIST)
    options = listing.of_request(request, watch=False)
    chosen = selection.of_request(request, route.resource, call.shown, route.name)
    store = call.backend.store
    token = listing.decode_token(options.token, f"{route.resource.id}/") if options.token else None
    snapshot = await _snapshot(store, call, options, token, chosen)
    items: Sequence[Item] = snapshot.items
    if token is not None:
        items = items[bisect_left(items, token.start, key=_key) :]
    page, start = await _page(items, chosen, options.limit)
    meta: dict[str, Any] = {"resourceVersion": str(snapshot.revision)}
    if start:
        meta["continue"] = Token(snapshot.revision, items[start].key).encode()
        if chosen.is_everything:
            meta["remainingItemCount"] = len(items) - start
    return await collection.listed(call, page, meta)


async def _snapshot(
    store: Store, call: Call, options: Options, token: Token | None, chosen: Selection
) -> Snapshot:
    prefix = call.route.prefix
    wanted = options.revision or 0
    if token is None:
        await await_revision(store, wanted)
        exact = options.match == "Exact" or (not options.match and options.limit)
        if not (wanted and exact):
            return _newest(store, call, chosen)
    elif token.revision < 0:
        return store.list(prefix)
    else:
        wanted = token.revision
    try:
        return at_revision(store, prefix, wanted)
    except CompactedError as error:
        if token is None:
            raise expired("The resourceVersion for the provided list is too old.") from error
        raise _expired(token) from None


def _newest(store: Store, call: Call, chosen: Selection) -> Snapshot:
    route = call.route
    if chosen.name and (route.namespace or not route.resource.namespaced):
        item = store.get(f"{route.resource.id}/{route.namespace}/{chosen.name}")
        return Snapshot(store.revision, [] if item is None else [item])
    return store.list(route.prefix)


def _expired(token: Token) -> StatusError:
    class ExpiredTokenError(StatusError):
        def status(self) -> dict[str, Any]:
            body = super().status()
            body["metadata"] = {"continue": Token(-1, token.start).encode()}
            return body

    return ExpiredTokenError(410, "Expired", listing.TOO_OLD)


async def await_revision(store: Store, wanted: int) -> None:
    """Wait until the store is at `wanted`. Raises StatusError 504 after a few seconds."""
    if store.revision >= wanted:
        return
    reached = asyncio.Event()

    def look(_: object) -> None:
        if store.revision >= wanted:
            reached.set()

    unsubscribe = store.subscribe("", look)
    try:
        async with asyncio.timeout(WAIT_S):
            await reached.wait()
    except TimeoutError:
        raise listing.too_large(wanted, store.revision) from None
    finally:
        unsubscribe()


def at_revision(store: Store, prefix: str, revision: int) -> Snapshot:
    """The items below `prefix` as they were at `revision`: later events are taken back.

    Raises CompactedError.
    """
    if revision == store.revision:
        return store.list(prefix)
    changed: dict[str, Event] = {}
    for event in store.history(prefix, revision):
        changed.setdefault(event.key, event)  # the first change since then tells the state before
    items = list(store.list(prefix).items)
    for key, event in changed.items():
        at = bisect_left(items, key, key=_key)
        end = at + (at < len(items) and items[at].key == key)
        old = event.previous
        items[at:end] = [] if old is None else [Item(key, event.created, 0, old)]
    return Snapshot(revision, items)


async def _page(items: Sequence[Item], chosen: Selection, limit: int) -> tuple[list[bytes], int]:
    """The values that match, at most `limit`; and the index at which the next page starts."""
    if chosen.is_everything:
        more = limit if limit and len(items) > limit else 0
        return [item.value for item in (items[:limit] if more else items)], more
    found: list[bytes] = []
    for index, item in enumerate(items):
        if index and index % YIELD_EVERY == 0:
            await asyncio.sleep(0)
        if not chosen.accepts(item.value):
            continue
        if limit and len(found) == limit:
            return found, index
        found.append(item.value)
    return found, 0
