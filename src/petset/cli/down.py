"""`petset down`: stop all of a cluster, also when whoever started it is long gone.

Works from the cluster's directories alone: pid files, records of pods, namespace pins.
"""

import contextlib
import shutil
from pathlib import Path

from petset.cli import paths, process, state
from petset.cli.failure import Failure


def run(name: str, data_dir: Path | None, *, delete_data: bool) -> None:
    """Stop cluster `name`; with `delete_data` forget it."""
    state.check_name(name)
    where = state.find(name, data_dir)
    if not where.run.exists() and not where.state.exists():
        raise Failure(f"there is no cluster {name!r}", "see `petset status` for those there are")
    with state.lock(name):
        stop(where, name)
        if delete_data:
            from petset.cli import kubeconfig

            _delete(where)
            kubeconfig.remove(name)
    kept = "its data is deleted" if delete_data else f"its data stays in {where.state}"
    print(f"Cluster {name} is stopped; {kept}.")


def stop(where: paths.Paths, name: str) -> None:
    """Stop processes, containers and network, and remove the run directory."""
    from petset.node.network import host
    from petset.node.runtime import teardown

    processes = [p for f in where.run.glob("*.pid") if (p := process.read(f))]
    process.stop(processes)
    for node in nodes_of(where):
        teardown.destroy_node(where.node_run(node), where.node_state(node))
    index = None
    with contextlib.suppress(Failure):
        cluster = state.load(where)
        index = cluster.index if cluster else None
    if index is not None:
        host.remove(host.ClusterNetwork(name, index))
    shutil.rmtree(where.run, ignore_errors=True)


def nodes_of(where: paths.Paths) -> list[str]:
    """Names of the nodes that left traces on this machine."""
    names: set[str] = set()
    for root in (where.run / "n", where.state / "nodes"):
        if root.is_dir():
            names.update(p.name for p in root.iterdir())
    return sorted(names)


def _delete(where: paths.Paths) -> None:
    if not where.cluster_file.exists() and where.state.exists():
        raise Failure(
            f"{where.state} does not look like a petset cluster; nothing was deleted in it"
        )
    shutil.rmtree(where.state, ignore_errors=True)
    if where.state.exists():
        raise Failure(f"{where.state} could not be deleted whole", "see what keeps it busy there")
