"""Writers and readers of a few objects over HTTPS, while the server is killed over and over.

PETSET_LINEAR_KILLS sets the number of kills (default 4). The checker has tests of its own here: it
must find what is wrong with histories that are.
"""

import asyncio
import json
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from petset.base import tlsconfig
from tests.e2e.api_box import Server, make_pki
from tests.e2e.linear import History, Listing, Op, faults

KILLS = int(os.environ.get("PETSET_LINEAR_KILLS", "4"))
SEED = int(os.environ.get("PETSET_LINEAR_SEED", "0")) or time.time_ns()
CLIENTS = 8
KEYS = ("a", "b", "c")
LIFE_S = (0.3, 1.5)
ANSWER_S = 15.0
MAPS = "/api/v1/namespaces/default/configmaps"
GONE = (OSError, EOFError, ssl.SSLError, TimeoutError)
ANSWERS = {200: "ok", 201: "ok", 404: "missing"}


@dataclass
class World:
    """The server, the times at which it was gone, and what was asked of it."""

    server: Server
    context: ssl.SSLContext
    deaths: list[float] = field(default_factory=list)
    history: History = field(default_factory=History)
    texts: "count[int]" = field(default_factory=count)
    versions: dict[str, int] = field(default_factory=dict)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False

    def gone_after(self, began: float) -> float:
        """When the server that lived at `began` was gone."""
        return next((death for death in self.deaths if death >= began), float("inf"))


