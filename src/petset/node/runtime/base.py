"""What the agent needs of a container runtime: values and the protocol.

One suite runs against the real runtime and the fake one in `testing/runtime.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from petset.node.images.types import Image


class RuntimeFailedError(Exception):
    """The runtime or the kernel refused; the message is fit for an event on the pod.

    `reason` is the kubelet's word, e.g. RunContainerError, CreateContainerConfigError.
    """

    def __init__(self, message: str, reason: str = "RunContainerError") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """The namespaces that the containers of a pod share."""

    uid: str
    namespace: str
    name: str
    hostname: str
    host_network: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that stands. `ip` is the node's own for pods on the node's network.

    `id` is another one for each sandbox that is made for the pod.
    """

    uid: str
    ip: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path inside a container. `propagation`: private, rslave or rshared."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = "private"


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits; None means: no limit. CPU in thousandths of a core."""

    memory_bytes: int | None = None
    cpu_limit_m: int | None = None
    cpu_request_m: int = 0
    pids: int | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """What a container's processes may do. `user` and `group` None: as the image says."""

    user: int | None = None
    group: int | None = None
    run_as_non_root: bool = False
    groups: tuple[int, ...] = ()
    privileged: bool = False
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    read_only_root: bool = False
    allow_escalation: bool = True
    seccomp: Literal["RuntimeDefault", "Unconfined"] = "RuntimeDefault"
    host_pid: bool = False


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """One run of a container. `attempt` counts its runs in this pod, from 0.

    `backoff` is kept with the run and given back by `list`: how many restarts came in a row.
    """

    id: str
    pod_uid: str
    name: str
    attempt: int
    image: Image
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    mounts: tuple[Mount, ...]
    log_path: str
    limits: Limits = Limits()
    security: Security = Security()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    host_network: bool = False
    backoff: int = 0
    spec_hash: str = ""


State = Literal["created", "running", "exited"]


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of one run of a container; times in seconds since the epoch, 0 unknown.

    Attributes:
        oom_killed: whether the kernel killed it for lack of memory.
        lost: it ended and nobody saw how.
        error: why it never began to run.
        backoff: how many restarts in a row led to it.
        cleaned: whether everything but its log is gone.
        sandbox: id of the sandbox in which it ran.
    """

    id: str
    pod_uid: str
    name: str
    attempt: int
    state: State
    image_ref: str
    image_id: str
    created_at: float
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    lost: bool = False
    error: str = ""
    stop_signal: str = ""
    log_path: str = ""
    backoff: int = 0
    tty: bool = False
    stdin: bool = False
    cleaned: bool = False
    sandbox: str = ""


def new_run(config: ContainerConfig, now: float, sandbox: str) -> Run:
    """A run that is about to begin, in the sandbox of that id."""
    return Run(
        id=config.id,
        pod_uid=config.pod_uid,
        name=config.name,
        attempt=config.attempt,
        state="created",
        image_ref=config.image.ref,
        image_id=config.image.digest or config.image.id,
        created_at=now,
        stop_signal=config.image.stop_signal,
        log_path=config.log_path,
        backoff=config.backoff,
        tty=config.tty,
        stdin=config.stdin,
        sandbox=sandbox,
    )


@dataclass(frozen=True, slots=True)
class ExecResult:
    """A command that ran inside a container: exit code and what it wrote (bounded)."""

    code: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Attachable:
    """conmon's socket for a container's streams, and the fifo that takes terminal sizes."""

    socket: Path
    sizes: Path


class Process(Protocol):
    """A command running inside a container with its streams open.

    File descriptors are non-blocking and belong to this object; None where not asked for.
    """

    stdin: int | None
    stdout: int | None
    stderr: int | None

    @property
    def ended(self) -> bool:
        """Whether `wait` has found its end."""
        ...

    @property
    def started(self) -> bool:
        """Whether the command ever ran (False: the program is not there, for instance)."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Set the terminal's size, if there is one."""
        ...

    def close_stdin(self) -> None:
        """Say that nothing more comes."""
        ...

    async def wait(self) -> int:
        """The exit code; 128 + n when signal n ended it."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def close(self) -> None:
        """Let go of every descriptor; ends the command if it still runs."""
        ...


OnExit = Callable[[Run], None]
"""Told, on the event loop, of every run that has ended (also found so while adopting), and of one
that never began: somebody may be stopping it already."""


MayRun = Callable[[], bool]
"""Asked in a thread, after the intent to run is on disk, whether the container may still run."""


def always() -> bool:
    """Nothing forbids the container."""
    return True


class Runtime(Protocol):
    """Pod sandboxes and containers of one node. Everything survives the agent."""

    @property
    def version(self) -> str:
        """`name://version`, for Node.status.nodeInfo and as the prefix of container ids."""
        ...

    async def prepare(self, on_exit: OnExit) -> None:
        """Make ready: probe, and take over what is there. Raises RuntimeFailedError."""
        ...

    def sandbox(self, uid: str) -> Sandbox | None:
        """The sandbox of a pod, if it stands."""
        ...

    async def start_sandbox(self, config: SandboxConfig) -> Sandbox:
        """Make the pod's namespaces and network, unless they stand. Raises RuntimeFailedError."""
        ...

    async def stop_sandbox(self, uid: str) -> None:
        """Remove it; every container must be gone before. A missing one is fine."""
        ...

    def pods(self) -> Sequence[str]:
        """Uids of the pods of which anything exists."""
        ...

    def runs(self, uid: str) -> Sequence[Run]:
        """The runs of a pod's containers that are still kept, by name and attempt."""
        ...

    async def start(self, config: ContainerConfig, may_run: MayRun = always) -> Run:
        """Create and start a container; it runs when this returns.

        Raises RuntimeFailedError, also when `may_run` says no.
        """
        ...

    def signal(self, container_id: str, number: int) -> bool:
        """Signal the container's first process; nothing if it has ended.

        False: it may not have heard. The kernel drops what a namespace's first process does not
        catch, SIGKILL excepted, and a program that has just begun catches nothing yet.
        """
        ...

    def kill(self, container_id: str) -> None:
        """SIGKILL every process of the container; nothing if it has ended."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove what is left of a run that has ended (not its log). Missing is fine."""
        ...

    async def drop(self, container_id: str) -> None:
        """Forget a run that was removed, and its log. Missing is fine."""
        ...

    async def forget(self, uid: str) -> None:
        """Remove every trace of a pod whose containers and sandbox are gone."""
        ...

    def netns(self, uid: str) -> Path | None:
        """The network namespace of a pod as a file; None when it has none to enter."""
        ...

    def attachable(self, container_id: str) -> Attachable | None:
        """How to join a running container's own streams; None when that cannot be done."""
        ...

    async def rotate_log(self, container_id: str, keep: int) -> None:
        """Put the container's log aside and begin a new one; nothing if it has ended."""
        ...

    async def run_in(
        self, container_id: str, command: Sequence[str], timeout_s: float
    ) -> ExecResult:
        """Run a command to its end. Raises TimeoutError (it is then killed), RuntimeFailedError."""
        ...

    async def open_in(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> Process:
        """Start a command with its streams open. Raises RuntimeFailedError."""
        ...
