"""Where things lie on the machine: state that outlives a run, and what belongs to one run."""

import os
from dataclasses import dataclass
from pathlib import Path

STATE_ENTRIES = frozenset(
    {"cluster.json", "server", "pki", "nodes", "volumes", "logs", "kubeconfig"}
)
"""All that petset keeps in a cluster's state directory."""


_REST = "rest"


def home() -> Path:
    """The state root of every cluster: $PETSET_HOME, else /var/lib/petset."""
    return Path(os.environ.get("PETSET_HOME") or "/var/lib/petset")


def run_root() -> Path:
    """The root of run-time files (sockets, pid files, namespace pins): $PETSET_RUN."""
    return Path(os.environ.get("PETSET_RUN") or "/run/petset")


def images() -> Path:
    """The image store, shared by every cluster of this machine."""
    return home() / "images"


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one cluster.

    Attributes:
        state: kept across runs: the database, certificates, volumes, logs.
        run: short-lived: gone after `petset down`. Short, since socket paths end at 107 bytes.
    """

    state: Path
    run: Path

    @property
    def cluster_file(self) -> Path:
        """What the cluster is: see `state.Cluster`."""
        return self.state / "cluster.json"

    @property
    def store(self) -> Path:
        """The server's database directory."""
        return self.state / "server"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.state / "pki"

    @property
    def volumes(self) -> Path:
        """Directory volumes; they outlive pods, sets and runs."""
        return self.state / "volumes"

    @property
    def logs(self) -> Path:
        """Logs of petset's own processes."""
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    def node_state(self, node: str) -> Path:
        """State of one node: pod records, container logs, writable layers."""
        return self.state / "nodes" / node

    def node_run(self, node: str) -> Path:
        """Run-time files of one node."""
        return self.run / "n" / node

    def write_rest(self, node: str, seconds: int) -> None:
        """Leave word for the agent how long containers have to end when the cluster stops."""
        (self.node_run(node) / _REST).write_text(str(seconds))

    def pid_file(self, process: str) -> Path:
        """The pid file of `server` or of an agent (`agent-NODE`)."""
        return self.run / f"{process}.pid"


def read_rest(node_run: Path) -> int:
    """What `write_rest` left for the node with this run directory."""
    return int((node_run / _REST).read_text())


def of(name: str, data_dir: Path | None = None) -> Paths:
    """The paths of cluster `name`; `data_dir` replaces its place below the state root."""
    state = data_dir or home() / "clusters" / name
    return Paths(state=Path.cwd() / state, run=run_root() / name)
