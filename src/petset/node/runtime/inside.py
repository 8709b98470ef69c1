"""Commands inside running containers: to their end (probes, hooks) or with open streams (exec)."""

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path

from petset.node import kernel
from petset.node.runtime import conmon, process
from petset.node.runtime.base import ExecResult, RuntimeFailedError

F_SETPIPE_SZ = 1031
PIPE_SIZE = 1 << 20


class Inside:
    """A command inside a container. See `runtime.base.Process`."""

    def __init__(self, command: Sequence[str], *, pid_file: Path, stdin: bool, tty: bool) -> None:
        self.stdin: int | None
        self.stdout: int | None
        self.stderr: int | None
        self.stdin = self.stdout = self.stderr = None
        self._pid_file = pid_file
        self._tty = tty
        self._code: int | None = None
        self._child = self._start_tty(command) if tty else self._start_pipes(command, stdin=stdin)
        for fd in self._open():
            os.set_blocking(fd, False)

    def _open(self) -> set[int]:
        return {fd for fd in (self.stdin, self.stdout, self.stderr) if fd is not None}

    def _start_tty(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        master, slave = pty.openpty()
        try:
            child = subprocess.Popen(
                command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
            )
        finally:
            os.close(slave)
        self.stdin = self.stdout = master
        return child

    def _start_pipes(self, command: Sequence[str], *, stdin: bool) -> "subprocess.Popen[bytes]":
        inward = os.pipe2(os.O_CLOEXEC) if stdin else None
        outward, errors = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        try:
            child = subprocess.Popen(
                command,
                stdin=inward[0] if inward else subprocess.DEVNULL,
                stdout=outward[1],
                stderr=errors[1],
                start_new_session=True,
            )
        finally:
            for fd in (outward[1], errors[1], *(inward[:1] if inward else ())):
                os.close(fd)
        self.stdout, self.stderr = outward[0], errors[0]
        self.stdin = inward[1] if inward else None
        for fd in (self.stdin, self.stdout):
            if fd is not None:
                with contextlib.suppress(OSError):
                    fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE)
        return child

    @property
    def ended(self) -> bool:
        """Whether `wait` has found its end."""
        return self._code is not None

    @property
    def started(self) -> bool:
        """Whether the command ever ran: the runtime notes its pid then."""
        return self._pid_file.exists()

    def resize(self, columns: int, rows: int) -> None:
        """Set the terminal's size, if there is one."""
        if self._tty and self.stdout is not None:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self.stdout, termios.TIOCSWINSZ, size)
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGWINCH)
            self._resize_inside(size)

    def _resize_inside(self, size: bytes) -> None:
        """Set it on the container's own terminal: crun copies the size at the start only."""
        if not (pid := conmon.read_pid(self._pid_file)):
            return
        with contextlib.suppress(OSError):
            terminal = os.open(f"/proc/{pid}/fd/0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                if os.isatty(terminal):
                    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
            finally:
                os.close(terminal)

    def close_stdin(self) -> None:
        """Say that nothing more comes; on a terminal that is what ^D says."""
        if self.stdin is None:
            return
        if self._tty:
            with contextlib.suppress(OSError):
                os.write(self.stdin, b"\x04")
            return
        os.close(self.stdin)
        self.stdin = None

    async def wait(self) -> int:
        """The exit code; 128 + n when signal n ended it."""
        if self._code is None:
            self._code = process.exit_code(await process.reap(self._child))
        return self._code

    def kill(self) -> None:
        """End the command inside, and the runtime's process that stands for it."""
        pid = conmon.read_pid(self._pid_file)
        if pid:
            kernel.kill(pid, kernel.start_ticks(pid))
        if self._code is None and self._child.poll() is None:
            self._child.kill()

    def close(self) -> None:
        """Let go of every descriptor; ends the command if it still runs."""
        if self._child.poll() is None:
            self.kill()
            self._child.wait()
        for fd in self._open():
            os.close(fd)
        self.stdin = self.stdout = self.stderr = None
        _forget(self._pid_file)


def _forget(pid_file: Path) -> bool:
    """Remove the pid file, and the file that told the command; whether there was a pid."""
    there = pid_file.exists()
    pid_file.with_suffix(".json").unlink(missing_ok=True)
    pid_file.unlink(missing_ok=True)
    return there


async def run(command: Sequence[str], *, pid_file: Path, timeout_s: float) -> ExecResult:
    """Run a runtime's `exec` command to its end. Raises TimeoutError, RuntimeFailedError."""
    try:
        done = await process.run(command, timeout_s=timeout_s)
    except (TimeoutError, asyncio.CancelledError):
        pid = conmon.read_pid(pid_file)
        if pid:
            kernel.kill(pid, kernel.start_ticks(pid))
        raise
    finally:
        started = _forget(pid_file)
    if done.code and not started:
        words = " ".join(done.errors.decode(errors="replace").split())
        raise RuntimeFailedError(words or "the command could not be started")
    return ExecResult(
        process.exit_code(done.code), (done.output + done.errors)[: process.OUTPUT_MAX]
    )
