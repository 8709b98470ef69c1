"""A small API in process: one resource, pods, with list, watch and whatever a test wants broken."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from petset.api import errors
from petset.base.http import Identity, Reply, Request, Response, Stream, Writer
from petset.client.client import Client
from petset.client.local import Local

Obj = dict[str, Any]
Answer = Callable[[Request], Awaitable[Reply]]


def pod(name: str, version: int, namespace: str = "default", **labels: str) -> Obj:
    metadata = {"name": name, "namespace": namespace, "resourceVersion": str(version)}
    if labels:
        metadata["labels"] = labels  # type: ignore[assignment]
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}


def status(error: errors.StatusError) -> Response:
    return Response(error.code, (), orjson.dumps(error.status()))


def client(handler: Answer, manager: str = "tester") -> Client:
    return Client(Local(handler, Identity("tester")), manager=manager)


class Api:
    """Keeps a log of events; lists its end state and follows it for watchers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Obj]] = []
        self.changed = asyncio.Event()
        self.requests: list[Request] = []
        self.replies: list[Reply | Exception] = []
        self.cut = asyncio.Event()
        self.compacted = 0

    @property
    def lists(self) -> int:
        return sum(1 for r in self.requests if not r.param("watch"))

    @property
    def watches(self) -> list[str]:
        return [r.param("resourceVersion") for r in self.requests if r.param("watch")]

    def emit(self, kind: str, name: str, **labels: str) -> None:
        self.events.append((kind, pod(name, len(self.events) + 1, **labels)))
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    async def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.replies:
            reply = self.replies.pop(0)
            if isinstance(reply, Exception):
                raise reply
            return reply
        if request.param("watch"):
            return self._watch(int(request.param("resourceVersion")))
        items = {}
        for kind, obj in self.events:
            items[obj["metadata"]["name"]] = obj
            if kind == "DELETED":
                del items[obj["metadata"]["name"]]
        bare = [{"metadata": obj["metadata"]} for obj in items.values()]
        metadata = {"resourceVersion": str(len(self.events))}
        page = {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": bare}
        return Response(200, (), orjson.dumps(page))

    def _watch(self, position: int) -> Reply:
        if position < self.compacted:
            gone = errors.expired(f"too old resource version: {position} ({self.compacted})")
            line = orjson.dumps({"type": "ERROR", "object": gone.status()}) + b"\n"
            return Response(200, (), line)

        async def run(writer: Writer) -> None:
            at = position
            cut = self.cut
            while not cut.is_set():
                for kind, obj in self.events[at:]:
                    writer.write(orjson.dumps({"type": kind, "object": obj}) + b"\n")
                at = len(self.events)
                changed = asyncio.ensure_future(self.changed.wait())
                stop = asyncio.ensure_future(cut.wait())
                try:
                    await asyncio.wait([changed, stop], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                    stop.cancel()

        return Stream(run)

    def cut_watches(self) -> None:
        cut, self.cut = self.cut, asyncio.Event()
        cut.set()
