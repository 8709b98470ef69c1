"""Periodic maintenance of a node: logs that have grown too large are rotated."""

import asyncio
from pathlib import Path

from petset.node import logs
from petset.node.runtime.base import Run, Runtime

EVERY_S = 30.0


async def rotate_logs(runtime: Runtime) -> None:
    """Rotate the logs of running containers that are over their size, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        running = [r for uid in runtime.pods() for r in runtime.runs(uid) if r.state == "running"]
        for run in running:
            if is_large(run):
                await runtime.rotate_log(run.id, logs.ROTATE_KEEP)


def is_large(run: Run) -> bool:
    """Whether a run's log is over its size."""
    try:
        return Path(run.log_path).stat().st_size > logs.ROTATE_BYTES
    except OSError:
        return False
