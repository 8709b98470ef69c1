"""Ends the process that loads it before a step of its choice. Tests put it on PYTHONPATH.

A step is what others can see: files written, renamed, removed; mounts and namespaces; programs
started; connections made. Python tells of all of them beforehand (audit events), so the process
ends between two of them, at the same place each time, however slow the machine is.

The environment variable DIES holds, in JSON: `who`, a word of the command line of the process that
is meant; `at`, the number of the step, or a regular expression that finds its text; `by`, the
signal. Maybe `armed`: only steps taken while this file exists count. Maybe `log`: a file that gets
the text of each step.
"""

import ctypes
import json
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any

KINDS = re.compile(
    r"os\.(mkdir|rename|remove|rmdir|symlink|link|chmod|chown|truncate|kill|posix_spawn)$|open$"
    r"|socket\.(bind|connect|send)|subprocess\.Popen$|fcntl\.flock$|sqlite3\.connect$|libc\."
)
LIBC = ("mount", "umount2", "unshare", "setns")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SHOWN = 400


class Doom:
    """Counts the steps of this process, and ends it at the one that was named."""

    def __init__(self, at: str, by: int, armed: str = "", log: str = "") -> None:
        self._at = at
        self._by = by
        self._armed = armed
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if log else -1
        self._count = 0
        self._busy = False

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook."""
        if self._busy or not KINDS.match(event):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITES):
            return
        self._busy = True  # what we do here is no step
        try:
            if not self._armed or os.path.exists(self._armed):  # noqa: PTH110 (no more to load)
                self._step(f"{event} {arguments}"[:SHOWN])
        finally:
            self._busy = False

    def _step(self, text: str) -> None:
        self._count += 1
        if self._log >= 0:
            os.write(self._log, f"{self._count} {text}\n".encode())
        if self._at == str(self._count) or (not self._at.isdigit() and re.search(self._at, text)):
            self._at = "0"
            os.kill(os.getpid(), self._by)
            time.sleep(0)  # where the signal has a handler, that runs now, before the step


def tell_of_libc() -> None:
    """Have the system calls told of that Python does not know."""
    find = ctypes.CDLL.__getitem__

    def found(library: ctypes.CDLL, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = find(library, name)
        if name not in LIBC:
            return function

        def call(*arguments: Any) -> Any:
            sys.audit(f"libc.{name}", *arguments)
            return function(*arguments)

        return call

    ctypes.CDLL.__getitem__ = found  # type: ignore[assignment, method-assign]


if told := os.environ.get("DIES"):
    wanted = json.loads(told)
    if wanted.pop("who") in sys.orig_argv:
        tell_of_libc()
        sys.addaudithook(Doom(**wanted).hear)
