"""Finds the OCI runtime that works here, by really running a tiny container with each.

crun refuses machines that mount cgroup v2 beside v1 (hybrid); there it is wrapped in a script that
takes the v2 mount out of its sight.
"""

import asyncio
import json
import os
import platform
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petset.node import kernel
from petset.node.runtime import cgroup, orphan, process, spec
from petset.node.runtime.base import RuntimeFailedError

SECCOMP_FILE = Path("/usr/share/containers/seccomp.json")
CANDIDATES = ("crun", "runc")
_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
CAPABILITIES = _CAPABILITIES.split()
"""Names by number."""

_PROBE = "probe"
_SYSTEM = "/usr/bin:/bin"
"""Where programs are that the container sees too; a user's PATH may begin elsewhere."""

SHELL_WRAPPER = """#!/bin/sh
exec unshare --mount --propagation private /bin/sh -c \
'umount {unified} && exec "$@"' x {runtime} "$@"
"""


PERL_WRAPPER = """#!/usr/bin/perl
my ($none, $root, $unified) = ('none', '/', '{unified}');
exit 125 if syscall({unshare}, {new_mounts}) != 0
  || syscall({mount}, $none, $root, 0, {slave}, 0) != 0
  || syscall({umount}, $unified, {detach}) != 0;
exec '{runtime}', @ARGV;
"""
"""The same by one program instead of four; perl is part of Debian's and Ubuntu's base."""

CALLS = {"x86_64": (272, 165, 166), "aarch64": (97, 40, 39)}
"""Numbers of unshare, mount and umount2."""


@dataclass(frozen=True, slots=True)
class Found:
    """The runtime to use; `name` and `version` are told.

    Attributes:
        program: what is called: the runtime, or its wrapper.
        plain: the runtime itself.
    """

    name: str
    version: str
    program: str
    cgroups: cgroup.Mode
    plain: str


def own_capabilities() -> tuple[str, ...]:
    """Names of the capabilities that this process may pass on."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            mask = int(line.split()[1], 16)
            return tuple(n for i, n in enumerate(CAPABILITIES) if mask >> i & 1)
    return ()


def seccomp_profile() -> Mapping[str, Any] | None:
    """The distribution's profile, if it is installed."""
    try:
        profile: Mapping[str, Any] = json.loads(SECCOMP_FILE.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return profile


def device_nodes() -> tuple[Mapping[str, Any], ...]:
    """The machine's device nodes directly below /dev, as the runtime wants them."""
    made = []
    for path in sorted(Path("/dev").iterdir()):
        info = path.lstat()
        kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}.get(stat.S_IFMT(info.st_mode))
        if kind and path.name not in ("console", "ptmx", "tty"):
            made.append(
                {
                    "path": str(path),
                    "type": kind,
                    "major": os.major(info.st_rdev),
                    "minor": os.minor(info.st_rdev),
                    "fileMode": stat.S_IMODE(info.st_mode),
                    "uid": info.st_uid,
                    "gid": info.st_gid,
                }
            )
    return tuple(made)


async def find(run_dir: Path, cgroup_parent: str) -> Found:
    """The first runtime that works. Raises RuntimeFailedError with every attempt's own words.

    Args:
        cgroup_parent: the control group to try it in; "" where there are none.
    """
    mode = cgroup.mode()
    attempts: list[str] = []
    for name in CANDIDATES:
        path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
        if path is None:
            attempts.append(f"{name}: not installed")
            continue
        for program in _programs(path, mode, run_dir):
            error = await _try(program, run_dir, cgroup_parent)
            if not error:
                return Found(name, await _version(path), program, mode, path)
            attempts.append(f"{Path(program).name}: {error}")
    raise RuntimeFailedError(
        "no container runtime works here; install crun or runc. Tried: " + "; ".join(attempts)
    )


