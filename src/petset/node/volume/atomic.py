"""Writes a directory of files so that readers see all of the old content or all of the new.

The files lie in a hidden directory; `..data` is a link to it, swapped in one step; the names that
users see are links through `..data`.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from petset.node.volume.files import File

DATA = "..data"


def write(target: Path, files: Mapping[str, File], *, group: int | None, token: str) -> bool:
    """Make `target` hold exactly `files`. Tells whether anything changed.

    Args:
        group: gid that owns the files and may read them, if any.
        token: makes the hidden directory's name, new for each call.
    """
    target.mkdir(parents=True, exist_ok=True)
    current = target / DATA
    readable = 0 if group is None else 0o440
    wanted = {name: File(file.data, file.mode | readable) for name, file in files.items()}
    if current.is_symlink() and _read(current.resolve()) == wanted:
        return False
    fresh = target / f"..{token}"
    fresh.mkdir()
    for name, file in wanted.items():
        path = fresh / _safe(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(file.mode)
    fresh.chmod(0o755)
    old = current.readlink() if current.is_symlink() else None
    swap = target / "..data_new"
    swap.unlink(missing_ok=True)
    swap.symlink_to(fresh.name)
    swap.replace(current)
    _links(target, {PurePosixPath(name).parts[0] for name in files})
    if old is not None:
        shutil.rmtree(target / old, ignore_errors=True)
    return True


def _safe(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ValueError(f"not a path inside a volume: {name!r}")
    return name


def _read(folder: Path) -> dict[str, File]:
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            mode = path.stat().st_mode & 0o7777
            found[str(path.relative_to(folder))] = File(path.read_bytes(), mode)
    return found


def _links(target: Path, names: set[str]) -> None:
    for name in names:
        link = target / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for path in target.iterdir():
        if path.is_symlink() and not path.name.startswith("..") and path.name not in names:
            path.unlink()
