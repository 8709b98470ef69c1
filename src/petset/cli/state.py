"""What a cluster is, as kept in its directory and found again by later commands."""

import contextlib
import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from petset.cli import paths
from petset.cli.failure import Failure

FORMAT = 1
"""Version of the state directory's layout. Another one is refused, never guessed at."""

NOTE = "cluster"
"""The file in a run directory that says whose it is."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?$")
_INDEXES = 64


@dataclass(slots=True)
class Cluster:
    """One cluster.

    Attributes:
        name: its name, part of contexts, tables and directories.
        index: 0..63; decides its addresses: pods 10.(128+index)/16, LAN 172.29.index/24.
        port: TCP port of the API on 127.0.0.1.
        nodes: node name -> node number (1..200), which decides its addresses.
        listen: address the API listens on for users.
    """

    name: str
    index: int
    port: int
    nodes: dict[str, int] = field(default_factory=dict)
    listen: str = "127.0.0.1"
    format: int = FORMAT

    @property
    def url(self) -> str:
        """The API's URL."""
        return f"https://{self.listen}:{self.port}"

    @property
    def host_ip(self) -> str:
        """The host's address on the cluster's LAN."""
        return f"172.29.{self.index}.1"

    @property
    def pod_cidr(self) -> str:
        """All pod addresses of the cluster."""
        return f"10.{128 + self.index}.0.0/16"

    def node_ip(self, number: int) -> str:
        """The LAN address of node `number`."""
        return f"172.29.{self.index}.{10 + number}"

    def node_pod_cidr(self, number: int) -> str:
        """Pod addresses of node `number`."""
        return f"10.{128 + self.index}.{number}.0/24"

    def free_number(self) -> int:
        """A node number that no node has."""
        taken = set(self.nodes.values())
        number = next((n for n in range(1, 201) if n not in taken), None)
        if number is None:
            raise Failure(f"cluster {self.name} has 200 nodes, which is the most one machine takes")
        return number


def check_name(name: str, what: str = "cluster") -> str:
    """`name` if a cluster (or node) may be called so, else a Failure."""
    if not _NAME.match(name):
        raise Failure(
            f"{name!r} is no {what} name",
            "use 1 to 30 lower-case letters, digits and dashes, ending in a letter or digit",
        )
    return name


