"""Security contexts of pods and containers: validation."""

import re
from collections.abc import Sequence
from typing import Any

from petset.api.check import INT32_MAX, Faults, child, items, one_of, text
from petset.api.core.v1 import windows
from petset.api.core.v1.projected import descending
from petset.api.errors import (
    duplicate,
    forbidden_field,
    invalid,
    not_supported,
    required,
    too_long,
)
from petset.api.meta import Obj

_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
PROFILE_PATH_MAX = 4095
_NET = "net."
_IPC = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")


def _id(path: str, value: object) -> Faults:
    if isinstance(value, int) and not 0 <= value <= INT32_MAX:
        yield invalid(path, value, "must be between 0 and 2147483647, inclusive")


def _seccomp_faults(path: str, context: Obj) -> Faults:
    if context.get("seccompProfile") is None:
        return
    profile = child(context, "seccompProfile")
    kind, file = profile.get("type"), profile.get("localhostProfile")
    if not kind:
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in PROFILES:
        yield not_supported(f"{path}.type", kind, PROFILES)
    where = f"{path}.localhostProfile"
    if kind == "Localhost":
        if file is None:
            yield required(where, "must be set when seccomp type is Localhost")
        else:
            yield from descending(where, text(file))
    elif file is not None:
        shown = {"Type": kind or "", "LocalhostProfile": file}
        yield invalid(where, shown, "can only be set when seccomp type is Localhost")


def _apparmor_faults(path: str, context: Obj) -> Faults:
    if context.get("appArmorProfile") is None:
        return
    profile = child(context, "appArmorProfile")
    kind, file = profile.get("type"), profile.get("localhostProfile")
    where, must = f"{path}.localhostProfile", "must be set when AppArmor type is Localhost"
    if kind == "Localhost":
        if file is None:
            yield required(where, must)
        elif file.strip() != file:
            yield invalid(where, file, "must not be padded with whitespace")
        elif not file:
            yield required(where, must)
        if file is not None and len(file) > PROFILE_PATH_MAX:
            yield too_long(where, PROFILE_PATH_MAX)
    elif kind in PROFILES:
        if file is not None:
            yield invalid(where, file, "can only be set when AppArmor type is Localhost")
    elif not kind:
        yield required(f"{path}.type", "type is required when appArmorProfile is set")
    else:
        yield not_supported(f"{path}.type", kind, PROFILES)


def pod_faults(path: str, spec: Obj) -> Faults:
    """Every fault of a pod's securityContext, `path` being where it is."""
    context = child(spec, "securityContext")
    for key in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from _id(f"{path}.{key}", context.get(key))
    for i, group in enumerate(items(context, "supplementalGroups")):
        yield from _id(f"{path}.supplementalGroups[{i}]", group)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        yield invalid(
            f"{path}.shareProcessNamespace",
            True,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        )
    yield from _sysctl_faults(f"{path}.sysctls", items(context, "sysctls"), spec)
    yield from one_of(
        f"{path}.fsGroupChangePolicy",
        context.get("fsGroupChangePolicy"),
        ("Always", "OnRootMismatch"),
    )
    yield from _seccomp_faults(f"{path}.seccompProfile", context)
    yield from windows.option_faults(f"{path}.windowsOptions", child(context, "windowsOptions"))
    yield from _apparmor_faults(f"{path}.appArmorProfile", context)
    yield from one_of(
        f"{path}.supplementalGroupsPolicy",
        context.get("supplementalGroupsPolicy"),
        ("Merge", "Strict"),
    )
    yield from one_of(
        f"{path}.seLinuxChangePolicy",
        context.get("seLinuxChangePolicy"),
        ("MountOption", "Recursive"),
    )


def _sysctl_faults(path: str, sysctls: Sequence[Any], spec: Obj) -> Faults:
    seen: set[str] = set()
    for i, sysctl in enumerate(sysctls):
        where, name = f"{path}[{i}].name", sysctl.get("name") or ""
        if not name:
            yield required(where)
        elif len(name) > 253 or not _SYSCTL.fullmatch(name):
            yield invalid(
                where,
                name,
                "must have at most 253 characters and match regex "
                "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            )
        elif name in seen:
            yield duplicate(where, name)
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith(_NET):
            yield invalid(where, name, "may not be specified when 'hostNetwork' is true")
        elif spec.get("hostIPC") and dotted.startswith(_IPC):
            yield invalid(where, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def container_faults(path: str, context: Obj, *, host_users: bool) -> Faults:
    """Every fault of a container's securityContext.

    `host_users` tells whether its pod is in the host's user namespace.
    """
    for key in ("runAsUser", "runAsGroup"):
        yield from _id(f"{path}.{key}", context.get(key))
    mode, where = context.get("procMount"), f"{path}.procMount"
    yield from one_of(where, mode, ("Default", "Unmasked"))
    if mode == "Unmasked" and host_users:
        yield invalid(where, mode, "`hostUsers` must be false to use `Unmasked`")
    yield from _seccomp_faults(f"{path}.seccompProfile", context)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            words = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            yield invalid(path, dict(context), words)
        if "CAP_SYS_ADMIN" in items(child(context, "capabilities"), "add"):
            words = (
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` "
                "CAP_SYS_ADMIN"
            )
            yield invalid(path, dict(context), words)
    yield from windows.option_faults(f"{path}.windowsOptions", child(context, "windowsOptions"))
    yield from _apparmor_faults(f"{path}.appArmorProfile", context)


def host_users_faults(path: str, spec: Obj) -> Faults:
    """A pod with a user namespace of its own may not share the host's other namespaces."""
    if spec.get("hostUsers") is not False:
        return
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield forbidden_field(f"{path}.{key}", "when `hostUsers` is false")
