"""A container's root directory: the image's layers below, a writable one of its own on top.

The kernel's overlay where it works; a copy of the layers where it does not (a state directory that
lies on an overlay itself).
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from petset.node import kernel

OPTIONS_MAX = 4095
"""mount(2) takes one page of options."""


class RootfsError(Exception):
    """The root directory cannot be made."""


def mount(layers: Sequence[str], *, storage: Path, target: Path) -> None:
    """Make the root at `target`. `storage` keeps what the container writes. Raises RootfsError."""
    target.mkdir(parents=True, exist_ok=True)
    upper, work = storage / "upper", storage / "work"
    upper.mkdir(parents=True, exist_ok=True)
    work.mkdir(exist_ok=True)
    lower = ":".join(_escaped(layer) for layer in reversed(layers))
    data = f"lowerdir={lower},upperdir={_escaped(str(upper))},workdir={_escaped(str(work))}"
    if len(data) > OPTIONS_MAX:
        raise RootfsError(f"the image has too many layers ({len(layers)}) for one overlay mount")
    try:
        kernel.mount("overlay", str(target), "overlay", data=data)
    except OSError:
        _copy(layers, storage / "copy")
        kernel.bind(str(storage / "copy"), str(target))


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def unmount(storage: Path, target: Path) -> None:
    """Remove the root and what the container wrote. Missing parts are fine."""
    kernel.unmount(str(target))
    shutil.rmtree(storage, ignore_errors=True)


def _copy(layers: Sequence[str], target: Path) -> None:
    target.mkdir(exist_ok=True)
    for layer in layers:
        _apply_whiteouts(Path(layer), target)
        done = subprocess.run(
            ["cp", "-a", "--reflink=auto", f"{layer}/.", str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RootfsError(f"copying a layer failed: {done.stderr.strip()[:500]}")
    for path in _whiteouts(target):
        path.unlink()


def _apply_whiteouts(layer: Path, target: Path) -> None:
    for path in _whiteouts(layer):
        _delete(target / path.relative_to(layer))
    for folder, _, _ in os.walk(layer):
        try:
            opaque = os.getxattr(folder, "trusted.overlay.opaque") == b"y"
        except OSError:
            opaque = False
        if opaque:
            _delete(target / Path(folder).relative_to(layer))


def _whiteouts(folder: Path) -> list[Path]:
    found = []
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            info = path.lstat()
            if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
                found.append(path)
    return found


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
