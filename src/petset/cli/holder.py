"""Who listens on a TCP port of this machine, for the message that it is taken."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from petset.cli import paths, process, state

_LISTEN = "0A"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
"""Sockets by line: slot, local address, remote address, state, ..., inode as the tenth word."""


def taken(host: str, port: int, why: str) -> str:
    """The words for a port that cannot be had: which, why, and by whom if that can be seen."""
    words = f"port {port} on {host} cannot be had: {why}"
    holder = name(port)
    return f"{words} ({holder} has it)" if holder else words


def name(port: int) -> str:
    """The listener on `port`: a cluster, or program and pid; "" when it cannot be seen.

    Not seen are listeners of other network namespaces' processes and, without root, of other users.
    """
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    for pid in _pids() if wanted else ():
        if wanted & set(_files(pid)):
            return _described(int(pid.name))
    return ""


def _inodes(port: int) -> Iterator[str]:
    for table in _TABLES:
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9]


def _pids() -> Iterator[Path]:
    return (path for path in Path("/proc").iterdir() if path.name.isdigit())


def _files(process_dir: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for file in (process_dir / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(file.readlink())


def _described(pid: int) -> str:
    for cluster in state.running_names():
        server = process.read(paths.of(cluster).pid_file("server"))
        if server is not None and server.pid == pid:
            return f"cluster {cluster}"
    try:
        program = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return f"pid {pid}"
    return f"{program}, pid {pid},"
