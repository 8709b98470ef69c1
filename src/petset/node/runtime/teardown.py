"""Ends everything a node left on the machine, without its agent: for `down` and for lost nodes.

Works from the records on disk, the mount table and the node's control group alone, and may be done
twice.
"""

import fcntl
import os
import shutil
import time
from pathlib import Path

from petset.node import kernel
from petset.node.runtime import cgroup, conmon, record

CGROUP_FILE = "cgroup"
WAIT_S = 10.0
STEP_S = 0.01


def kill_node(run_dir: Path, state_dir: Path) -> None:
    """SIGKILL agent, containers and their conmons at once, as if the power was lost.

    What they left (mounts, namespaces, records) stays. All are dead when this returns.
    """
    _kill_agent(run_dir)
    records = _records(state_dir)
    for kept in records:
        kernel.kill(kept.conmon_pid, kept.conmon_ticks)
        kernel.kill(kept.pid, kept.ticks)
    parent = _cgroup(state_dir)
    if parent:
        cgroup.kill(parent)
    _wait_dead(records)


def destroy_node(run_dir: Path, state_dir: Path) -> None:
    """Kill everything, unmount everything, remove namespaces, links, control groups.

    The node's records and logs stay in `state_dir`; `run_dir` is removed.
    """
    kill_node(run_dir, state_dir)
    for directory in (run_dir, state_dir):
        for point in kernel.mounts_below(directory):
            kernel.unmount(point)
    parent = _cgroup(state_dir)
    if parent:
        _remove_cgroup(parent)
    pods = state_dir / "pods"
    if pods.is_dir():
        for pod in pods.iterdir():
            (pod / "volumes.json").unlink(missing_ok=True)
            (pod / "sandbox.json").unlink(missing_ok=True)
    shutil.rmtree(run_dir, ignore_errors=True)


def _remove_cgroup(parent: str) -> None:
    """Groups of dead processes may stay busy for a moment. Empty parents go too."""
    end = time.monotonic() + WAIT_S  # a plain wait: there is no event loop here
    while not cgroup.remove(parent) and time.monotonic() < end:
        time.sleep(STEP_S)
    for top in cgroup.hierarchies():
        outer = (top / parent.lstrip("/")).parent
        while outer != top:
            try:
                outer.rmdir()
            except OSError:
                break
            outer = outer.parent


def _cgroup(state_dir: Path) -> str:
    try:
        return (state_dir / CGROUP_FILE).read_text().strip()
    except FileNotFoundError:
        return ""


def _kill_agent(run_dir: Path) -> None:
    lock = run_dir / "agent.lock"
    try:
        opened = lock.open("r")
    except FileNotFoundError:
        return
    with opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = opened.read().strip()
        else:
            return  # nobody holds it: no agent
    if text.isdigit() and int(text) != os.getpid():
        pid = int(text)
        ticks = kernel.start_ticks(pid)
        kernel.kill(pid, ticks)
        _wait_gone([(pid, ticks)])


def _records(state_dir: Path) -> list[record.Record]:
    pods = state_dir / "pods"
    found: list[record.Record] = []
    if not pods.is_dir():
        return found
    for pod in sorted(pods.iterdir()):
        for kept in record.load(pod):
            if kept.run.cleaned:
                continue
            started = conmon.find_started(Path(kept.bundle), kept.run.id)
            if started is not None and not kept.pid:
                kept = record.with_processes(kept, started)
            found.append(kept)
    return found


def _wait_dead(records: list[record.Record]) -> None:
    pairs = [(kept.pid, kept.ticks) for kept in records]
    pairs += [(kept.conmon_pid, kept.conmon_ticks) for kept in records]
    _wait_gone(pairs)


def _wait_gone(processes: list[tuple[int, int]]) -> None:
    end = time.monotonic() + WAIT_S
    while any(kernel.is_alive(*p) for p in processes) and time.monotonic() < end:
        time.sleep(STEP_S)
