"""Builds a container's `config.json` (OCI runtime specification 1.0.2). Pure.

crun before 1.14.3 refuses newer specification versions, hence 1.0.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from petset.node.runtime import seccomp
from petset.node.runtime.base import ContainerConfig, Limits, Mount, Security
from petset.node.runtime.user import User

DEFAULT_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
)
MASKED = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
CPU_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Machine:
    """What of the machine goes into a configuration.

    Attributes:
        architecture: `uname -m`.
        capabilities: names the agent itself has (bounds what a privileged container gets).
        seccomp: the distribution's profile, if there is one.
        cgroup_parent: path below which containers' cgroups lie, "" where there are none.
        cgroup_mount: whether /sys/fs/cgroup can be shown inside (cgroup v2 only).
        devices: the machine's device nodes, which privileged containers get.
    """

    architecture: str
    capabilities: tuple[str, ...]
    seccomp: Mapping[str, Any] | None = None
    cgroup_parent: str = ""
    cgroup_mount: bool = False
    devices: tuple[Mapping[str, Any], ...] = ()


def capabilities_of(security: Security, bound: tuple[str, ...]) -> list[str]:
    """`CAP_...` names that a container gets, within what the agent has itself."""
    if security.privileged:
        return [f"CAP_{name}" for name in bound]
    drop = {_plain(name) for name in security.drop}
    add = {_plain(name) for name in security.add}
    names = set() if "ALL" in drop else set(DEFAULT_CAPABILITIES) - drop
    names |= set(bound) if "ALL" in add else add
    if "ALL" in add:
        names -= drop
    return [f"CAP_{name}" for name in bound if name in names]


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def build(
    config: ContainerConfig,
    user: User,
    *,
    root: str,
    namespaces: Mapping[str, str],
    machine: Machine,
) -> dict[str, Any]:
    """The whole configuration.

    Args:
        root: the merged root directory.
        namespaces: the sandbox's pinned files by type (`network`, `ipc`, `uts`).
    """
    security = config.security
    caps = capabilities_of(security, machine.capabilities)
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "root": {"path": root, "readonly": security.read_only_root},
        "process": _process(config, user, caps),
        "mounts": _mounts(config, machine),
        "linux": {
            "namespaces": _namespaces(config, namespaces),
            "resources": {"devices": [{"allow": security.privileged, "access": "rwm"}]},
        },
    }
    linux = spec["linux"]
    if machine.cgroup_parent:
        linux["cgroupsPath"] = f"{machine.cgroup_parent}/{config.pod_uid}/{config.id}"
        linux["resources"].update(resources(config.limits))
    else:
        linux["resources"] = {}
    if security.privileged:
        linux["devices"] = [dict(device) for device in machine.devices]
    else:
        linux["maskedPaths"] = MASKED
        linux["readonlyPaths"] = READ_ONLY
        if security.seccomp == "RuntimeDefault":
            linux["seccomp"] = seccomp.profile(machine.seccomp, machine.architecture, caps)
    return spec


def _process(config: ContainerConfig, user: User, caps: list[str]) -> dict[str, Any]:
    security = config.security
    effective = caps if user.uid == 0 else []
    groups = list(dict.fromkeys([*user.groups, *security.groups]))
    return {
        "terminal": config.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": groups},
        "args": list(config.args),
        "env": [f"{name}={value}" for name, value in config.env],
        "cwd": config.cwd or "/",
        "capabilities": {
            "bounding": caps,
            "effective": effective,
            "permitted": effective,
            "inheritable": [],
            "ambient": [],
        },
        "noNewPrivileges": not security.allow_escalation and not security.privileged,
        "oomScoreAdj": 0,
    }


def _namespaces(config: ContainerConfig, pinned: Mapping[str, str]) -> list[dict[str, str]]:
    made = [{"type": "mount"}, {"type": "cgroup"}]
    if not config.security.host_pid:
        made.append({"type": "pid"})
    return made + [{"type": kind, "path": path} for kind, path in pinned.items()]


def _mounts(config: ContainerConfig, machine: Machine) -> list[dict[str, Any]]:
    privileged = config.security.privileged
    made = [
        _mount("/proc", "proc", "proc", "nosuid noexec nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5",
        ),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
        _mount("/sys", "sysfs", "sysfs", "nosuid noexec nodev" + (" rw" if privileged else " ro")),
    ]
    if machine.cgroup_mount:
        options = "nosuid noexec nodev relatime" + (" rw" if privileged else " ro")
        made.append(_mount("/sys/fs/cgroup", "cgroup", "cgroup", options))
    if not any(mount.target == "/dev/shm" for mount in config.mounts):  # noqa: S108
        made.append(
            _mount("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k")  # noqa: S108
        )
    ordered = sorted(config.mounts, key=lambda mount: mount.target.count("/"))
    return made + [_bind(mount) for mount in ordered]


def _mount(target: str, kind: str, source: str, options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": options.split()}


def _bind(mount: Mount) -> dict[str, Any]:
    return {
        "destination": mount.target,
        "type": "bind",
        "source": mount.source,
        "options": ["rbind", f"{mount.propagation}", "ro" if mount.read_only else "rw"],
    }


def resources(limits: Limits) -> dict[str, Any]:
    """The `linux.resources` part that limits make."""
    made: dict[str, Any] = {}
    if limits.memory_bytes is not None:
        made["memory"] = {"limit": limits.memory_bytes, "swap": limits.memory_bytes}
    if limits.pids is not None:
        made["pids"] = {"limit": limits.pids}
    cpu: dict[str, int] = {"shares": max(2, limits.cpu_request_m * 1024 // 1000)}
    if limits.cpu_limit_m is not None:
        cpu["quota"] = max(1000, limits.cpu_limit_m * CPU_PERIOD_US // 1000)
        cpu["period"] = CPU_PERIOD_US
    made["cpu"] = cpu
    return made