class Connection:
    """A connection that is never replaced: what is sent on it reaches one server or none."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, made: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.made = made

    async def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Any:
        """Status and JSON of the answer."""
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}"]
        lines += [f"Content-Type: {kind or 'application/json'}", "", ""]
        self._writer.write("\r\n".join(lines).encode() + data)
        async with asyncio.timeout(ANSWER_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            answer = await self._reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), json.loads(answer)

    def close(self) -> None:
        self._writer.transport.abort()


async def connect(world: World) -> Connection:
    made = time.perf_counter()
    async with asyncio.timeout(ANSWER_S):
        streams = await asyncio.open_connection(
            "127.0.0.1", world.server.port, ssl=world.context, limit=1 << 20
        )
    return Connection(*streams, made)


async def client(world: World, rng: Random) -> None:
    """Ask at random until it is over; a new connection after each one that broke."""
    while not world.over:
        await world.up.wait()
        try:
            connection = await connect(world)
        except GONE:
            await asyncio.sleep(0.01)
            continue
        try:
            while not world.over:
                await asyncio.sleep(rng.random() * 0.004)
                await ask(world, connection, rng)
        except GONE:
            pass
        finally:
            connection.close()


async def ask(world: World, connection: Connection, rng: Random) -> None:
    """One request at random, noted with what became of it."""
    key = rng.choice(KEYS)
    verbs = ("create", "update", "patch", "delete", "read", "list")
    [verb] = rng.choices(verbs, (4, 6, 3, 2, 4, 1))
    if verb == "list":
        await list_all(world, connection)
        return
    began = time.perf_counter()
    op = Op(verb, key, began)
    if verb in ("create", "update", "patch"):
        op.wrote = f"t{next(world.texts)}"
    if verb == "update" or (verb == "delete" and rng.random() < 0.5):
        op.expected = world.versions.get(key, 0) or 1
    world.history.ops.append(op)
    try:
        status, body = await connection.ask(*request_of(op))
    except GONE:
        op.ended = connection.made  # it is put right when the deaths are known
        raise
    op.ended = time.perf_counter()
    note(world, op, status, body)


def request_of(op: Op) -> tuple[Any, ...]:
    path = f"{MAPS}/{op.key}"
    obj: dict[str, Any] = {"metadata": {"name": op.key}, "data": {"text": op.wrote}}
    match op.verb:
        case "create":
            return "POST", MAPS, obj
        case "update":
            obj["metadata"]["resourceVersion"] = str(op.expected)
            return "PUT", path, obj
        case "patch":
            patch = {"data": {"text": op.wrote}}
            return "PATCH", path, patch, "application/merge-patch+json"
        case "delete":
            wanted = {"preconditions": {"resourceVersion": str(op.expected)}}
            return "DELETE", path, wanted if op.expected else None
        case _:
            return "GET", path


def note(world: World, op: Op, status: int, body: Any) -> None:
    refused = {"AlreadyExists": "exists", "Conflict": "conflict"}.get(body.get("reason", ""), "")
    op.answer = ANSWERS.get(status, refused)
    assert op.answer, (op, status, body)
    if op.answer == "ok" and op.verb != "delete":
        op.revision = int(body["metadata"]["resourceVersion"])
        world.versions[op.key] = op.revision
    if op.verb == "read":
        op.saw = body["data"]["text"] if op.answer == "ok" else ""
        op.answer = "ok"
    elif op.wrote and op.answer == "ok":
        assert body["data"]["text"] == op.wrote


async def list_all(world: World, connection: Connection) -> None:
    began = time.perf_counter()
    _, body = await connection.ask("GET", MAPS)
    found = {}
    for item in body["items"]:
        meta = item["metadata"]
        found[meta["name"]] = (item["data"]["text"], int(meta["resourceVersion"]))
    revision = int(body["metadata"]["resourceVersion"])
    world.history.lists.append(Listing(began, time.perf_counter(), revision, found))


async def kill_often(world: World, rng: Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(rng.uniform(*LIFE_S))
        world.up.clear()
        await world.server.kill()
        world.deaths.append(time.perf_counter())
        await world.server.start()
        world.up.set()
    await asyncio.sleep(LIFE_S[0])
    world.over = True


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    make_pki(tmp_path / "pki")
    server = Server(tmp_path)
    await server.start()
    pki = tmp_path / "pki"
    context = tlsconfig.client_context(pki / "ca.crt", pki / "me.crt", pki / "me.key")
    try:
        made = World(server, context)
        made.up.set()
        yield made
    finally:
        with suppress(ProcessLookupError):
            await server.kill()


@pytest.mark.timeout(60 + 20 * KILLS)
async def test_answers_are_those_of_one_register_per_object(world: World) -> None:
    rng = Random(SEED)
    async with asyncio.TaskGroup() as group:
        group.create_task(kill_often(world, rng))
        for _ in range(CLIENTS):
            group.create_task(client(world, Random(rng.random())))
    history = world.history
    for op in history.ops:
        if not op.answer:
            op.ended = world.gone_after(op.ended)
    answers = {op.answer for op in history.ops}
    assert answers >= {"ok", "exists", "missing", "conflict"}
    assert history.lists
    unknown = sum(not op.answer for op in history.ops)
    print(f"seed {SEED}: {len(history.ops)} requests, {len(history.lists)} lists, ", end="")
    print(f"{unknown} without an answer, {len(world.deaths)} kills")
    wrong = faults(history, KEYS)
    assert not wrong, "\n".join([f"seed {SEED}", *wrong])


# -- the checker ----------------------------------------------------------------------------------


def create(began: float, ended: float, text: str, revision: int = 0, answer: str = "ok") -> Op:
    return Op("create", "a", began, ended, text, 0, answer, revision=revision)


def update(
    began: float, ended: float, text: str, expected: int, revision: int = 0, answer: str = "ok"
) -> Op:
    return Op("update", "a", began, ended, text, expected, answer, revision=revision)


def read(began: float, ended: float, saw: str, revision: int = 0) -> Op:
    return Op("read", "a", began, ended, "", 0, "ok", saw, revision)


def delete(began: float, ended: float, answer: str = "ok") -> Op:
    return Op("delete", "a", began, ended, answer=answer)


RIGHT = {
    "one after the other": [create(0, 1, "x", 1), read(2, 3, "x", 1), delete(4, 5), read(6, 7, "")],
    "reads beside a write see either": [
        create(0, 1, "x", 1),
        update(2, 9, "y", 1, 2),
        read(3, 4, "x", 1),
        read(5, 6, "y", 2),
    ],
    "a write without an answer may work": [create(0, 5, "x", answer=""), read(6, 7, "x", 1)],
    "a write without an answer may not work": [create(0, 5, "x", answer=""), read(6, 7, "")],
    "a write without an answer explains a conflict": [
        create(0, 1, "x", 1),
        update(2, 5, "y", 1, answer=""),
        update(3, 4, "z", 1, answer="conflict"),
        read(6, 7, "y", 2),
    ],
    "a deletion without an answer explains what is missing": [
        create(0, 1, "x", 1),
        delete(2, 5, answer=""),
        read(6, 7, ""),
    ],
    "one of two creates is first": [create(0, 9, "x", 1), create(0, 9, "y", answer="exists")],
}
WRONG = {
    "a write that is lost": [create(0, 1, "x", 1), read(2, 3, "")],
    "a read of what was overwritten": [
        create(0, 1, "x", 1),
        update(2, 3, "y", 1, 2),
        read(4, 5, "x", 1),
    ],
    "reads that go back": [
        create(0, 1, "x", 1),
        update(2, 9, "y", 1, 2),
        read(3, 4, "y", 2),
        read(5, 6, "x", 1),
    ],
    "two updates of one version": [
        create(0, 1, "x", 1),
        update(2, 9, "y", 1, 2),
        update(2, 9, "z", 1, 3),
    ],
    "a conflict without a cause": [create(0, 1, "x", 1), update(2, 3, "y", 1, answer="conflict")],
    "a create beside nothing that exists": [create(0, 1, "x", answer="exists")],
    "two creates": [create(0, 9, "x", 1), create(0, 9, "y", 2)],
    "a write that works after its server is gone": [
        create(0, 3, "x", answer=""),
        read(4, 5, ""),
        read(6, 7, "x", 1),
    ],
    "a write that came back": [
        create(0, 1, "x", 1),
        delete(2, 3),
        read(4, 5, ""),
        read(6, 7, "x", 1),
    ],
    "one text at two versions": [create(0, 1, "x", 1), read(2, 3, "x", 2)],
    "versions against the order of time": [
        create(0, 1, "x", 5),
        Op("create", "b", 2, 3, "y", 0, "ok", revision=4),
    ],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_history_that_can_be_is_found_right(name: str) -> None:
    assert faults(History(RIGHT[name]), ["a"]) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_history_that_cannot_be_is_found_wrong(name: str) -> None:
    assert faults(History(WRONG[name]), ["a"]) != []


def test_a_list_is_of_one_moment() -> None:
    writes = [create(0, 1, "x", 1), update(2, 3, "y", 1, 2)]
    for at, item, right in ((2, ("y", 2), True), (2, ("x", 1), False), (1, ("y", 2), False)):
        history = History(list(writes), [Listing(1.5, 9, at, {"a": item})])
        assert (faults(history, ["a"]) == []) is right
    stale = History(list(writes), [Listing(4, 5, 1, {"a": ("x", 1)})])
    assert faults(stale, ["a"]) != []
