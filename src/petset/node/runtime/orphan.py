"""Finds and ends the processes of a container whose creator died before it could note them.

conmon, the OCI runtime and what they fork all carry the container's id as an argument, until the
container's own program runs, which only a living agent lets happen.
"""

import contextlib
import os
import time
from pathlib import Path

from petset.node import kernel

WAIT_S = 10.0
STEP_S = 0.002


def find(container_id: str) -> list[tuple[int, int]]:
    """(pid, start ticks) of every process that has the id as an argument of its own."""
    wanted, found = container_id.encode(), []
    for name in os.listdir("/proc"):  # noqa: PTH208 (names are all that is needed)
        if not name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if wanted in Path("/proc", name, "cmdline").read_bytes().split(b"\0"):
                pid = int(name)
                found.append((pid, kernel.start_ticks(pid)))
    return [pair for pair in found if pair[1]]


def kill_all(container_id: str) -> bool:
    """SIGKILL them until none is left. Tells whether that is so. Blocks; call it in a thread."""
    end = time.monotonic() + WAIT_S
    while found := find(container_id):
        for pid, ticks in found:
            kernel.kill(pid, ticks)
        if time.monotonic() > end:
            return False
        time.sleep(STEP_S)  # a plain wait: there is no event loop here
    return True
