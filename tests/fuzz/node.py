"""Targets at the agent: its endpoint's queries, and sessions of exec, attach and port-forward."""

import asyncio
import os
import socket
import tempfile
import types
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, cast

from petset.api.meta import Obj
from petset.base import spdy, websocket
from petset.base.clock import SystemClock
from petset.base.http import PeerCertificate, Reply, Request, Response, Stream, Upgrade
from petset.node import portforward
from petset.node.runtime.base import Process, Run, Runtime
from petset.node.server import Server
from tests.fuzz import mutate
from tests.fuzz.harness import Round
from tests.fuzz.wire import feed, frames, spdy_frames
from tests.unit.apiserver.harness import Ear
from tests.unit.base.pipes import PipeEnd, pipe

ADMIN = PeerCertificate("apiserver", ("system:masters",))
POD: Obj = {
    "metadata": {"name": "p", "namespace": "default", "uid": "u"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
LINES = b"".join(
    b"2026-11-20T05:02:%02d.123456789+00:00 stdout F line %d\n" % (i % 60, i) for i in range(50)
)
AS_KUBELET = (b"no network", b"pod not found (", b"container not found (")
"""Words of answers that are 500 at the kubelet too: what was to be joined has ended."""


class Echo:
    """A command that says what it hears, until it hears no more."""

    def __init__(self) -> None:
        self.stdout, stdin = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.stdin: int | None = stdin
        self.stderr: int | None = None
        self.ended = False
        self.started = True
        self._over = asyncio.Event()

    def resize(self, columns: int, rows: int) -> None:
        assert 0 <= columns <= 0xFFFF
        assert 0 <= rows <= 0xFFFF

    def close_stdin(self) -> None:
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None
        self.ended = True
        self._over.set()

    async def wait(self) -> int:
        await self._over.wait()
        return 0

    def kill(self) -> None:
        self.close_stdin()

    def close(self) -> None:
        self.close_stdin()
        os.close(self.stdout)


class Box:
    """A runtime with one container that runs."""

    def __init__(self, log: Path) -> None:
        self.run = types.SimpleNamespace(
            id="r", pod_uid="u", name="c", state="running", tty=True, log_path=str(log)
        )

    def runs(self, uid: str) -> Sequence[Run]:
        return [cast(Run, self.run)] if uid == "u" else []

    async def open_in(self, run: str, command: Sequence[str], **_: object) -> Process:
        assert run == "r"
        assert command
        return cast(Process, Echo())

    def attachable(self, run: str) -> None:
        del run

    def netns(self, uid: str) -> None:
        del uid


def _server(folder: Path) -> Server:
    log = folder / "c.log"
    log.write_bytes(LINES)

    def find(namespace: str, name: str) -> Obj | None:
        return POD if (namespace, name) == ("default", "p") else None

    return Server(cast(Runtime, Box(log)), find, SystemClock())


WORDS: dict[str, tuple[str, ...]] = {
    "tailLines": ("0", "3", "-1", "9" * 30, "9" * 5000, "x", "\u0661"),
    "sinceSeconds": ("1", "0", "-5", "9" * 400, "9" * 5000, "x", "1.5"),
    "sinceTime": ("2026-11-20T05:02:52Z", "x", "0001-01-01T00:00:00Z"),
    "limitBytes": ("1", "100", "0", "-1", "9" * 400, "x"),
    "timestamps": ("true", "x"),
    "previous": ("true",),
    "port": ("80", "0", "-1", "²", "99999", "80,81", ",", "9" * 5000, "x"),
    "command": ("sh", "", "\u0000"),
    "input": ("1",),
    "output": ("1",),
    "error": ("1",),
    "tty": ("1",),
}
PATHS = (
    "/containerLogs/default/p/c", "/exec/default/p/c", "/attach/default/p/c",
    "/portForward/default/p", "/exec/default/p/c", "/exec/default/p/c", "/exec/default/p/c",
    "/containerLogs/default/p/x", "/exec/default/x/c", "/exec", "/", "",
    "/containerLogs/default/p/%63", "/containerLogs/default/p/%00", "/pods", "//", "/healthz/x",
)  # fmt: skip
UPGRADES: tuple[dict[str, str], ...] = (
    {},
    {"upgrade": "websocket", "sec-websocket-version": "13",
     "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="},
    {"upgrade": "SPDY/3.1", "x-stream-protocol-version": "v4.channel.k8s.io"},
    {"upgrade": "SPDY/3.1", "x-stream-protocol-version": "portforward.k8s.io"},
    {"upgrade": "spdy/3.1"}, {"upgrade": "x"},
)  # fmt: skip
PROTOCOLS = (
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "base64.channel.k8s.io",
    "channel.k8s.io", "SPDY/3.1+portforward.k8s.io", "x", "",
)  # fmt: skip


def _request(rng: Random) -> Request:
    query = [
        (name, rng.choice(WORDS[name]))
        for name in rng.sample(sorted(WORDS), rng.randrange(6))
        for _ in range(rng.choice((1, 1, 2)))
    ]
    path = rng.choice(PATHS)
    if path.startswith("/exec") and rng.random() < 0.9:
        query += [("command", "sh"), ("input", "1"), ("output", "1"), ("tty", "1")]
    if rng.random() < 0.15:
        path = mutate.mutated(rng, path.encode()).decode("utf-8", "replace")
    headers = dict(rng.choice(UPGRADES))
    if path.startswith("/exec") and rng.random() < 0.8:
        headers = dict(rng.choice(UPGRADES[1:3]))
    if headers.get("upgrade") == "websocket" and (protocol := rng.choice(PROTOCOLS)):
        headers["sec-websocket-protocol"] = protocol
    peer = ADMIN if rng.random() < 0.95 else None
    return Request("GET", path, query, headers, raw_target=path, peer=peer)


async def _run(upgrade: Upgrade, duplex: PipeEnd) -> None:
    await upgrade.run(duplex)


async def _taken(rng: Random, reply: Reply) -> None:
    """Take a reply to its end, with a client that sends this and that and goes."""
    match reply:
        case Response():
            assert (
                reply.status < 500
                or reply.status == 501
                or any(words in bytes(cast(bytes, reply.body)) for words in AS_KUBELET)
            ), reply
        case Stream():
            await reply.run(Ear())
        case Upgrade():
            ours, theirs = pipe()
            data = spdy_frames(rng) if "SPDY/3.1" in dict(reply.headers).values() else frames(rng)
            async with asyncio.TaskGroup() as group:
                group.create_task(feed(rng, theirs, data))
                group.create_task(_run(reply, ours))


@asynccontextmanager
async def kubelet() -> AsyncIterator[Round]:
    """Queries of logs, exec, attach and port-forward, and what follows an upgrade."""
    with tempfile.TemporaryDirectory(prefix="petset-fuzz-") as folder:
        server = _server(Path(folder))

        async def play(rng: Random) -> None:
            await _taken(rng, await server.handle(_request(rng)))

        yield play


async def _dial(port: int) -> socket.socket:
    """Some ports refuse, some close at once, some keep silent."""
    assert 0 < port <= 65535
    if port % 3 == 0:
        raise ConnectionRefusedError(111, "refused")
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.close()
    return ours


@asynccontextmanager
async def forwards() -> AsyncIterator[Round]:
    """Port-forward sessions over SPDY and over WebSocket channels."""

    async def over_spdy(rng: Random, ours: PipeEnd) -> None:
        await portforward.over_spdy(spdy.Connection(ours), _dial)

    async def over_channels(rng: Random, ours: PipeEnd) -> None:
        ports = [rng.randrange(1, 65536) for _ in range(rng.randrange(4))]
        await portforward.over_channels(websocket.WebSocket(ours), ports, _dial)

    async def play(rng: Random) -> None:
        ours, theirs = pipe()
        spdy_ = rng.random() < 0.6
        work: Any = over_spdy if spdy_ else over_channels
        data = spdy_frames(rng) if spdy_ else frames(rng)
        async with asyncio.TaskGroup() as group:
            group.create_task(feed(rng, theirs, data))
            group.create_task(work(rng, ours))

    yield play
