"""`petset exec`: a command in a container, over the WebSocket protocol v5.channel.k8s.io."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import orjson

from petset.api import registry
from petset.api.errors import from_status
from petset.base import tlsconfig, websocket
from petset.cli import members, paths, state, thin
from petset.cli.failure import Failure
from petset.client.client import Client

PROTOCOL = "v5.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PIECE = 32 * 1024


@dataclass(frozen=True, slots=True)
class Exec:
    """What to run where; `stdin` passes standard input on, `tty` asks for a terminal."""

    pod: str
    namespace: str
    container: str
    command: tuple[str, ...]
    stdin: bool = False
    tty: bool = False


def run(name: str, wanted: Exec) -> int:
    """Run it; the exit code of the command, or 1 when it could not be run."""
    where = state.find(name)
    cluster = state.load(where)
    if cluster is None:
        raise Failure(f"there is no cluster {name!r}", "start one with `petset up`")

    async def work(client: Client) -> int:
        pod = await members.pod_of(client, wanted.pod, wanted.namespace)
        return await _run(where, cluster, replace(wanted, pod=pod))

    return thin.run(name, work)


async def _run(where: paths.Paths, cluster: state.Cluster, wanted: Exec) -> int:
    context = tlsconfig.client_context(
        where.pki / "ca.crt", where.pki / "admin.crt", where.pki / "admin.key"
    )
    try:
        socket, _ = await websocket.connect(
            cluster.listen, cluster.port, _target(wanted), ssl=context, protocols=[PROTOCOL]
        )
    except websocket.UpgradeError as refusal:
        body = refusal.body
        status = orjson.loads(body) if body[:1] == b"{" else {"message": str(refusal)}
        raise from_status(status, refusal.status) from refusal
    except OSError as error:
        raise Failure(f"the API does not answer: {error}") from error
    with _raw_terminal(wanted.tty and wanted.stdin):
        return await _talk(socket, wanted)


def _target(wanted: Exec) -> str:
    query = [("command", word) for word in wanted.command]
    query += [("stdout", "true")] + ([("tty", "true")] if wanted.tty else [("stderr", "true")])
    query += [("stdin", "true")] if wanted.stdin else []
    query += [("container", wanted.container)] if wanted.container else []
    path = registry.by_id("pods").path(wanted.namespace, wanted.pod, "exec")
    return f"{path}?{urlencode(query)}"


@contextlib.contextmanager
def _raw_terminal(wanted: bool) -> Iterator[None]:
    if not wanted or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin, termios.TCSADRAIN)  # what was typed ahead is not lost
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


async def _talk(socket: websocket.WebSocket, wanted: Exec) -> int:
    loop = asyncio.get_running_loop()
    if wanted.tty:
        _tell_size(socket)
        loop.add_signal_handler(signal.SIGWINCH, _tell_size, socket)
    sending = asyncio.create_task(_send_input(socket)) if wanted.stdin else None
    try:
        return await _receive(socket)
    finally:
        if sending is not None:
            sending.cancel()
        await socket.close()


def _tell_size(socket: websocket.WebSocket) -> None:
    for stream in (sys.stdin, sys.stdout):
        with contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(stream.fileno())  # never what $COLUMNS says of another one
            break
    else:
        return
    body = orjson.dumps({"Width": size.columns, "Height": size.lines})
    socket.write(bytes([_RESIZE]) + body + b"\n")


async def _send_input(socket: websocket.WebSocket) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while piece := await reader.read(_PIECE):
        await socket.send(bytes([_STDIN]) + piece)
    await socket.send(bytes([_CLOSE, _STDIN]))


async def _receive(socket: websocket.WebSocket) -> int:
    """Print what comes; the exit code from the Status that ends it."""
    code = 1
    while True:
        try:
            _, message = await socket.recv()
        except websocket.WebSocketClosed:
            return code
        channel, data = message[0], message[1:]
        if channel in {_STDOUT, _STDERR}:
            stream = sys.stdout if channel == _STDOUT else sys.stderr
            stream.buffer.write(data)
            stream.flush()
        elif channel == _ERROR:
            code = _exit_code(data)


def _exit_code(data: bytes) -> int:
    status = orjson.loads(data)
    if status.get("status") == "Success":
        return os.EX_OK
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    print(status.get("message", "the command could not be run"), file=sys.stderr)
    return 1
