"""Directories of volumes: made and removed below one root, and nowhere else.

Invariant: only direct children of the root are touched, by a name without separators, relative to
an open descriptor of the root; symbolic links are never followed.
"""

import asyncio
import os
import shutil
import stat
from pathlib import Path
from typing import Protocol

_MODE = 0o777
"""Volumes are written by whatever user a container runs as."""

_DOOMED = ".deleting-"


class Volumes(Protocol):
    """Makes and removes the directories of volumes. Both are idempotent and raise OSError."""

    async def create(self, path: str) -> None:
        """Make the directory, if it is not there."""
        ...

    async def delete(self, path: str) -> None:
        """Remove the directory and all that is in it, if it is there."""
        ...


class Directories:
    """The real directories below `root`, which is made on first use."""

    def __init__(self, root: str) -> None:
        self._root = root

    async def create(self, path: str) -> None:
        """Make the directory, open to every user."""
        await asyncio.to_thread(self._create, path)

    async def delete(self, path: str) -> None:
        """Remove the directory: rename it first, then delete its content."""
        await asyncio.to_thread(self._delete, path)

    def _create(self, path: str) -> None:
        name = self._name(path)
        Path(self._root).mkdir(mode=0o755, parents=True, exist_ok=True)
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                os.mkdir(name, dir_fd=root)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(name, dir_fd=root).st_mode):
                    raise NotADirectoryError(f"{path} is there and is no directory") from None
                return
            child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
            try:
                os.fchmod(child, _MODE)
                os.fsync(child)
            finally:
                os.close(child)
            os.fsync(root)
        finally:
            os.close(root)

    def _delete(self, path: str) -> None:
        name = self._name(path)
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return
        try:
            doomed = f"{_DOOMED}{name}"
            _remove(doomed, root)
            try:
                os.rename(name, doomed, src_dir_fd=root, dst_dir_fd=root)
            except FileNotFoundError:
                return
            _remove(doomed, root)
            os.fsync(root)
        finally:
            os.close(root)

    def _name(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        if name in ("", ".", "..") or name.startswith(_DOOMED) or not self._is_root(parent):
            raise PermissionError(f"{path} is not a volume below {self._root}")
        return name

    def _is_root(self, parent: str) -> bool:
        return bool(self._root) and os.path.normpath(parent) == os.path.normpath(self._root)


def _remove(name: str, root: int) -> None:
    try:
        mode = os.lstat(name, dir_fd=root).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(name, dir_fd=root)
    else:
        os.unlink(name, dir_fd=root)