def load(where: paths.Paths) -> Cluster | None:
    """The cluster of a state directory; None where there is none."""
    try:
        data = json.loads(where.cluster_file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise Failure(f"{where.cluster_file} is not yours to read", "run it with sudo") from error
    except (OSError, ValueError) as error:
        raise _unreadable(where, str(error)) from error
    if not isinstance(data, dict):
        raise _unreadable(where, "it holds no JSON object")
    if data.get("format") != FORMAT:
        raise Failure(
            f"{where.state} was made by another version of petset "
            f"(layout {data.get('format')}, this one reads {FORMAT})",
            "use that version, or another --data-dir",
        )
    return _checked(where, data)


def _checked(where: paths.Paths, data: dict[str, Any]) -> Cluster:
    try:
        cluster = Cluster(**data)
    except TypeError as error:
        raise _unreadable(where, str(error)) from error
    nodes: Any = data.get("nodes", {})
    texts = all(isinstance(data.get(key, ""), str) for key in ("name", "listen"))
    if not (
        texts
        and _NAME.match(cluster.name)
        and cluster.index in range(_INDEXES)
        and cluster.port in range(1, 65536)
        and isinstance(nodes, dict)
        and all(_NAME.match(n) and k in range(1, 201) for n, k in nodes.items())
    ):
        raise _unreadable(where, "a field of it makes no sense")
    return cluster


def _unreadable(where: paths.Paths, why: str) -> Failure:
    return Failure(
        f"{where.cluster_file} cannot be read: {why}",
        "restore it from a backup, or delete the cluster: petset down --name NAME --delete-data",
    )


def save(where: paths.Paths, cluster: Cluster) -> None:
    """Write the cluster's file, whole or not at all."""
    where.state.mkdir(parents=True, exist_ok=True)
    write_atomic(where.cluster_file, json.dumps(asdict(cluster), indent=2).encode())
    _keep(where, cluster.index)
    remember(where, cluster)


def remember(where: paths.Paths, cluster: Cluster) -> None:
    """Note in the run directory where the state lies, so that `down` finds it by name alone."""
    where.run.mkdir(parents=True, exist_ok=True)
    told = {"state": str(where.state), "index": cluster.index}
    write_atomic(where.run / NOTE, json.dumps(told).encode())


@dataclass(frozen=True, slots=True)
class Note:
    """What the run directory says of its cluster: where the state lies, and its index."""

    state: Path
    index: int


def note(where: paths.Paths) -> Note | None:
    """The note that `remember` left; None while the cluster is stopped."""
    try:
        data = json.loads((where.run / NOTE).read_bytes())
        return Note(Path(data["state"]), int(data["index"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find(name: str, data_dir: Path | None = None) -> paths.Paths:
    """The paths of cluster `name`: the directory given, else the running one's, else the usual.

    Fails when the directory given is not the one of the running cluster of that name, or belongs
    to a cluster of another name.
    """
    where = paths.of(check_name(name), data_dir)
    running = note(where)
    if data_dir is None:
        return paths.Paths(state=running.state, run=where.run) if running else where
    if running and running.state != where.state:
        raise Failure(
            f"cluster {name!r} keeps its data in {running.state}, not in {where.state}",
            f"leave out --data-dir, or stop it first: petset down --name {name}",
        )
    with contextlib.suppress(OSError, ValueError, AttributeError):
        owner = json.loads(where.cluster_file.read_bytes()).get("name", name)
        if owner != name:
            raise Failure(
                f"{where.state} belongs to cluster {owner!r}",
                f"give --name {owner}, or another --data-dir",
            )
    return where


def running_names() -> list[str]:
    """Names of the clusters that have a run directory."""
    root = paths.run_root()
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if (p / NOTE).is_file())


def write_atomic(
    path: Path, data: bytes, mode: int = 0o644, *, owner: tuple[int, int] | None = None
) -> None:
    """Write a file so that readers see the old or the new content, never a part.

    What writers of it left that were killed goes.
    """
    drop_temporaries(path)
    temporary = path.with_name(f"{_temporary(path.name)}{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:  # an interruption, too
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = error.filename or str(path)  # a full disk does not say where it is
        raise


def _temporary(name: str) -> str:
    """How names of the files begin in which the next content of file `name` is written."""
    return f".{name}.petset-"


def is_temporary(name: str, *of: str) -> bool:
    """Whether a file of this name was to become one of the files `of`."""
    return any(name.startswith(_temporary(each)) for each in of)


def drop_temporaries(path: Path) -> None:
    """Remove what writers of `path` left that were killed; what is being written stays."""
    begin = _temporary(path.name)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(path.parent):  # noqa: PTH208 (most often there is none)
            if name.startswith(begin) and not Path("/proc", name.removeprefix(begin)).exists():
                path.with_name(name).unlink(missing_ok=True)


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a machine-wide lock of petset's commands (`clusters`, or `cluster NAME`).

    The file goes with the lock: who waited for it finds another file, or none, and tries again.
    """
    root = paths.run_root()
    root.mkdir(parents=True, exist_ok=True)
    path = root / f".{name.replace(' ', '-')}.lock"
    while True:
        with path.open("w") as file:
            try:
                _lock(file, name)
                if not _lies_at(path, file):
                    continue
                yield
            finally:
                _unlock(file, path)
            return


def _unlock(file: IO[str], path: Path) -> None:
    """Remove a lock's file if it is ours, also when we were interrupted while we waited for it."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _lies_at(path, file):
            path.unlink(missing_ok=True)


def _lies_at(path: Path, file: IO[str]) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _lock(file: IO[str], name: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"  waiting: another petset command is at work on {name}", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)


def free_index() -> int:
    """A cluster index whose addresses nothing on this machine uses. Call with the lock held.

    Those of stopped clusters are taken last.
    """
    free = free_indexes()
    if not free:
        raise Failure(
            f"all {_INDEXES} address ranges for clusters are in use",
            "stop a cluster with `petset down --name NAME`",
        )
    return next((index for index in free if not _is_kept(index)), free[0])


def _claim_of(index: int) -> Path:
    return paths.home() / "ranges" / str(index)


def _keep(where: paths.Paths, index: int) -> None:
    """Note whose addresses these are, wherever its state lies: it needs them to start again."""
    file, state = _claim_of(index), str(where.state.resolve())
    with contextlib.suppress(OSError):
        if file.read_text() == state:
            return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, state.encode())


def _is_kept(index: int) -> bool:
    """Whether a cluster that is stopped has these addresses."""
    try:
        state = Path(_claim_of(index).read_text())
        return bool(json.loads((state / "cluster.json").read_bytes())["index"] == index)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def release(where: paths.Paths) -> None:
    """Forget whose the addresses of a cluster are, since its state is about to go."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        index = int(json.loads(where.cluster_file.read_bytes())["index"])
        file = _claim_of(index)
        drop_temporaries(file)
        if Path(file.read_text()) == where.state.resolve():
            file.unlink()
            file.parent.rmdir()


def taken_indexes() -> set[int]:
    """The indexes of the running clusters."""
    notes = [note(paths.of(name)) for name in running_names()]
    return {told.index for told in notes if told}


def free_indexes() -> list[int]:
    """Every cluster index whose addresses nothing on this machine uses."""
    taken = taken_indexes()
    routed = _routed_networks()
    return [
        index
        for index in range(_INDEXES)
        if index not in taken and not any(_overlap(m, r) for m in _networks(index) for r in routed)
    ]


def _networks(index: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return ((172 << 24) | (29 << 16) | (index << 8), 24), ((10 << 24) | (128 + index) << 16, 16)


def _routed_networks() -> list[tuple[int, int]]:
    """(network, prefix length) of every IPv4 route of the host but the default ones."""
    networks = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        columns = line.split()
        network = int.from_bytes(int(columns[1], 16).to_bytes(4, sys.byteorder), "big")
        length = int(columns[7], 16).bit_count()
        if length:
            networks.append((network, length))
    return networks


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    shift = 32 - min(a[1], b[1])
    return a[0] >> shift == b[0] >> shift


def free_port(preferred: int) -> int:
    """`preferred` if it can be had on 127.0.0.1 and is no other cluster's, else any free one.

    Call with the lock held: a cluster that is being started has its port from its file on.
    """
    import socket

    kept = _kept_ports()
    for port in (preferred, *[0] * len(kept), 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found = int(probe.getsockname()[1])
            if found not in kept:
                return found
    raise Failure("no TCP port is free on 127.0.0.1")


def _kept_ports() -> set[int]:
    """Ports of all clusters, running, stopped or about to start, wherever their state lies."""
    states = list((paths.home() / "clusters").glob("*"))
    for claim in (paths.home() / "ranges").glob("*"):
        with contextlib.suppress(OSError, ValueError):
            states.append(Path(claim.read_text()))
    ports = set()
    for state in states:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            ports.add(int(json.loads((state / "cluster.json").read_bytes())["port"]))
    return ports
