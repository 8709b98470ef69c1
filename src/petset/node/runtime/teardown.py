"""Ends everything a node left on the machine, without its agent: for `down` and for lost nodes.

Works from the records on disk, the mount table, the node's control group and the process table
alone, and may be done twice.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from petset.api.meta import name_of, namespace_of
from petset.node import kernel, podrecord, stopper
from petset.node.runtime import cgroup, conmon, record

CGROUP_FILE = "cgroup"
WAIT_S = 10.0
STEP_S = 0.01


def is_running(state_dir: Path) -> bool:
    """Whether any container of the node lives, or is about to."""
    return any(kept.is_alive() for kept in _records(state_dir))


def living_pods(state_dir: Path) -> list[str]:
    """Namespace and name, as in `default/web-0`, of each pod of which a container lives."""
    uids = {kept.run.pod_uid for kept in _records(state_dir) if kept.is_alive()}
    known = [podrecord.load(state_dir / "pods" / uid) for uid in uids]
    return sorted(f"{namespace_of(found.pod)}/{name_of(found.pod)}" for found in known if found)


def stop_nodes(state_dirs: Sequence[Path], grace_s: float) -> None:
    """Ask every container to end by its own stop signal, and wait up to `grace_s` for all of them.

    No agent may run: it would start them again. preStop hooks are the agent's to run, not done
    here. A pod's own grace period only shortens the wait. What is left over is for `kill_node`.
    """
    end = time.monotonic() + grace_s
    asked = [order for directory in state_dirs for order in _stop_orders(directory)]
    waiting = [(kept.pid, kept.ticks, end) for kept, _, _ in asked]
    for index, (kept, number, pod_grace_s) in enumerate(asked):
        kernel.kill(kept.pid, kept.ticks, number)
        waiting[index] = (kept.pid, kept.ticks, min(end, time.monotonic() + pod_grace_s))
    while waiting:
        now = time.monotonic()
        waiting = [w for w in waiting if now < w[2] and kernel.is_alive(w[0], w[1])]
        time.sleep(STEP_S if waiting else 0)


def _stop_orders(state_dir: Path) -> Iterator[tuple[record.Record, int, float]]:
    """(container, signal, grace in seconds) of each container that runs."""
    for kept in _records(state_dir):
        if not kernel.is_alive(kept.pid, kept.ticks):
            continue
        known = podrecord.load(state_dir / "pods" / kept.run.pod_uid)
        pod = known.pod if known else {}
        spec: Mapping[str, Any] = pod.get("spec") or {}
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        own: Mapping[str, Any] = next((c for c in containers if c.get("name") == kept.run.name), {})
        grace = spec.get("terminationGracePeriodSeconds")
        yield kept, stopper.stop_signal(own, kept.run), 30.0 if grace is None else float(grace)


def kill_node(run_dir: Path, state_dir: Path) -> None:
    """SIGKILL agent, containers and their conmons at once, as if the power was lost.

    What they left (mounts, namespaces, records) stays. All are dead when this returns.
    """
    _kill_agent(run_dir)
    doomed = [
        pair
        for kept in _records(state_dir)
        for pair in ((kept.conmon_pid, kept.conmon_ticks), (kept.pid, kept.ticks))
    ]
    doomed += _strays(run_dir)
    for pid, ticks in doomed:
        kernel.kill(pid, ticks)
    parent = _cgroup(run_dir, state_dir)
    if parent:
        cgroup.kill(parent)
    _wait_gone(doomed)


def destroy_node(run_dir: Path, state_dir: Path) -> None:
    """Kill everything, unmount everything, remove namespaces, links, control groups.

    The node's records and logs stay in `state_dir`; `run_dir` is removed.
    """
    kill_node(run_dir, state_dir)
    for directory in (run_dir, state_dir):
        for point in kernel.mounts_below(directory):
            kernel.unmount(point)
    parent = _cgroup(run_dir, state_dir)
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


def note_cgroup(run_dir: Path, state_dir: Path, parent: str) -> None:
    """Keep the name of the node's control group, in two places: one of them may get lost."""
    for directory in (state_dir, run_dir):
        file = directory / CGROUP_FILE
        if not file.exists() or file.read_text() != parent:
            file.write_text(parent)


def _cgroup(run_dir: Path, state_dir: Path) -> str:
    for directory in (state_dir, run_dir):
        try:
            return (directory / CGROUP_FILE).read_text().strip()
        except FileNotFoundError:
            continue
    return ""


def _strays(run_dir: Path) -> list[tuple[int, int]]:
    """The conmons and OCI programs of this node and their children, by the process table.

    Records may be lost, or not made yet. These programs are known by their arguments: sockets and
    state lie in the node's run directory.
    """
    parents: dict[int, int] = {}
    keepers: set[int] = set()
    mark = f"{run_dir}/"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry.name)] = int(fields[1])
        is_keeper = Path(words[0]).name == "conmon" or "--root" in words
        if is_keeper and any(w.startswith(mark) for w in words):
            keepers.add(int(entry.name))
    found = [pid for pid, parent in parents.items() if pid in keepers or parent in keepers]
    return [(pid, kernel.start_ticks(pid)) for pid in sorted(found, key=lambda p: p not in keepers)]


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


def _wait_gone(processes: list[tuple[int, int]]) -> None:
    end = time.monotonic() + WAIT_S
    while any(kernel.is_alive(*p) for p in processes) and time.monotonic() < end:
        time.sleep(STEP_S)
