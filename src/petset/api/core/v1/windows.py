"""What pods say about operating systems: spec.os, and options of Windows. Validation.

petset has Linux nodes only; pods for Windows are kept and stay Pending.
"""

import re
from collections.abc import Iterator

from petset.api import names
from petset.api.check import Faults, child, items, text, worded
from petset.api.errors import forbidden_field, invalid, not_supported, required
from petset.api.meta import Obj

SYSTEMS = ("linux", "windows")
SPEC_MAX_KIB = 64
DOMAIN_MAX = 256
USER_MAX = 104
_KINDS = ("initContainers", "containers", "ephemeralContainers")

_NETBIOS = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_DNS_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DNS = re.compile(rf"{_DNS_PART}(?:\.{_DNS_PART})*")
_BAD_USER = re.compile(r'["/\\:;|=,+*?<>@\[\]]')
_ONLY_DOTS = re.compile(r"[. ]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_NOT_FOR_PODS = (
    ("securityContext", "appArmorProfile"),
    ("securityContext", "seLinuxOptions"),
    ("hostUsers",),
    ("hostPID",),
    ("hostIPC",),
    ("securityContext", "seccompProfile"),
    ("securityContext", "fsGroup"),
    ("securityContext", "fsGroupChangePolicy"),
    ("securityContext", "sysctls"),
    ("shareProcessNamespace",),
    ("securityContext", "runAsUser"),
    ("securityContext", "runAsGroup"),
    ("securityContext", "supplementalGroups"),
    ("securityContext", "supplementalGroupsPolicy"),
    ("securityContext", "seLinuxChangePolicy"),
)
_NOT_FOR_CONTAINERS = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)
_SET_WHEN_TRUE = ("hostPID", "hostIPC", "sysctls")


def _containers(path: str, spec: Obj) -> Iterator[tuple[str, Obj]]:
    for kind in _KINDS:
        for i, container in enumerate(items(spec, kind)):
            yield f"{path}.{kind}[{i}]", container


def system_faults(path: str, spec: Obj) -> Faults:
    """The operating system, if it is named: a known one, and nothing of the other."""
    if spec.get("os") is None:
        return
    name = child(spec, "os").get("name")
    if not name:
        yield required(f"{path}.os.name", "cannot be empty")
    elif name not in SYSTEMS:
        yield not_supported(f"{path}.os", name, SYSTEMS)
    elif name == "linux":
        yield from _linux_faults(path, spec)
    else:
        yield from _windows_faults(path, spec)


def _linux_faults(path: str, spec: Obj) -> Faults:
    words = "windows options cannot be set for a linux pod"
    for where, holder in ((path, spec), *_containers(path, spec)):
        if child(holder, "securityContext").get("windowsOptions") is not None:
            yield forbidden_field(f"{where}.securityContext.windowsOptions", words)


def _windows_faults(path: str, spec: Obj) -> Faults:
    words = "cannot be set for a windows pod"
    for keys in _NOT_FOR_PODS:
        value = child(spec, *keys[:-1]).get(keys[-1])
        if value or (value is not None and keys[-1] not in _SET_WHEN_TRUE):
            yield forbidden_field(f"{path}.{'.'.join(keys)}", words)
    for where, container in _containers(path, spec):
        context = child(container, "securityContext")
        for key in _NOT_FOR_CONTAINERS:
            if context.get(key) is not None:
                yield forbidden_field(f"{where}.securityContext.{key}", words)


def option_faults(path: str, options: Obj) -> Faults:
    """Every fault of windowsOptions."""
    name, spec = options.get("gmsaCredentialSpecName"), options.get("gmsaCredentialSpec")
    if name is not None:
        where = f"{path}.gmsaCredentialSpecName"
        yield from worded(where, name, names.dns_subdomain(text(name)))
    where = f"{path}.gmsaCredentialSpec"
    if spec == "":
        yield invalid(where, spec, "gmsaCredentialSpec cannot be an empty string")
    elif spec is not None and len(spec) > SPEC_MAX_KIB * 1024:
        words = f"gmsaCredentialSpec size must be under {SPEC_MAX_KIB} KiB"
        yield invalid(where, spec, words)
    if options.get("runAsUserName") is not None:
        user = text(options["runAsUserName"])
        yield from worded(f"{path}.runAsUserName", user, _user_faults(user))


def _user_faults(name: str) -> Iterator[str]:
    """What is wrong with `DOMAIN\\USER` or `USER`."""
    domain, slash, user = name.rpartition("\\")
    if not name:
        yield "runAsUserName cannot be an empty string"
        return
    if _CONTROL.search(name):
        yield "runAsUserName cannot contain control characters"
        return
    if "\\" in domain:
        yield "runAsUserName cannot contain more than one backslash"
        return
    if len(domain) >= DOMAIN_MAX:
        yield f"runAsUserName's Domain length must be under {DOMAIN_MAX} characters"
    if slash and not (_NETBIOS.fullmatch(domain) or _DNS.fullmatch(domain)):
        yield "runAsUserName's Domain doesn't match the NetBios nor the DNS format"
    if not user:
        yield "runAsUserName's User cannot be empty"
    elif len(user) > USER_MAX:
        yield f"runAsUserName's User length must not be longer than {USER_MAX} characters"
    if _ONLY_DOTS.fullmatch(user):
        yield "runAsUserName's User cannot contain only periods or spaces"
    if _BAD_USER.search(user):
        yield "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"


def host_process_faults(path: str, spec: Obj) -> Faults:
    """HostProcess containers: all of a pod or none, and on the host's network."""
    wanted = child(spec, "securityContext", "windowsOptions").get("hostProcess")
    count = processes = 0
    for where, container in _containers(path, spec):
        count += 1
        own = child(container, "securityContext", "windowsOptions").get("hostProcess")
        if wanted is not None and own is not None and wanted != own:
            words = (
                "pod hostProcess value must be identical if both are specified, was "
                f"{str(wanted).lower()}"
            )
            yield invalid(f"{where}.securityContext.windowsOptions.hostProcess", own, words)
        processes += bool(wanted if own is None else own)
    if not processes:
        return
    if processes != count:
        words = (
            "If pod contains any hostProcess containers then all containers must be HostProcess "
            "containers"
        )
        yield invalid(path, "", words)
    if not spec.get("hostNetwork"):
        words = "hostNetwork must be true if pod contains any hostProcess containers"
        yield invalid(f"{path}.hostNetwork", False, words)
