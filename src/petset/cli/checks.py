"""What a machine must have before anything is started. One clear line for each lack."""

import os
import shutil
import sys
from pathlib import Path

from petset.cli.failure import Failure

_PACKAGES = {"conmon": "conmon", "nft": "nftables"}


def machine() -> None:
    """Refuse what cannot work, before anything is half started."""
    if sys.platform != "linux":
        raise Failure(f"petset runs on Linux, not on {sys.platform}")
    root()
    _tools()
    _kernel()


def root() -> None:
    """Refuse to go on without root."""
    if os.geteuid() != 0:
        raise Failure(
            "petset needs root to make namespaces, mounts and network links",
            f"run it with sudo: sudo {sys.argv[0]} {' '.join(sys.argv[1:])}",
        )


def _tools() -> None:
    missing = [package for tool, package in _PACKAGES.items() if not shutil.which(tool)]
    if not (shutil.which("crun") or shutil.which("runc")):
        missing.insert(0, "crun")
    if missing:
        raise Failure(
            f"missing on this machine: {', '.join(missing)}",
            f"install with: apt-get install -y {' '.join(missing)}",
        )


def _kernel() -> None:
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems and not _modprobe("overlay"):
        raise Failure("the kernel has no overlayfs", "load it with: modprobe overlay")
    for kind in ("net", "ipc", "uts", "pid", "mnt"):
        if not Path(f"/proc/self/ns/{kind}").exists():
            raise Failure(f"the kernel has no {kind} namespaces")


def _modprobe(module: str) -> bool:
    import subprocess

    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", module], check=False)
    return module in Path("/proc/filesystems").read_text().split()
