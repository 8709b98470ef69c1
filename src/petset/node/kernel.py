"""System calls that Python 3.11 lacks, and what /proc tells about processes and mounts.

Invariant: thin and synchronous; knows no pods. Every call here takes well under a millisecond.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWNET = 0x4000_0000
NAMESPACE_FLAGS = {"net": CLONE_NEWNET, "ipc": CLONE_NEWIPC, "uts": CLONE_NEWUTS}

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 0x20, 0x1000, 0x4000, 0x40000, 0x80000
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Leave the namespaces of `flags` (calling thread only)."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    """Enter the namespace open as `fd` (calling thread only)."""
    _check(_libc.setns(fd, flags), "setns")


def set_hostname(name: str) -> None:
    """Set the host name of the calling thread's UTS namespace."""
    raw = name.encode()
    _check(_libc.sethostname(raw, len(raw)), f"sethostname {name}")


def mount(source: str, target: str, kind: str = "", *, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, f"mount {source} on {target}")


def bind(source: str, target: str, *, flags: int = 0) -> None:
    """Bind `source` on `target` (which exists); `flags` such as MS_RDONLY need a second call."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if flags:
        mount("none", target, flags=MS_BIND | MS_REMOUNT | flags)


def unmount(target: str) -> bool:
    """Detach every mount on `target`. Tells whether there was one."""
    found = False
    while True:
        if _libc.umount2(target.encode(), MNT_DETACH) == 0:
            found = True
            continue
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOENT):
            return found
        raise OSError(code, f"umount {target}: {os.strerror(code)}")


def mounts_below(directory: Path) -> list[str]:
    """Mount points at or below `directory`, newest first, so that they can be undone in order."""
    root = str(directory)
    text = Path("/proc/self/mountinfo").read_text()
    if f" {root}" not in text and not any(char in root for char in " \t\n\\"):
        return []  # the usual case, without looking at each of many lines
    found = []
    for line in text.splitlines():
        point = _unescape(line.split(" ", 5)[4])
        if point == root or point.startswith(root + "/"):
            found.append(point)
    return found[::-1]


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def start_ticks(pid: int) -> int:
    """When process `pid` started, in clock ticks since boot; 0 when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def is_alive(pid: int, ticks: int) -> bool:
    """Whether the process that started at `ticks` still runs (a reused pid does not count)."""
    return pid > 0 and ticks > 0 and start_ticks(pid) == ticks


def kill(pid: int, ticks: int, number: int = signal.SIGKILL) -> None:
    """Signal the process `pid` that started at `ticks`, by a pidfd; nothing if it is gone."""
    try:
        fd = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return
    try:
        if is_alive(pid, ticks):
            signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


def catches(pid: int, number: int) -> bool:
    """Whether process `pid` has a handler for a signal; True for one that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    caught = next((line.split()[1] for line in status.splitlines() if "SigCgt:" in line), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def tell(pid: int, ticks: int, number: int) -> bool:
    """Signal as `kill` does; whether the process had a handler for it, or is gone."""
    if not is_alive(pid, ticks):
        return True
    heard = catches(pid, number)
    kill(pid, ticks, number)
    return heard


def boot_id() -> str:
    """Changes with every boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own (namespaces belong to threads) and wait for it."""
    done: list[T] = []
    failed: list[BaseException] = []

    def body() -> None:
        try:
            done.append(work())
        except BaseException as error:  # handed to the caller below
            failed.append(error)

    thread = Thread(target=body, name="namespace")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


IN_MODIFY, IN_MOVE_SELF, IN_DELETE_SELF = 0x2, 0x800, 0x400
IN_NONBLOCK, IN_CLOEXEC = 0o4000, 0o2000000


class Growth:
    """Tells, by inotify, when a file has grown or was moved away. Belongs to the event loop."""

    def __init__(self, file: Path) -> None:
        self._fd = _libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        if self._fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"inotify: {os.strerror(code)}")
        self.follow(file)

    def follow(self, file: Path) -> None:
        """Watch what `file` is now, beside what it was."""
        mask = IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF
        _libc.inotify_add_watch(self._fd, str(file).encode(), ctypes.c_uint32(mask))

    async def wait(self) -> None:
        """Wait until something has happened since the last wait."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        loop.add_reader(self._fd, news.set)
        try:
            await news.wait()
        finally:
            loop.remove_reader(self._fd)
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 65536)

    def close(self) -> None:
        """Close the watch."""
        os.close(self._fd)
