"""exec and attach: joins a container's streams with those of a connection."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petset.node import channels, pumps
from petset.node.channels import Channels
from petset.node.runtime.base import Attachable, Process, Runtime, RuntimeFailedError

WORDS_MAX = 512
START_STEPS, START_STEP_S = 500, 0.01
"""How often and at which distance to look whether a command runs that needs its terminal's size."""
DRAIN_S = 0.5
"""After the command's end its output pipes may be held open by a child of it; wait so long."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which streams a client wants."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False

    def channels(self) -> set[int]:
        """The SPDY streams that the client will open."""
        found = {channels.ERROR}
        found |= {channels.STDIN} if self.stdin else set()
        found |= {channels.STDOUT} if self.stdout else set()
        found |= {channels.STDERR} if self.stderr and not self.tty else set()
        return found | ({channels.RESIZE} if self.tty else set())


async def execute(
    runtime: Runtime, container_id: str, command: Sequence[str], asked: Asked, peer: Channels
) -> None:
    """Run `command` in the container, its streams joined with the peer's, to its end."""
    try:
        process = await runtime.open_in(container_id, command, stdin=asked.stdin, tty=asked.tty)
    except RuntimeFailedError as error:
        words = f"error executing command in container: {error.message}"
        await peer.finish(channels.failure_status(words))
        return
    try:
        status = await _joined(process, asked, peer)
        if status is not None:
            await peer.finish(status)
    finally:
        process.close()


async def _joined(process: Process, asked: Asked, peer: Channels) -> Mapping[str, Any] | None:
    """Move bytes until the command ends; its status. None: the peer went first."""
    flow = _Flow(asked, peer)
    assert process.stdout is not None
    async with asyncio.TaskGroup() as group:
        outward = [group.create_task(pumps.from_fd(process.stdout, flow.output))]
        if process.stderr is not None:
            outward.append(group.create_task(pumps.from_fd(process.stderr, flow.errors)))
        inward = [group.create_task(_input(process, peer))] if asked.stdin else []
        if asked.tty:
            inward.append(group.create_task(_sizes(process, peer)))
        await pumps.first_of(process.wait(), peer.wait_gone())
        await flow.settle(outward)
        for task in (*outward, *inward):
            task.cancel()
    if not process.ended:
        return None
    code = await process.wait()
    if code and not process.started:
        words = " ".join(b"".join(flow.told).decode(errors="replace").split())
        return channels.failure_status(f"error executing command in container: {words}")
    return channels.exit_status(code)


async def _gone(peer: Channels) -> None:
    await peer.wait_gone()


class _Flow:
    """Output on its way to the peer. `told` keeps the first words of standard error."""

    def __init__(self, asked: Asked, peer: Channels) -> None:
        self._asked = asked
        self._peer = peer
        self._moved = 0
        self._writing = 0
        self.told: list[bytes] = []

    async def output(self, data: bytes) -> None:
        """From standard output, or a terminal."""
        if self._asked.stdout:
            await self._write(channels.STDOUT, data)

    async def errors(self, data: bytes) -> None:
        """From standard error."""
        if sum(map(len, self.told)) < WORDS_MAX:
            self.told.append(data)
        if self._asked.stderr:
            await self._write(channels.STDERR, data)

    async def _write(self, channel: int, data: bytes) -> None:
        self._moved += 1
        self._writing += 1
        try:
            await self._peer.write(channel, data)
        finally:
            self._writing -= 1

    async def settle(self, outward: Sequence["asyncio.Task[None]"]) -> None:
        """Let everything reach the peer, however slow; pipes held open in silence end it."""
        gone: asyncio.Task[None] = asyncio.ensure_future(_gone(self._peer))
        try:
            while not all(task.done() for task in outward) and not gone.done():
                before = self._moved
                waits = {task for task in outward if not task.done()} | {gone}
                await asyncio.wait(waits, timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
                if self._moved == before and not self._writing:
                    return
        finally:
            gone.cancel()


async def _input(process: Process, peer: Channels) -> None:
    assert process.stdin is not None
    await pumps.to_fd(process.stdin, peer.read_stdin)
    process.close_stdin()


async def _sizes(process: Process, peer: Channels) -> None:
    while (size := await peer.read_size()) is not None:
        process.resize(*size)
        if not process.started:  # the runtime may have looked at the size already
            await _started(process)
            process.resize(*size)


async def _started(process: Process) -> None:
    """Wait until the command runs, or never will; nothing but a file tells."""
    for _ in range(START_STEPS):
        if process.started or process.ended:
            return
        await asyncio.sleep(START_STEP_S)


async def attach(where: Attachable, asked: Asked, peer: Channels) -> None:
    """Join a running container's own streams, by conmon's socket, until either side ends."""
    conmon = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    conmon.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(conmon, str(where.socket))

        async def outward() -> None:
            while packet := await loop.sock_recv(conmon, 65536):
                channel = {2: channels.STDOUT, 3: channels.STDERR}.get(packet[0])
                if channel is not None:
                    await peer.write(channel, packet[1:])

        async with asyncio.TaskGroup() as group:
            tasks = []
            if asked.stdin:
                tasks.append(group.create_task(_attach_input(conmon, peer)))
            if asked.tty:
                tasks.append(group.create_task(_attach_sizes(where.sizes, peer)))
            await pumps.first_of(outward(), peer.wait_gone())
            for task in tasks:
                task.cancel()
        await peer.finish(channels.SUCCESS)
    except (FileNotFoundError, ConnectionRefusedError):
        why = "container is in CONTAINER_EXITED state"  # it has ended since it was looked up
        await peer.finish(channels.failure_status(f"error attaching to container: {why}"))
    except OSError as error:
        await peer.finish(channels.failure_status(f"error attaching to container: {error}"))
    finally:
        conmon.close()


async def _attach_input(conmon: socket.socket, peer: Channels) -> None:
    loop = asyncio.get_running_loop()
    while data := await peer.read_stdin():
        await loop.sock_sendall(conmon, data)
    with contextlib.suppress(OSError):
        conmon.shutdown(socket.SHUT_WR)


async def _attach_sizes(fifo: Path, peer: Channels) -> None:
    while (size := await peer.read_size()) is not None:
        columns, rows = size
        _write_size(fifo, f"{rows} {columns}\n".encode())


def _write_size(fifo: Path, line: bytes) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)
