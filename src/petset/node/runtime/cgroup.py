"""Which control groups this machine has, and the processes in those of a node's containers."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

ROOT = Path("/sys/fs/cgroup")
UNIFIED = ROOT / "unified"
Mode = Literal["v2", "v1", "hybrid", "none"]


def mode() -> Mode:
    """How control groups are mounted; none also when they cannot be written."""
    if (ROOT / "cgroup.controllers").exists():
        return "v2" if os.access(ROOT, os.W_OK) else "none"
    if not (ROOT / "memory").is_dir() or not os.access(ROOT / "memory", os.W_OK):
        return "none"
    return "hybrid" if (UNIFIED / "cgroup.procs").exists() else "v1"


def hierarchies() -> list[Path]:
    """The mount points below which control groups lie."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    if not ROOT.is_dir():
        return []
    return sorted(p for p in ROOT.iterdir() if (p / "cgroup.procs").exists())


def directories(parent: str) -> Iterator[Path]:
    """Every existing directory of control group `parent` (`/petset/x`), one per hierarchy."""
    for top in hierarchies():
        path = top / parent.lstrip("/")
        if path.is_dir():
            yield path


def kill(parent: str) -> None:
    """SIGKILL every process in `parent` and below."""
    for top in directories(parent):
        for folder in [*_below(str(top)), str(top)]:
            with contextlib.suppress(OSError):
                for pid in Path(folder, "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)


def remove(parent: str) -> bool:
    """Remove `parent` and everything below. Tells whether all of it is gone."""
    clean = True
    for top in hierarchies():
        path = f"{top}/{parent.lstrip('/')}"
        if not _removed(path):
            left = [p for p in [*_below(path), path] if not _removed(p)]
            clean = clean and not left
    return clean


def _removed(path: str) -> bool:
    """Remove one group; False when there are others or processes in it."""
    try:
        Path(path).rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _below(path: str) -> list[str]:
    """Every group below a group, innermost first."""
    found: list[str] = []
    try:
        with os.scandir(path) as entries:
            inner = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return found
    for one in inner:
        found += [*_below(one), one]
    return found
