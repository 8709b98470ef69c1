"""Compiles a seccomp profile once, so that crun need not do it for each container.

crun turns the profile into a filter at every `create`, which costs it more than all the rest. The
same library, called once for each distinct profile, gives the same bytes; crun takes them from an
annotation. Where the library is missing, crun goes on by itself.
"""

import base64
import ctypes
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

import orjson

ANNOTATION = "run.oci.seccomp_bpf_data"
LIBRARY = "libseccomp.so.2"
EPERM = 1
KEPT_MAX = 32
_ACTIONS = {
    "SCMP_ACT_ALLOW": 0x7FFF0000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
}
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_NO_SUCH_CALL = -1
_EEXIST = 17

_log = logging.getLogger(__name__)


class CannotCompileError(Exception):
    """The profile cannot be compiled here; the runtime may know better."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Filters:
    """Compiled profiles by their content. May be used from any thread."""

    def __init__(self) -> None:
        self._kept: dict[bytes, str] = {}
        self._lock = Lock()

    def annotate(self, built: dict[str, Any]) -> None:
        """Add the compiled filter to a configuration that has a profile, if it can be made."""
        profile = built["linux"].get("seccomp")
        if profile is None:
            return
        key = orjson.dumps(profile)
        with self._lock:
            if key not in self._kept:
                if len(self._kept) >= KEPT_MAX:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[key] = _encoded(profile)
            text = self._kept[key]
        if text:
            built["annotations"] = {**built.get("annotations", {}), ANNOTATION: text}


def _encoded(profile: Mapping[str, Any]) -> str:
    try:
        return base64.b64encode(compiled(profile)).decode()
    except (CannotCompileError, OSError) as error:
        _log.info("seccomp profiles are left to the runtime: %s", error)
        return ""


def compiled(profile: Mapping[str, Any]) -> bytes:
    """The filter program of an OCI seccomp profile. Raises CannotCompileError, OSError."""
    library = ctypes.CDLL(LIBRARY, use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    if context.value is None:
        raise CannotCompileError("no filter could be begun")
    try:
        _add_architectures(library, context, profile.get("architectures") or ())
        for rule in profile.get("syscalls") or ():
            _add_rule(library, context, rule, default)
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _action(name: str, errno_ret: int | None) -> int:
    if name not in _ACTIONS:
        raise CannotCompileError(f"unknown action {name}")
    number = EPERM if errno_ret is None else int(errno_ret)
    return _ACTIONS[name] | (number if name == "SCMP_ACT_ERRNO" else 0)


def _add_architectures(
    library: ctypes.CDLL, context: ctypes.c_void_p, names: Sequence[str]
) -> None:
    for name in names:
        token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        answer = library.seccomp_arch_add(context, ctypes.c_uint32(token & 0xFFFFFFFF))
        if token == 0 or answer not in (0, -_EEXIST):
            raise CannotCompileError(f"architecture {name} is not known")


def _add_rule(
    library: ctypes.CDLL, context: ctypes.c_void_p, rule: Mapping[str, Any], default: int
) -> None:
    action = _action(rule["action"], rule.get("errnoRet"))
    if action == default:
        return  # the library refuses what would change nothing
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _NO_SUCH_CALL:
            continue
        for arguments in _alternatives(rule.get("args") or ()):
            made = (_Comparison * max(1, len(arguments)))(*arguments)
            answer = library.seccomp_rule_add_array(
                context, ctypes.c_uint32(action), number, len(arguments), made
            )
            if answer not in (0, -_EEXIST):
                raise CannotCompileError(f"rule for {name}: {os.strerror(-answer)}")


def _alternatives(arguments: Sequence[Mapping[str, Any]]) -> Iterator[list[_Comparison]]:
    """All at once; but two conditions on one argument are two rules of which one must hold."""
    made = [_comparison(argument) for argument in arguments]
    if len({one.argument for one in made}) == len(made):
        yield made
    else:
        yield from ([one] for one in made)


def _comparison(argument: Mapping[str, Any]) -> _Comparison:
    operator = argument["op"]
    if operator not in _OPERATORS:
        raise CannotCompileError(f"unknown operator {operator}")
    first, second = argument.get("value") or 0, argument.get("valueTwo") or 0
    return _Comparison(argument["index"], _OPERATORS[operator], first, second)


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        answer = library.seccomp_export_bpf(context, fd)
        if answer != 0:
            raise CannotCompileError(os.strerror(-answer))
        return os.pread(fd, 1 << 20, 0)
    finally:
        os.close(fd)
