"""Security contexts of pods and containers: validation."""

import re

from petset.api.check import INT32_MAX, Faults, child, items, one_of
from petset.api.errors import duplicate, forbidden_field, invalid, required
from petset.api.meta import Obj

_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")


def _id(path: str, value: object) -> Faults:
    if isinstance(value, int) and not 0 <= value <= INT32_MAX:
        yield invalid(path, value, "must be between 0 and 2147483647, inclusive")


def _shared_faults(path: str, context: Obj) -> Faults:
    yield from _id(f"{path}.runAsUser", context.get("runAsUser"))
    yield from _id(f"{path}.runAsGroup", context.get("runAsGroup"))
    for kind in ("seccompProfile", "appArmorProfile"):
        if context.get(kind) is not None:
            yield from _profile_faults(f"{path}.{kind}", child(context, kind))


def _profile_faults(path: str, profile: Obj) -> Faults:
    kind, file = profile.get("type"), profile.get("localhostProfile")
    yield from one_of(f"{path}.type", kind, _PROFILES, need=True)
    if kind == "Localhost" and not file:
        yield required(f"{path}.localhostProfile", "must be set when type is Localhost")
    elif kind != "Localhost" and file:
        yield invalid(f"{path}.localhostProfile", file, "can only be set when type is Localhost")


def pod_faults(path: str, spec: Obj) -> Faults:
    """Every fault of a pod's securityContext, host namespaces included."""
    context = child(spec, "securityContext")
    yield from _shared_faults(path, context)
    yield from _id(f"{path}.fsGroup", context.get("fsGroup"))
    for i, group in enumerate(items(context, "supplementalGroups")):
        yield from _id(f"{path}.supplementalGroups[{i}]", group)
    yield from one_of(
        f"{path}.fsGroupChangePolicy",
        context.get("fsGroupChangePolicy"),
        ("Always", "OnRootMismatch"),
    )
    yield from one_of(
        f"{path}.supplementalGroupsPolicy",
        context.get("supplementalGroupsPolicy"),
        ("Merge", "Strict"),
    )
    yield from _sysctl_faults(f"{path}.sysctls", items(context, "sysctls"))
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        yield invalid(
            f"{path}.shareProcessNamespace",
            True,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        )


def _sysctl_faults(path: str, sysctls: object) -> Faults:
    seen: set[str] = set()
    for i, sysctl in enumerate(sysctls if isinstance(sysctls, list) else ()):
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
        seen.add(name)


def container_faults(path: str, context: Obj) -> Faults:
    """Every fault of a container's securityContext."""
    yield from _shared_faults(path, context)
    yield from one_of(f"{path}.procMount", context.get("procMount"), ("Default", "Unmasked"))
    if context.get("allowPrivilegeEscalation") is not False:
        return
    where = f"{path}.allowPrivilegeEscalation"
    if context.get("privileged"):
        words = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield invalid(where, False, words)
    if "CAP_SYS_ADMIN" in items(child(context, "capabilities"), "add"):
        yield invalid(
            where,
            False,
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
        )


def host_users_faults(path: str, spec: Obj) -> Faults:
    """A pod with a user namespace of its own may not share the host's other namespaces."""
    if spec.get("hostUsers") is not False:
        return
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield forbidden_field(f"{path}.{key}", "when `hostUsers` is false")
