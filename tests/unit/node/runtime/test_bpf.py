"""Compiled seccomp filters, tried on the kernel."""

import base64
import ctypes
import platform
import subprocess
import sys
from typing import Any

import pytest

from petset.node.runtime import bpf, seccomp

TRY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
data = sys.stdin.buffer.read()
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))
program = Program(len(data) // 8, data)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
def told(answer):
    return "ok" if answer == 0 else os.strerror(ctypes.get_errno())
print(told(libc.sethostname(b"", 0)), told(libc.sched_yield()), told(libc.personality(0)))
"""


def have_library() -> bool:
    try:
        ctypes.CDLL(bpf.LIBRARY)
    except OSError:
        return False
    return platform.machine() in seccomp.ARCHITECTURES


pytestmark = pytest.mark.skipif(not have_library(), reason=f"{bpf.LIBRARY} is not installed")


def profile(**changes: Any) -> dict[str, Any]:
    names = seccomp.ARCHITECTURES[platform.machine()][1]
    rules = [{"names": ["sethostname", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
    made = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": names, "syscalls": rules}
    return {**made, **changes}


def tried(filter_: bytes) -> str:
    done = subprocess.run([sys.executable, "-c", TRY], input=filter_, capture_output=True)
    return done.stdout.decode().strip() or done.stderr.decode()


def test_the_kernel_takes_it_and_refuses_what_it_names() -> None:
    assert tried(bpf.compiled(profile())) == "Function not implemented ok ok"


def test_two_conditions_on_one_argument_are_alternatives() -> None:
    same = [
        {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"},
        {"index": 0, "value": 7, "op": "SCMP_CMP_EQ"},
    ]
    rules = [{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": same}]
    words = tried(bpf.compiled(profile(syscalls=rules)))
    assert words.endswith("ok Operation not permitted")


def test_a_rule_that_says_what_holds_anyway_changes_nothing() -> None:
    rules = [{"names": ["personality"], "action": "SCMP_ACT_ALLOW"}]
    assert bpf.compiled(profile(syscalls=rules)) == bpf.compiled(profile(syscalls=[]))


def test_a_configuration_keeps_its_profile_beside_the_filter() -> None:
    built: dict[str, Any] = {"annotations": {"a": "b"}, "linux": {"seccomp": profile()}}
    bpf.Filters().annotate(built)
    assert built["linux"]["seccomp"] == profile()
    assert built["annotations"].pop("a") == "b"
    assert base64.b64decode(built["annotations"][bpf.ANNOTATION]) == bpf.compiled(profile())


def test_without_a_profile_there_is_no_filter() -> None:
    built: dict[str, Any] = {"linux": {}}
    bpf.Filters().annotate(built)
    assert built == {"linux": {}}


def test_what_cannot_be_compiled_is_left_to_the_runtime() -> None:
    built: dict[str, Any] = {"linux": {"seccomp": profile(defaultAction="SCMP_ACT_NOTIFY")}}
    bpf.Filters().annotate(built)
    assert "annotations" not in built
