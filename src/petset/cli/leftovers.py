"""What a failed `petset up` leaves: nothing that was not there before, and a clear line."""

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path

from petset.cli import paths, process, state
from petset.cli.failure import Failure

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_BYTES = 512 * 1024
"""With less room than this, whatever failed is taken to have failed for lack of room."""


class Undo:
    """Remembers how a cluster was before `up`; `run` brings that back.

    What ran before goes on to run. Of a new cluster not a file is left: to be made only where
    there is a cluster already, or nothing.
    """

    def __init__(self, where: paths.Paths, name: str) -> None:
        self._where = where
        self._name = name
        self._existed = where.state.exists()
        try:
            self._description = where.cluster_file.read_bytes()
        except OSError:
            self._description = b""
        self._fresh = not where.cluster_file.exists()
        self._ran = {p for f in where.run.glob("*.pid") if (p := process.read(f))}
        self._idle = not self._ran and not _containers_run(where)

    def run(self) -> None:
        """Stop what was started since, and put the files back; as much as can be done."""
        with contextlib.suppress(OSError, Failure):
            self._run()

    def _run(self) -> None:
        if not self._fresh and not self._description:
            return  # it could not be read, so nothing was begun
        if not self._fresh:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, Failure):
                self._take_back_nodes()
        if self._idle:
            from petset.cli import down

            down.stop(self._where, self._name)
        else:
            running = {p for f in self._where.run.glob("*.pid") if (p := process.read(f))}
            process.stop(sorted(running - self._ran, key=lambda p: p.pid))
        if not self._fresh:
            self._put_back()
        else:
            remove_state(self._where)
            if self._existed:
                self._where.state.mkdir(exist_ok=True)

    def _take_back_nodes(self) -> None:
        """While the server still runs: it may know the nodes that were added."""
        cluster = state.load(self._where)  # first: one that makes no sense added nothing
        known = json.loads(self._description)["nodes"]
        if cluster is not None and (added := [n for n in cluster.nodes if n not in known]):
            from petset.cli import nodes

            nodes.take_back(self._where, cluster, added)

    def _put_back(self) -> None:
        file = self._where.cluster_file
        if file.read_bytes() != self._description:
            state.write_atomic(file, self._description)


def _containers_run(where: paths.Paths) -> bool:
    nodes = where.state / "nodes"
    if not where.run.exists() or not nodes.is_dir():
        return False
    from petset.node.runtime import teardown

    return any(teardown.is_running(node) for node in nodes.iterdir())


def remove(entry: Path) -> None:
    """Remove a file, or a directory as far as that can be done."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def remove_state(where: paths.Paths) -> list[str]:
    """Delete what petset keeps in a state directory, and the directory if nothing else is in it.

    Returns what is left.
    """
    if not where.state.is_dir():
        return []
    # The description goes last: a directory that was not deleted whole can be deleted again.
    for entry in sorted(where.state.iterdir(), key=lambda p: p == where.cluster_file):
        if entry.name not in paths.STATE_ENTRIES and not is_begun(entry.name):
            continue
        if entry == where.cluster_file and any(
            p.name in paths.STATE_ENTRIES and p != entry for p in where.state.iterdir()
        ):
            continue
        if entry == where.cluster_file:
            state.release(where)
        remove(entry)
    left = [p.name for p in where.state.iterdir()]
    if not left and not os.path.ismount(where.state):
        where.state.rmdir()
    return left


def is_begun(name: str) -> bool:
    """Whether a file of this name in a state directory was not written to its end."""
    return state.is_temporary(name, *paths.STATE_ENTRIES)


def explain(error: BaseException, where: paths.Paths) -> Failure | None:
    """A clear line for an error of the machine; None when there is nothing better to say."""
    full = _full_disk(where.state)
    if isinstance(error, OSError) and error.errno in _FULL:
        full = full or str(error.filename or where.state)
    if full and isinstance(error, Failure | OSError):
        return Failure(
            f"the disk of {full} is full: {getattr(error, 'what', error)}",
            "make room there, or give another place with --data-dir",
        )
    if isinstance(error, OSError) and error.filename:
        name = str(error.filename)
        todo = "give a directory that can be written with --data-dir"
        inside = name.startswith(str(where.state)) or str(where.state).startswith(name)
        return Failure(f"{name}: {error.strerror}", todo if inside else "")
    return None


def _full_disk(directory: Path) -> str:
    """`directory` if its disk has no room, else ""."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    try:
        free = os.statvfs(directory)
    except OSError:
        return ""
    return str(directory) if free.f_bavail * free.f_frsize < _FULL_BYTES else ""
