"""Checks, and where asked makes, a machine path that a pod mounts; and subPaths in volumes."""

import stat
from collections.abc import Callable
from pathlib import Path

from petset.node.volume.base import VolumeFailedError

LOCAL = "Local"
"""Beside the types of hostPath: the directory of a volume, which has to be there."""

_IS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "is not a directory"),
    "File": (stat.S_ISREG, "is not a file"),
    "Socket": (stat.S_ISSOCK, "is not a socket"),
    "CharDevice": (stat.S_ISCHR, "is not a character device"),
    "BlockDevice": (stat.S_ISBLK, "is not a block device"),
}


def check(path: Path, kind: str) -> None:
    """Make sure that `path` is what hostPath type `kind`, or LOCAL, says.

    Raises VolumeFailedError.
    """
    if kind in ("", "DirectoryOrCreate", "FileOrCreate"):
        _make(path, kind)
        return
    if kind == LOCAL:
        if not path.is_dir():
            found = "is not a directory" if path.exists() else "does not exist"
            raise VolumeFailedError(f'path "{path}" {found}')
        return
    if kind not in _IS:
        raise VolumeFailedError(f"petset does not support hostPath type {kind} yet")
    test, words = _IS[kind]
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise VolumeFailedError(f"hostPath type check failed: {path} does not exist") from None
    if not test(mode):
        raise VolumeFailedError(f"hostPath type check failed: {path} {words}")


def _make(path: Path, kind: str) -> None:
    if kind == "FileOrCreate":
        if path.is_dir():
            raise VolumeFailedError(f"hostPath type check failed: {path} is not a file")
        if not path.exists():
            path.touch(0o644)
        return
    if kind == "DirectoryOrCreate" and path.exists() and not path.is_dir():
        raise VolumeFailedError(f"hostPath type check failed: {path} is not a directory")
    if not path.exists():
        path.mkdir(parents=True, mode=0o755)


def sub_path(root: str, part: str) -> str:
    """The path of `part` inside the volume at `root`; made as a directory when it is not there.

    Raises VolumeFailedError when links lead out of the volume.
    """
    base = Path(root).resolve()
    target = (base / part).resolve()
    if not target.is_relative_to(base):
        raise VolumeFailedError(f"subPath {part} leads out of its volume")
    if not target.exists():
        target.mkdir(parents=True, mode=0o755)
        for made in (target, *target.parents):
            if made == base:
                break
            made.chmod(base.stat().st_mode & 0o7777)
    return str(target)
