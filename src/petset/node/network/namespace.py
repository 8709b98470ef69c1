"""Namespaces without a process in them: made by a thread, kept by a pinned file, entered by
threads.

Invariant: the agent's own threads never change namespace; only short-lived ones do. A socket made
in a namespace stays there and is used from the event loop like any other.
"""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from petset.node import kernel

T = TypeVar("T")


def pin(directory: Path, kinds: Sequence[str], setup: Callable[[], T]) -> T:
    """Make new namespaces (`net`, `ipc`, `uts`), pin each as a file in `directory`.

    `setup` runs inside, before they are pinned; its result is returned.
    """
    directory.mkdir(parents=True, exist_ok=True)

    def body() -> T:
        flags = 0
        for kind in kinds:
            flags |= kernel.NAMESPACE_FLAGS[kind]
        kernel.unshare(flags)
        result = setup()
        for kind in kinds:
            target = directory / kind
            target.touch(0o444)
            kernel.mount(f"/proc/thread-self/ns/{kind}", str(target), flags=kernel.MS_BIND)
        return result

    try:
        return kernel.in_thread(body)
    except BaseException:
        unpin(directory, kinds)
        raise


def is_pinned(file: Path) -> bool:
    """Whether `file` is a live namespace pin."""
    try:
        own = Path("/proc/self/ns/net").stat()
        there = file.stat()
    except FileNotFoundError:
        return False
    return own.st_dev == there.st_dev


def unpin(directory: Path, kinds: Sequence[str] = ("net", "ipc", "uts")) -> None:
    """Unpin the namespaces in `directory`; missing ones are fine."""
    for kind in kinds:
        target = directory / kind
        if target.exists():
            kernel.unmount(str(target))
            target.unlink(missing_ok=True)


def within(netns: Path, work: Callable[[], T]) -> T:
    """Run `work` in network namespace `netns`, in a thread of its own."""

    def body() -> T:
        fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            kernel.setns(fd, kernel.CLONE_NEWNET)
        finally:
            os.close(fd)
        return work()

    return kernel.in_thread(body)


def make_socket(netns: Path | None, family: int, kind: int) -> socket.socket:
    """A non-blocking socket that lives in `netns` (None: the agent's own namespace)."""

    def body() -> socket.socket:
        made = socket.socket(family, kind | socket.SOCK_CLOEXEC)
        made.setblocking(False)
        return made

    return body() if netns is None else within(netns, body)


def bound_socket(netns: Path | None, kind: int, address: tuple[str, int]) -> socket.socket:
    """An IPv4 socket bound to `address` in `netns`; streams listen."""
    made = make_socket(netns, socket.AF_INET, kind)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen(128)
    except OSError:
        made.close()
        raise
    return made


def write_sysctls(values: dict[str, str]) -> None:
    """Write kernel settings (dotted names) as the calling thread's namespace sees them."""
    for name, value in values.items():
        Path("/proc/sys", name.replace(".", "/")).write_text(value)
