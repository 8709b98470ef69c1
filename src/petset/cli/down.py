"""`petset down`: stop all of a cluster, also when whoever started it is long gone.

Works from the cluster's directories alone: pid files, records of pods, namespace pins.
"""

import contextlib
import math
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from petset.cli import checks, leftovers, paths, process, state
from petset.cli.failure import Failure

GRACE_S = 10.0
"""How long containers have to end if nothing else is said."""

_TRIES = 10
_LATE_S = 1.0
"""What takes longer is told of."""
_AFTER_S = 3.0
"""A stop signal is given some time even if the hook has used up all there was."""


def run(
    name: str, data_dir: Path | None, *, delete_data: bool, container_grace_s: float = GRACE_S
) -> None:
    """Stop cluster `name`; with `delete_data` forget it."""
    checks.root()
    where = state.find(name, data_dir)
    with state.lock(f"cluster {name}"):
        where = state.find(name, data_dir)  # it may have changed while we waited
        if not where.run.exists() and not where.state.exists():
            raise Failure(
                f"there is no cluster {name!r}", "see `petset status` for those there are"
            )
        _refuse_other_directories(where)
        _stop(where, name, container_grace_s)
        try:
            if delete_data:
                _forget(where, name)
        except Failure:
            _remove_run(where)
            raise
        _remove_run(where)  # last: it tells where the rest is, should this have to be repeated
    kept = "its data is deleted" if delete_data else f"its data stays in {where.state}"
    print(f"Cluster {name} is stopped; {kept}.")


def stop(where: paths.Paths, name: str, *, container_grace_s: float = 0.0) -> None:
    """Stop processes, containers and network, and remove the run directory."""
    _stop(where, name, container_grace_s)
    _remove_run(where)


def _stop(where: paths.Paths, name: str, container_grace_s: float) -> None:
    from petset.node.network import host
    from petset.node.runtime import teardown

    nodes = nodes_of(where)
    left_s = _rest(where, nodes, container_grace_s) if container_grace_s else 0.0
    processes = [p for f in where.run.glob("*.pid") if (p := process.read(f))]
    process.stop(processes)
    if left_s:
        teardown.stop_nodes([where.node_state(node) for node in nodes], left_s)
    for node in nodes:
        teardown.destroy_node(where.node_run(node), where.node_state(node))
    with state.lock("clusters"):
        if (index := _index(where)) is not None:
            host.remove(host.ClusterNetwork(name, index))


def _rest(where: paths.Paths, nodes: Sequence[str], grace_s: float) -> float:
    """Have the agents end all containers with their hooks; how long those without an agent have."""
    began = time.monotonic()
    agents: dict[process.Process, str] = {}
    for node in nodes:
        if agent := process.read(where.pid_file(f"agent-{node}")):
            where.write_rest(node, math.ceil(grace_s))
            agents[agent] = node
    process.send(list(agents), signal.SIGUSR2)
    late = set(agents) - set(process.ends(list(agents), min(_LATE_S, grace_s)))
    if late:
        _tell_late(where, [agents[agent] for agent in late], grace_s)
        end = began + grace_s + _AFTER_S
        for agent in process.ends(sorted(late, key=agents.__getitem__), end - time.monotonic()):
            late.discard(agent)
            took_s = time.monotonic() - began
            print(f"  node {agents[agent]}: containers have ended ({took_s:.1f} s)", flush=True)
    return 0.0 if late else max(began + grace_s - time.monotonic(), min(grace_s, _LATE_S))


def _tell_late(where: paths.Paths, nodes: Sequence[str], grace_s: float) -> None:
    from petset.node.runtime import teardown

    pods = [pod for node in nodes for pod in teardown.living_pods(where.node_state(node))]
    if pods:
        shown = ", ".join(pods[:5]) + (f" and {len(pods) - 5} more" if len(pods) > 5 else "")
        print(f"  waiting for {shown} to end (up to {grace_s:g} s)", flush=True)


def _remove_run(where: paths.Paths) -> None:
    """What ends late may still drop or take away a file while the directory is emptied.

    The note in it goes last: what was not removed whole is found again.
    """
    for _ in range(_TRIES):
        for entry in _entries(where.run):
            if entry.name != state.NOTE:
                leftovers.remove(entry)
        if all(entry.name == state.NOTE for entry in _entries(where.run)):
            shutil.rmtree(where.run, ignore_errors=True)
            return


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _index(where: paths.Paths) -> int | None:
    """The index whose network is this cluster's to remove.

    It is noted in the run directory. Without that the description names it, but then the cluster
    may be stopped already, and the index may have gone to another one since.
    """
    if told := state.note(where):
        return told.index
    cluster = None
    with contextlib.suppress(Failure):
        cluster = state.load(where)
    if cluster is None or cluster.index in state.taken_indexes():
        return None
    return cluster.index


def nodes_of(where: paths.Paths) -> list[str]:
    """Names of the nodes that left traces on this machine."""
    names: set[str] = set()
    for root in (where.run / "n", where.state / "nodes"):
        if root.is_dir():
            names.update(p.name for p in root.iterdir())
    return sorted(names)


def _refuse_other_directories(where: paths.Paths) -> None:
    """Fail for a directory that holds something else than a cluster."""
    if where.state.exists() and not where.run.exists() and not _is_cluster(where):
        raise Failure(f"{where.state} is no petset cluster; nothing was done to it")


def _is_cluster(where: paths.Paths) -> bool:
    """Whether the directory is a cluster's, maybe one whose description is broken."""
    with contextlib.suppress(Failure):
        if state.load(where) is not None:
            return True
        # One that was only just begun, or is deleted but for its directory.
        begun = all(leftovers.is_begun(entry.name) for entry in _entries(where.state))
        return begun and where.state.is_dir()
    return (where.pki / "ca.crt").is_file() or (where.store / "store.db").is_file()


def _forget(where: paths.Paths, name: str) -> None:
    from petset.cli import kubeconfig

    try:
        kubeconfig.remove(name)
    finally:
        _delete(where)


def _delete(where: paths.Paths) -> None:
    if not where.state.exists():
        return
    if not _is_cluster(where):
        raise Failure(f"{where.state} is no petset cluster; nothing was deleted in it")
    from petset.node import kernel

    if mounted := [p for p in kernel.mounts_below(where.state) if p != str(where.state)]:
        raise Failure(f"{mounted[0]} is mounted; nothing was deleted", f"umount {mounted[0]}")
    left = leftovers.remove_state(where)
    if kept := [n for n in left if n in paths.STATE_ENTRIES]:
        raise Failure(
            f"{where.state / kept[0]} could not be deleted whole", "see what keeps it busy there"
        )
    if left:
        print(f"  {where.state} keeps what is not petset's: {', '.join(sorted(left))}")
