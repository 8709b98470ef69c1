"""The protocol between the agent and its image workers: one JSON request, JSON lines back.

The worker's standard input stays open as long as somebody wants its work: at its end the worker
kills its whole process group, so that nothing outlives the agent.
Invariant: the last line of a worker is its result or its error.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson

Tell = Callable[[str], None]


class Failure(Exception):  # noqa: N818 (crosses the process boundary as a value)
    """What a worker could not do.

    Attributes:
        kind: `unreachable` (no answer from `host`), or `failed`.
    """

    def __init__(self, kind: str, message: str, host: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.host = host


def serve(work: Callable[[Mapping[str, Any], Tell], Any]) -> int:
    """Do the one request on standard input; returns the exit code."""
    request = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        _say({"done": work(request, lambda line: _say({"tell": line}))})
    except Failure as failure:
        _say({"error": {"kind": failure.kind, "message": failure.message, "host": failure.host}})
        return 1
    return 0


def _die_with_parent() -> None:
    # Past Python's buffer: at exit the interpreter wants its lock, which a waiting read would hold.
    while os.read(sys.stdin.fileno(), 1):
        continue
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)  # started by hand: the group is somebody else's


def _say(line: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()
