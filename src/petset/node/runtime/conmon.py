"""Starts containers under conmon, which keeps their logs and exit codes while no agent lives.

conmon runs the OCI runtime's `create`, tells the container's pid over a pipe, and stays as the
container's parent until it ends.
"""

import asyncio
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from petset.node import kernel
from petset.node.runtime import process
from petset.node.runtime.base import RuntimeFailedError

CREATE_TIMEOUT_S = 60


class CreateFailedError(RuntimeFailedError):
    """The runtime did not create the container; that counts as a run which failed."""


@dataclass(frozen=True, slots=True)
class Started:
    """The processes behind a created container; ticks guard against reused pids."""

    pid: int
    ticks: int
    conmon_pid: int
    conmon_ticks: int


@dataclass(frozen=True, slots=True)
class Order:
    """What conmon is asked to create."""

    id: str
    name: str
    bundle: Path
    log_path: str
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False


@dataclass(frozen=True, slots=True)
class Conmon:
    """Calls conmon for one node.

    Attributes:
        runtime: the OCI runtime's program.
        state: its state directory (`--root`).
        sockets: directory of attach sockets; short, because socket paths are.
    """

    program: str
    runtime: str
    state: Path
    sockets: Path

    async def create(self, order: Order) -> Started:
        """Create the container; it waits for the runtime's `start`. Raises RuntimeFailedError."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        errors = os.memfd_create("conmon", os.MFD_CLOEXEC)
        try:
            try:
                child = self._spawn(order, writer, errors)
            finally:
                os.close(writer)
            try:
                answer = await process.read_line(reader, CREATE_TIMEOUT_S)
            except TimeoutError:
                raise CreateFailedError(
                    "the runtime did not create the container in time"
                ) from None
            finally:
                child.wait()
            return self._started(order, answer, os.pread(errors, 65536, 0))
        finally:
            os.close(reader)
            os.close(errors)

    def _spawn(self, order: Order, sync_fd: int, errors: int) -> "subprocess.Popen[bytes]":
        bundle = order.bundle
        command = [self.program, "-c", order.id, "-u", order.id, "-n", order.name]
        command += ["-r", self.runtime, "-b", str(bundle), "-p", str(bundle / "pid")]
        command += ["-P", str(bundle / "conmon.pid"), "--exit-dir", str(bundle / "exits")]
        command += ["--persist-dir", str(bundle / "persist")]
        command += ["--socket-dir-path", str(self.sockets), "-l", f"k8s-file:{order.log_path}"]
        command += ["--runtime-arg", "--root", "--runtime-arg", str(self.state)]
        command += ["--log-level", "error", "--no-sync-log"]
        command += ["-t"] if order.tty else []
        command += ["-i"] if order.stdin else []
        command += ["--leave-stdin-open"] if order.stdin and not order.stdin_once else []
        for name in ("exits", "persist"):
            (bundle / name).mkdir(exist_ok=True)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[sync_fd],
            env={**os.environ, "_OCI_SYNCPIPE": str(sync_fd)},
            cwd=bundle,  # where conmon leaves a file named oom, whatever it is told
            start_new_session=True,
        )

    def _started(self, order: Order, answer: bytes, errors: bytes) -> Started:
        try:
            told = json.loads(answer or b"{}")
        except ValueError:
            told = {}
        pid = int(told.get("pid", -1))
        if pid <= 0:
            words = told.get("message") or errors.decode(errors="replace") or "no answer"
            raise CreateFailedError(f"failed to create the container: {_clean(words)}")
        conmon_pid = read_pid(order.bundle / "conmon.pid")
        return Started(pid, kernel.start_ticks(pid), conmon_pid, kernel.start_ticks(conmon_pid))


def _clean(words: str) -> str:
    return " ".join(words.split())[:1000]


def read_pid(file: Path) -> int:
    """The number in a pid file; 0 when there is none."""
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def find_started(bundle: Path, container_id: str) -> Started | None:
    """The processes of a container whose creator died before noting them."""
    conmon_pid, pid = read_pid(bundle / "conmon.pid"), read_pid(bundle / "pid")
    try:
        command = Path(f"/proc/{conmon_pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    if container_id.encode() not in command:
        return None
    return Started(pid, kernel.start_ticks(pid), conmon_pid, kernel.start_ticks(conmon_pid))


def exit_code(bundle: Path, container_id: str) -> tuple[int, float] | None:
    """(exit code, time it was written) of a container that ended; None when conmon wrote none."""
    file = bundle / "exits" / container_id
    try:
        return int(file.read_text()), file.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return None


def was_oom_killed(bundle: Path) -> bool:
    """Whether conmon saw the kernel kill for lack of memory."""
    return (bundle / "persist" / "oom").exists() or (bundle / "oom").exists()


async def rotate(bundle: Path, log: Path, keep: int) -> None:
    """Move `log` aside (`.1` is the newest) and have conmon open a new one."""

    def body() -> None:
        for number in range(keep - 1, 0, -1):
            older = log.with_name(f"{log.name}.{number}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{number + 1}"))
        log.with_name(f"{log.name}.{keep}").unlink(missing_ok=True)
        log.replace(log.with_name(f"{log.name}.1"))
        fd = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, b"2 0 0\n")
        finally:
            os.close(fd)

    await asyncio.to_thread(body)
