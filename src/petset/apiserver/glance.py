"""Fast path for GETs of one object: no task, no repeated authentication or negotiation.

Identity and answer format follow from a connection's certificate and header lines: they are worked
out once and cached in the request's notes; the route of a path is cached too. What remains for each
request is authorization, the lookup of the object, and metrics.

Invariant: the answer equals that of `App.dispatch`; a request that needs more than is done here
gets None and takes the ordinary path.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from petset.api import deprecated
from petset.api.errors import StatusError
from petset.apiserver import authn, authz, binary, handlers, negotiate
from petset.apiserver.answer import GZIP_MIN_BYTES, JSON_HEADERS
from petset.apiserver.metrics import Metrics
from petset.apiserver.route import NotFoundPathError, Route, resolve
from petset.apiserver.verbs import get
from petset.base.http import Headers, Identity, Request, Response
from petset.store.types import Store

Dress = Callable[[Headers], Headers]
"""Adds to an answer's headers what every answer has."""

PATHS_MAX = 1024
PACKED = negotiate.Format(negotiate.PROTOBUF)


class Glance:
    """Answers at once what it can. `answer` is a `base.http.AtOnce`."""

    def __init__(self, store: Store, metrics: Metrics, dress: Dress) -> None:
        self._store = store
        self._metrics = metrics
        self._dress = dress

    def answer(self, request: Request) -> Response | None:
        """The object that `request` asks for, or None for the ordinary path."""
        started = time.perf_counter()
        found = _target(request.path)
        reader = _reader(request)
        if found is None or reader is None or request.query:
            return None
        route, key = found
        item = self._store.get(key)
        if item is None or len(item.value) > GZIP_MIN_BYTES:
            return None
        try:
            authz.check(reader.identity, route)
        except StatusError:
            return None
        body, headers = item.value, JSON_HEADERS
        if reader.packed:
            body, headers = binary.body(body), binary.HEADERS
        resource = route.resource
        took_s = time.perf_counter() - started
        self._metrics.count(route.verb, resource.group, resource.plural, 200, took_s)
        return Response(200, self._dress(headers), body)


@lru_cache(maxsize=PATHS_MAX)
def _target(path: str) -> tuple[Route, str] | None:
    """The route and the store's key of a path whose GET sends stored bytes as they are."""
    try:
        route = resolve("GET", path, watch=False)
        if route is None or route.verb != "get" or handlers.find(route) is not get.get:
            return None
    except (StatusError, NotFoundPathError):
        return None
    plain = not route.converts and route.resource.id not in deprecated.RESOURCES
    return (route, route.key) if plain else None


class Reader(NamedTuple):
    """Who reads objects as they are stored, in JSON or `packed` as protobuf."""

    identity: Identity
    packed: bool


def plain_reader(request: Request) -> Identity | None:
    """The identity, if it is known and the client wants JSON exactly as stored."""
    reader = _reader(request)
    return None if reader is None or reader.packed else reader.identity


def _reader(request: Request) -> Reader | None:
    notes = request.notes
    if notes is None:
        return None
    if "reader" not in notes:
        notes["reader"] = _find_reader(request)
    reader = notes["reader"]
    return reader if isinstance(reader, Reader) else None


def _find_reader(request: Request) -> Reader | None:
    headers = request.headers
    try:
        identity = authn.identify(request)
        form = negotiate.choose(headers.get("accept", ""), negotiate.OBJECT)
    except StatusError:
        return None
    if identity is None or form not in (negotiate.PLAIN, PACKED):
        return None
    packed = form == PACKED
    if not packed and negotiate.wants_indent("", headers.get("user-agent", "")):
        return None
    return Reader(identity, packed)