def _programs(path: str, mode: cgroup.Mode, run_dir: Path) -> list[str]:
    if mode != "hybrid" or Path(path).name != "crun":
        return [path]
    texts = {"crun-sh": SHELL_WRAPPER.format(unified=cgroup.UNIFIED, runtime=path)}
    if platform.machine() in CALLS and Path("/usr/bin/perl").exists():
        texts = {"crun-v1": _perl_wrapper(path), **texts}
    wrappers = []
    for name, text in texts.items():
        wrapper = run_dir / name
        wrapper.write_text(text)
        wrapper.chmod(0o755)
        wrappers.append(str(wrapper))
    return [*wrappers, path]


def _perl_wrapper(path: str) -> str:
    unshare, mount, umount = CALLS[platform.machine()]
    return PERL_WRAPPER.format(
        runtime=path,
        unified=cgroup.UNIFIED,
        unshare=unshare,
        mount=mount,
        umount=umount,
        new_mounts=kernel.CLONE_NEWNS,
        slave=kernel.MS_REC | kernel.MS_SLAVE,
        detach=kernel.MNT_DETACH,
    )


async def _version(path: str) -> str:
    done = await process.run([path, "--version"])
    first = done.output.decode(errors="replace").partition("\n")[0]
    return first.rpartition(" ")[2] or "unknown"


async def _try(program: str, run_dir: Path, cgroup_parent: str) -> str:
    """Run `true` in a container whose root is the machine's own programs. "" when it worked."""
    bundle = run_dir / _PROBE
    root = bundle / "rootfs"
    group = f"{cgroup_parent}/{_PROBE}" if cgroup_parent else ""
    if bundle.exists():
        await asyncio.to_thread(_end, bundle, group)  # an agent was killed while it tried
    root.mkdir(parents=True, exist_ok=True)
    try:
        (bundle / "config.json").write_text(json.dumps(_config(root, group)))
        command = [program, "--root", str(bundle / "state"), "run", "--bundle", str(bundle)]
        done = await process.run([*command, f"petset-{_PROBE}"], timeout_s=20)
    except (OSError, TimeoutError) as error:
        await asyncio.to_thread(_end, bundle, group)
        return str(error) or "timed out"
    finally:
        _remove(bundle)
    if done.code == 0:
        return ""
    return done.errors.decode(errors="replace").strip()[-300:] or f"exit code {done.code}"


def _end(bundle: Path, group: str) -> None:
    """End a trial that nobody waits for any more, and remove what is left of it."""
    orphan.kill_all(str(bundle))
    if group:
        cgroup.kill(group)
        cgroup.remove(group)
    _remove(bundle)


def _remove(bundle: Path) -> None:
    for point in kernel.mounts_below(bundle):
        kernel.unmount(point)
    shutil.rmtree(bundle, ignore_errors=True)


def _config(root: Path, group: str) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": []},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
    ]
    for name in ("bin", "sbin", "lib", "lib64", "lib32", "usr", "nix", "gnu"):
        source = Path("/", name)
        if source.is_symlink():
            (root / name).symlink_to(source.readlink())
        elif source.is_dir():
            mounts.append(
                {
                    "destination": f"/{name}",
                    "type": "bind",
                    "source": f"/{name}",
                    "options": ["rbind", "private", "ro"],
                }
            )
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "root": {"path": str(root)},
        "process": {
            "args": [shutil.which("true", path=_SYSTEM) or shutil.which("true") or "/bin/true"],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
        },
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "network", "ipc")]},
    }
    if group:
        config["linux"]["cgroupsPath"] = group
        config["linux"]["resources"] = {"pids": {"limit": 64}}
    return config


def machine(found: Found, cgroup_parent: str) -> spec.Machine:
    """What configurations need to know of this machine."""
    return spec.Machine(
        architecture=platform.machine(),
        capabilities=own_capabilities(),
        seccomp=seccomp_profile(),
        cgroup_parent=cgroup_parent,
        cgroup_mount=found.cgroups == "v2",
        devices=device_nodes(),
    )
