"""Starting, finding and stopping petset's own processes, by pid and start time.

Invariant: a pid alone is never trusted; the kernel may have given it to somebody else.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from petset.cli import state

MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(128 * 1024)}
"""Makes the C library give memory back after large answers: by default it raises its threshold."""

_BEHIND = 5
_STDERR = 2
_CAP_SYS_NICE = 23
_WAITING = "waits for go\n"
OTHER_PORT = "free it, or start the cluster on another one with --port P (0: any)"


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its pid and the time it started, in clock ticks since boot."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """When process `pid` started (field 22 of /proc/PID/stat); None if gone or a zombie.

    A dead leader whose other threads still end counts as there: they hold its files and ports.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    letter, threads, started = fields[0], int(fields[17]), int(fields[19])
    return None if letter in "ZX" and threads <= 1 else started


def read(pid_file: Path) -> Process | None:
    """The live process of a pid file, if any."""
    try:
        pid, started = (int(word) for word in pid_file.read_text().split()[:2])
    except (OSError, ValueError):
        return None
    process = Process(pid, started)
    return process if process.alive else None


def drop_waiting(pid_file: Path) -> None:
    """End a process that still waits for a `go` which cannot come: its starter was killed.

    Call with the cluster's lock held, when nobody starts processes.
    """
    with contextlib.suppress(OSError):
        if pid_file.read_text().endswith(_WAITING) and (waiting := read(pid_file)):
            stop([waiting])


@dataclass(slots=True)
class Started:
    """A process just started: it loads its code, waits for `go`, and tells when it is ready."""

    process: Process
    ready: int
    gate: int
    log: Path
    pid_file: Path

    def hold_back(self) -> None:
        """Until `go`, leave the processor to others who want it (where that can be taken back)."""
        if _may_hurry():
            _set_nice(self.process.pid, os.getpriority(os.PRIO_PROCESS, 0) + _BEHIND)

    def go(self) -> None:
        """Let it begin: what it needs is there now."""
        _set_nice(self.process.pid, os.getpriority(os.PRIO_PROCESS, 0))
        with contextlib.suppress(OSError):
            os.write(self.gate, b"g")
        os.close(self.gate)
        _note(self.pid_file, self.process, "")

    def wait_ready(self, timeout_s: float) -> str:
        """Wait for the first line: "ok", why it refused (tab, what to do), or "" if it died."""
        deadline = time.monotonic() + timeout_s
        data = b""
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.ready], [], [], left)[0]:
                break
            piece = os.read(self.ready, 4096)
            if not piece:
                break
            data += piece
        os.close(self.ready)
        return data.decode(errors="replace").strip()


def _may_hurry() -> bool:
    """Whether this process may raise a priority, as root mostly can."""
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    return bool(capabilities >> _CAP_SYS_NICE & 1)


def _set_nice(pid: int, nice: int) -> None:
    """Set a process's priority, and its session's: some kernels share time between sessions."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def start(kind: str, arguments: Sequence[str], *, pid_file: Path, log: Path) -> Started:
    """Start a `server` or `agent` detached from this terminal and session.

    The child gets the write end of a pipe as `--ready-fd`, and as `--go-fd` the read end of one on
    which it waits before it begins; its output goes to `log`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    gate, opener = os.pipe()
    words = [kind, *arguments, "--ready-fd", str(writer), "--go-fd", str(gate)]
    with log.open("ab") as output:
        pid = _spawn(words, output.fileno(), (writer, gate))
    os.close(writer)
    os.close(gate)
    process = Process(pid, start_time(pid) or 0)
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    _note(pid_file, process, _WAITING)
    return Started(process, reader, opener, log, pid_file)


def _spawn(words: Sequence[str], output: int, kept: Sequence[int]) -> int:
    """Start a process in a session of its own; its pid. (`subprocess` takes long to load.)

    Nothing is looked for in the directory where the user happens to be (-P). Descriptors that we
    were given ourselves (a lock of the shell's, say) are not handed on.
    """
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
        with contextlib.suppress(OSError):  # the one that listed them is closed by now
            os.set_inheritable(descriptor, descriptor in kept or descriptor <= _STDERR)
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "petset.cli.load", *words],
        dict(os.environ, PYTHONUNBUFFERED="1", **MALLOC),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
    )


def _note(pid_file: Path, process: Process, more: str) -> None:
    state.write_atomic(pid_file, f"{process.pid} {process.started}\n{more}".encode())


def stop(processes: Sequence[Process], *, grace_s: float = 10.0) -> None:
    """Ask processes to end, wait for them, and kill what is left after `grace_s`."""
    send(processes, signal.SIGTERM)
    if left := wait_gone(processes, grace_s):
        send(left, signal.SIGKILL)
        wait_gone(left, 5.0)


def send(processes: Sequence[Process], number: signal.Signals) -> None:
    """Send a signal to those of the processes that still live."""
    for process in processes:
        if process.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def wait_gone(processes: Sequence[Process], timeout_s: float) -> list[Process]:
    """Wait until the processes are gone; the ones that are not after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    left = [p for p in processes if p.alive]
    while left and (rest := deadline - time.monotonic()) > 0:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            descriptor = os.pidfd_open(left[0].pid)
            try:
                select.select([descriptor], [], [], rest)
            finally:
                os.close(descriptor)
        for process in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
        left = [p for p in left if p.alive]
    return left


def ends(processes: Sequence[Process], timeout_s: float) -> Iterator[Process]:
    """Each of the processes as it ends, those that end within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    waiting: dict[int, Process] = {}
    try:
        for process in processes:
            try:
                waiting[os.pidfd_open(process.pid)] = process
            except ProcessLookupError:
                yield process
        while waiting and (rest := deadline - time.monotonic()) > 0:
            for descriptor in select.select(list(waiting), [], [], rest)[0]:
                os.close(descriptor)
                yield waiting.pop(descriptor)
    finally:
        for descriptor in waiting:
            os.close(descriptor)


def await_go(go_fd: int) -> bool:
    """The child's side: leave the user's directory and wait for `go`.

    False when whoever started us gave up or died.
    """
    os.chdir("/")
    if go_fd < 0:
        return True
    with contextlib.suppress(OSError):
        word = os.read(go_fd, 1)
        os.close(go_fd)
        return word == b"g"
    return False


def tell(ready_fd: int, word: str, todo: str = "") -> None:
    """The child's side: say "ok", or what is wrong and what to do about it, once."""
    if ready_fd >= 0:
        line = f"{word}\t{todo}" if todo else word
        with contextlib.suppress(OSError):
            os.write(ready_fd, line.replace("\n", " ").encode() + b"\n")
            os.close(ready_fd)


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
