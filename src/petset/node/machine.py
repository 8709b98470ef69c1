"""Facts about the machine for the Node object's capacity, conditions and nodeInfo."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from petset.node import kernel

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
MEMORY_LOW_BYTES = 100 << 20
DISK_LOW_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Machine:
    """Figures and names of a machine; sizes in bytes."""

    cpus: int
    memory: int
    memory_free: int
    disk: int
    disk_free: int
    info: Mapping[str, str]


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _memory() -> Mapping[str, int]:
    found = {}
    for line in _text("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return found


def _os_name() -> str:
    for line in _text("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def look(state_dir: Path) -> Machine:
    """The machine now; disk figures are those of the file system that `state_dir` lies on."""
    memory = _memory()
    disk = os.statvfs(state_dir)
    machine_id = _text("/etc/machine-id")
    info = {
        "machineID": machine_id,
        "systemUUID": _text("/sys/class/dmi/id/product_uuid") or machine_id,
        "bootID": kernel.boot_id(),
        "kernelVersion": platform.release(),
        "osImage": _os_name(),
        "operatingSystem": "linux",
        "architecture": architecture(),
    }
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory=memory.get("MemTotal", 0),
        memory_free=memory.get("MemAvailable", 0),
        disk=disk.f_blocks * disk.f_frsize,
        disk_free=disk.f_bavail * disk.f_frsize,
        info=info,
    )


def architecture() -> str:
    """The machine's architecture in the words of Go."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())
