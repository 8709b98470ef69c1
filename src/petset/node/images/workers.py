"""Running the image workers from the agent's side."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import orjson

from petset.node.images.workerio import Failure, Tell

WORKER = "petset.node.images.worker"
PULLER = "petset.node.images.pullworker"

_LINE_MAX = 1024 * 1024
_CRASH_BYTES = 2000


class Run(Protocol):
    """Has a worker do something: the ids of the images it made. Raises Failure."""

    async def __call__(self, module: str, request: Mapping[str, Any], tell: Tell) -> list[str]:
        """Run `module` with `request`; progress goes to `tell`."""
        ...


async def run(module: str, request: Mapping[str, Any], tell: Tell) -> list[str]:
    """Run a worker process to its end; when cancelled, kill it and all it started."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_MAX,
        start_new_session=True,
    )
    try:
        async with asyncio.TaskGroup() as group:
            crash = group.create_task(_tail(process))
            result = await _converse(process, request, tell)
    finally:
        await _end(process)
    if isinstance(result, Failure):
        raise result
    if result is None:
        text = crash.result().strip().splitlines()
        raise Failure("failed", "the image worker died: " + (text[-1] if text else "no word"))
    return result


async def _converse(
    process: asyncio.subprocess.Process, request: Mapping[str, Any], tell: Tell
) -> list[str] | Failure | None:
    """The worker's last word; None when it died without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orjson.dumps(request) + b"\n")
    with suppress(ConnectionError):
        await process.stdin.drain()
    result: list[str] | Failure | None = None
    async for line in process.stdout:
        match orjson.loads(line):
            case {"tell": str(text)}:
                tell(text)
            case {"done": list(ids)}:
                result = ids
            case {"error": {"kind": kind, "message": message, "host": host}}:
                result = Failure(kind, message, host)
            case unknown:
                result = Failure("failed", f"the image worker said {unknown!r}")
    process.stdin.close()
    return result


async def _tail(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    text = b""
    while piece := await process.stderr.read(4096):
        text = (text + piece)[-_CRASH_BYTES:]
    return text.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
