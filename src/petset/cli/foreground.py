"""`petset up --foreground`: stay, start again what dies, stop all at the end."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType

from petset.cli import down, paths, process, state, up
from petset.cli.failure import Failure

_PAUSE_MAX_S = 30.0


class _EndError(Exception):
    """Somebody wants the cluster to stop."""


def run(where: paths.Paths, cluster: state.Cluster) -> None:
    """Watch over the cluster's processes until SIGINT or SIGTERM."""

    def end(number: int, frame: FrameType | None) -> None:
        _heed(signal.SIG_IGN)  # once is enough: the cluster is stopped whole
        raise _EndError

    print("  staying in the foreground; Ctrl-C stops the cluster", flush=True)
    try:
        _heed(end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, up.ENDINGS)
        _watch(where, cluster.name)
        print(f"Cluster {cluster.name} was stopped by another command.")
    except _EndError:
        with state.lock(f"cluster {cluster.name}"):
            down.stop(where, cluster.name, container_grace_s=down.GRACE_S)
        print(f"Cluster {cluster.name} is stopped; its data stays in {where.state}.")


def _heed(how: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in up.ENDINGS:
        signal.signal(number, how)


def _watch(where: paths.Paths, name: str) -> None:
    pause_s = 0.5
    while True:
        began = time.monotonic()
        _wait_for_a_death(where)
        _reap()
        if state.note(where) is None:
            return  # somebody ran `petset down`
        if time.monotonic() - began > _PAUSE_MAX_S:
            pause_s = 0.5
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _PAUSE_MAX_S)
        _start_again(where, name)


def _reap() -> None:
    """Let go of processes of ours that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _wait_for_a_death(where: paths.Paths) -> None:
    """Return when a process of the cluster ends (or the list of them may have changed)."""
    descriptors = []
    try:
        for file in where.run.glob("*.pid"):
            living = process.read(file)
            if living is None:
                return
            descriptors.append(os.pidfd_open(living.pid))
        select.select(descriptors, [], [], 5.0 if descriptors else 1.0)
    except ProcessLookupError:
        return
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _start_again(where: paths.Paths, name: str) -> None:
    with state.lock(f"cluster {name}"):
        try:
            cluster = state.load(where)
            if cluster is None or state.note(where) is None:
                return  # it was stopped while we waited for our turn
            if server := up.start_server(where, cluster):
                print("  the API server had died; starting it again", flush=True)
                up.expect_ready(server, "the API server")
            for node in cluster.nodes:
                # A node that was killed on purpose has no pid file and stays dead.
                if where.pid_file(f"agent-{node}").exists() and (
                    agent := up.start_agent(where, cluster, node)
                ):
                    print(f"  the agent of {node} had died; starting it again", flush=True)
                    up.expect_ready(agent, f"node {node}")
        except (Failure, OSError) as failure:
            print(f"  {failure}", flush=True)
