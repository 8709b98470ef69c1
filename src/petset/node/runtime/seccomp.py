"""The default seccomp profile of containers, as the runtime specification wants it. Pure.

The profile of the distribution (containers-common) is used where there is one; it names calls by
condition on architecture and capabilities, which is resolved here. Otherwise an own deny list.
"""

from collections.abc import Iterable, Mapping
from typing import Any

ARCHITECTURES = {
    "x86_64": ("amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
    "aarch64": ("arm64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
}

_DENIED = (
    "acct add_key bpf clock_adjtime clock_settime create_module delete_module finit_module "
    "fsconfig fsmount fsopen fspick get_kernel_syms init_module ioperm iopl kcmp kexec_file_load "
    "kexec_load keyctl lookup_dcookie mount mount_setattr move_mount move_pages name_to_handle_at "
    "nfsservctl open_by_handle_at open_tree perf_event_open personality pivot_root "
    "process_vm_readv process_vm_writev ptrace query_module quotactl reboot request_key "
    "setdomainname sethostname setns settimeofday stime swapoff swapon sysfs umount umount2 "
    "unshare uselib userfaultfd ustat vhangup vm86 vm86old"
)
DENIED = _DENIED.split()


def profile(
    source: Mapping[str, Any] | None, machine: str, capabilities: Iterable[str]
) -> dict[str, Any]:
    """The `linux.seccomp` part of a container's configuration.

    Args:
        source: the distribution's profile, None for the own deny list.
        machine: `uname -m`.
        capabilities: `CAP_...` names the container has.
    """
    arch, names = ARCHITECTURES.get(machine, ("", []))
    if source is None:
        rules: list[dict[str, Any]] = [{"names": DENIED, "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]
        return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": names, "syscalls": rules}
    caps = set(capabilities)
    made: dict[str, Any] = {
        "defaultAction": source["defaultAction"],
        "architectures": names,
        "syscalls": [
            _rule(rule) for rule in source.get("syscalls", ()) if _applies(rule, arch, caps)
        ],
    }
    if "defaultErrnoRet" in source:
        made["defaultErrnoRet"] = source["defaultErrnoRet"]
    return made


def _applies(rule: Mapping[str, Any], arch: str, caps: set[str]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if includes.get("caps") and not caps.issuperset(includes["caps"]):
        return False
    if arch in (excludes.get("arches") or ()):
        return False
    return not caps.intersection(excludes.get("caps") or ())


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: rule[k] for k in ("names", "action", "errnoRet") if rule.get(k) is not None}
    if rule.get("args"):
        kept["args"] = [_argument(argument) for argument in rule["args"]]
    return kept


def _argument(argument: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("index", "value", "valueTwo", "op")
    return {k: argument[k] for k in keys if k in argument}
