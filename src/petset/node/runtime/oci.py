"""The real runtime: an OCI program under conmon, pinned namespaces, overlay roots.

Invariant: what runs is told by records on disk and by the kernel (pid and start time), never by
this process's memory alone; a new agent takes over by reading the same.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petset.base.clock import Clock
from petset.node import kernel
from petset.node.network import addresses, namespace, pod
from petset.node.runtime import (
    bpf,
    bundle,
    cgroup,
    conmon,
    inside,
    orphan,
    probe,
    program,
    record,
    records,
    rootfs,
    spec,
    teardown,
    user,
)
from petset.node.runtime.base import (
    Attachable,
    ContainerConfig,
    ExecResult,
    MayRun,
    OnExit,
    Process,
    Run,
    RuntimeFailedError,
    Sandbox,
    SandboxConfig,
    always,
    new_run,
)

_log = logging.getLogger(__name__)

LOST_CODE = 137


@dataclass(frozen=True, slots=True)
class OciConfig:
    """Where a node's runtime keeps its things.

    Attributes:
        run_dir: the node's run-time directory; short, because socket paths are.
        state_dir: the node's state directory.
        cgroup: control group below which the node's pods lie (`/petset/<cluster>/<node>`).
        node_netns: the node's pinned network namespace.
        node_address: IP of pods on the node's network.
        pod_cidr: where the other pods' addresses come from.
    """

    run_dir: Path
    state_dir: Path
    cgroup: str
    node_netns: Path
    node_address: str
    pod_cidr: str


class OciRuntime:
    """See `runtime.base.Runtime`."""

    def __init__(self, config: OciConfig, clock: Clock, new_token: Callable[[], str]) -> None:
        """Args: new_token: makes names of short-lived files."""
        self._config = config
        self._clock = clock
        self._token = new_token
        self._records = records.Records(config.state_dir / "pods")
        self._sandboxes: dict[str, Sandbox] = {}
        self._host_network: set[str] = set()
        self._watched: dict[str, int] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._on_exit: OnExit = lambda run: None
        self._found = probe.Found("none", "0", "", "none", "")
        self._machine = spec.Machine("", ())
        self._program = program.Program(self._found, config.run_dir / "state")
        self._filters = bpf.Filters()
        self._conmon = conmon.Conmon("conmon", "", Path(), Path())
        self._addresses = addresses.Addresses(config.pod_cidr, config.state_dir / "next-address")

    @property
    def version(self) -> str:
        """`crun://1.8.1`."""
        return f"{self._found.name}://{self._found.version}"

    # -- start-up -------------------------------------------------------------------------------

    async def prepare(self, on_exit: OnExit) -> None:
        """Probe the machine, then take over what is recorded on disk."""
        self._on_exit = on_exit
        config = self._config
        for path in (config.run_dir / "c", config.run_dir / "s", config.state_dir / "pods"):
            path.mkdir(parents=True, exist_ok=True)
        keeper = shutil.which("conmon")
        if keeper is None:
            raise RuntimeFailedError("conmon is not installed; install the package conmon")
        # Noted first: the probe makes the group already, and may be cut short.
        parent = "" if cgroup.mode() == "none" else config.cgroup
        teardown.note_cgroup(config.run_dir, config.state_dir, parent)
        self._found = await probe.find(config.run_dir, parent)
        self._machine = await asyncio.to_thread(probe.machine, self._found, parent)
        state = config.run_dir / "state"
        self._program = program.Program(self._found, state)
        self._conmon = conmon.Conmon(keeper, self._found.program, state, config.run_dir / "s")
        for directory in sorted((config.state_dir / "pods").iterdir()):
            self._adopt_sandbox(directory)
            for found in self._records.adopt(directory):
                await self._adopt(found)

    def _adopt_sandbox(self, directory: Path) -> None:
        try:
            raw = json.loads((directory / "sandbox.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return
        uid, pinned = directory.name, self._pins(directory.name)
        on_node = bool(raw["host_network"])
        kinds = ("ipc", "uts") if on_node else pod.KINDS
        if all(namespace.is_pinned(pinned / kind) for kind in kinds):
            self._sandboxes[uid] = Sandbox(uid, raw["ip"], raw.get("id", ""))
            if on_node:
                self._host_network.add(uid)
            else:
                self._addresses.hold(raw["ip"], uid)
        else:
            namespace.unpin(pinned)
            (directory / "sandbox.json").unlink()

    async def _adopt(self, kept: record.Record) -> None:
        """Take over a run as the agent before left it, at whatever moment that one ended."""
        run = kept.run
        if run.state == "exited":
            return
        if run.state == "created":
            if kept.starter_pid or not await self._has_begun(run.id):
                _log.info("run %s never began: it is taken back", run.id)
                await self._abandon(kept)
                return
            kept = record.with_run(kept, state="running", started_at=run.created_at)
            self._records.note(kept)
        if kernel.is_alive(kept.conmon_pid, kept.conmon_ticks):
            self._watch(run.id, kept.conmon_pid)
        else:
            self._ended(run.id)

    async def _has_begun(self, container_id: str) -> bool:
        """Whether the container's own program was let run."""
        done = await self._program.call("state", container_id)
        try:
            return json.loads(done.output)["status"] in ("running", "stopped", "paused")
        except (ValueError, KeyError, TypeError):
            return False

    # -- sandboxes ------------------------------------------------------------------------------

    def _pod_dir(self, uid: str) -> Path:
        return self._config.state_dir / "pods" / uid

    def _pins(self, uid: str) -> Path:
        return self._config.run_dir / "p" / uid

    def sandbox(self, uid: str) -> Sandbox | None:
        """The sandbox of a pod, if it stands."""
        return self._sandboxes.get(uid)

    async def start_sandbox(self, config: SandboxConfig) -> Sandbox:
        """Make the pod's namespaces and network; one that stands is kept."""
        if made := self._sandboxes.get(config.uid):
            return made
        try:
            on_node = config.host_network
            ip = self._config.node_address if on_node else self._addresses.take(config.uid)
            made = Sandbox(config.uid, ip, self._token())
            await asyncio.to_thread(self._make_sandbox, config, made)
        except (OSError, addresses.AddressesUsedUpError) as error:
            self._addresses.give_back(config.uid)
            namespace.unpin(self._pins(config.uid))
            raise RuntimeFailedError(
                f"Failed to create pod sandbox: {error}", "FailedCreatePodSandBox"
            ) from error
        if config.host_network:
            self._host_network.add(config.uid)
        self._sandboxes[config.uid] = made
        return made

    def _make_sandbox(self, config: SandboxConfig, made: Sandbox) -> None:
        pins = self._pins(config.uid)
        namespace.unpin(pins)
        if config.host_network:
            pod.setup_on_node(pins, config.hostname)
        else:
            pod.setup(
                pins,
                pod.Link(self._config.node_netns, config.uid, config.hostname, made.ip),
                sysctls=config.sysctls,
            )
        directory = self._pod_dir(config.uid)
        directory.mkdir(parents=True, exist_ok=True)
        noted = {"ip": made.ip, "id": made.id, "host_network": config.host_network}
        (directory / "sandbox.json").write_text(json.dumps(noted))

    async def stop_sandbox(self, uid: str) -> None:
        """Remove it; every container must be gone before."""
        assert not any(r.is_alive() for r in self._records.of(uid)), "a container still runs"
        await asyncio.to_thread(self._remove_sandbox, uid)
        self._sandboxes.pop(uid, None)
        self._host_network.discard(uid)
        self._addresses.give_back(uid)

    def _remove_sandbox(self, uid: str) -> None:
        pod.teardown(self._pins(uid))
        with contextlib.suppress(FileNotFoundError):
            self._pins(uid).rmdir()
        (self._pod_dir(uid) / "sandbox.json").unlink(missing_ok=True)
        if self._machine.cgroup_parent:
            cgroup.remove(f"{self._machine.cgroup_parent}/{uid}")

    # -- what there is --------------------------------------------------------------------------

    def pods(self) -> Sequence[str]:
        """Uids of the pods of which anything exists."""
        return sorted(path.name for path in (self._config.state_dir / "pods").iterdir())

    def runs(self, uid: str) -> Sequence[Run]:
        """The runs of a pod's containers that are still kept, by name and attempt."""
        return sorted(
            (r.run for r in self._records.of(uid)), key=lambda run: (run.name, run.attempt)
        )

    # -- containers -----------------------------------------------------------------------------

    async def start(self, config: ContainerConfig, may_run: MayRun = always) -> Run:
        """Create and start a container; it runs when this returns.

        Whoever is cancelled meanwhile waits: nothing half made is left to a living agent.
        """
        work = asyncio.ensure_future(self._start(config, may_run))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            if not work.cancelled():
                work.exception()  # is not anybody's any more
            raise

    async def _start(self, config: ContainerConfig, may_run: MayRun) -> Run:
        directory = self._config.run_dir / "c" / config.id
        storage = self._pod_dir(config.pod_uid) / "rootfs" / config.id
        sandbox = self._sandboxes.get(config.pod_uid)
        run = new_run(config, self._clock.now(), sandbox.id if sandbox else "")
        kept = record.intended(run, directory, storage, self._cgroup(config))
        try:
            self._records.save(kept)
            await asyncio.to_thread(self._prepare, config, kept, may_run)
            started = await self._conmon.create(bundle.order(config, directory))
            kept = record.with_processes(kept, started)
            self._records.save(kept)
        except conmon.CreateFailedError as failure:
            await self._give_up(kept, failure.message)
            raise
        except (RuntimeFailedError, OSError, rootfs.RootfsError, user.UnknownUserError) as error:
            await self._abandon(kept)
            self._on_exit(record.never_began(kept, self._clock.now(), str(error)).run)
            if isinstance(error, RuntimeFailedError):
                raise
            raise RuntimeFailedError(str(error), "CreateContainerError") from error
        self._watch(config.id, kept.conmon_pid)
        return (await self._begin(kept)).run

    def _cgroup(self, config: ContainerConfig) -> str:
        parent = self._machine.cgroup_parent
        return f"{parent}/{config.pod_uid}/{config.id}" if parent else ""

    async def _abandon(self, kept: record.Record) -> None:
        """Undo a run that never began, whatever of it was made, and forget it."""
        await self._end_orphans(kept)
        await asyncio.to_thread(self._clean, kept)
        await self.drop(kept.run.id)

    async def _end_orphans(self, kept: record.Record) -> None:
        """End the processes of a container that never began, also those nobody noted."""
        if not await asyncio.to_thread(orphan.kill_all, kept.run.id):
            raise RuntimeFailedError(f"processes of container {kept.run.id} cannot be ended")
        self.kill(kept.run.id)
        await self._program.call("delete", "-f", kept.run.id)

    async def _give_up(self, kept: record.Record, words: str) -> None:
        """Note a run that never came to be, and clean what was made for it."""
        await self._end_orphans(kept)
        self._records.note(record.never_began(kept, self._clock.now(), words))
        await self.remove(kept.run.id)
        self._on_exit(self._records[kept.run.id].run)

    async def _begin(self, kept: record.Record) -> record.Record:
        """Let a created container run. One that ended meanwhile is what its exit file tells."""
        run_id = kept.run.id
        ended = self._ends.get(run_id)
        done = await self._program.call("start", run_id)
        now = self._records[run_id]
        if done.code == 0 and now.run.state == "created":
            now = record.with_run(now, state="running", started_at=self._clock.now())
            self._records.note(now)
        elif done.code != 0:
            words = " ".join(done.errors.decode(errors="replace").split())
            self.kill(run_id)
            await self._program.call("delete", "-f", run_id)
            if ended is not None:
                await ended.wait()
            self._records.note(record.with_run(self._records[run_id], error=words, exit_code=128))
            raise RuntimeFailedError(f"failed to start the container: {words}", "RunContainerError")
        return now

    def _prepare(self, config: ContainerConfig, kept: record.Record, may_run: MayRun) -> None:
        """What is done before conmon is called. The intent was noted: only now ask for leave."""
        if not may_run():
            raise RuntimeFailedError(
                "a volume of the pod was taken over by another pod", "CreateContainerConfigError"
            )
        pinned = self._pins(config.pod_uid)
        net = self._config.node_netns if config.host_network else pinned / "net"
        namespaces = {
            "network": str(net),
            "ipc": str(pinned / "ipc"),
            "uts": str(pinned / "uts"),
        }
        directory, storage = Path(kept.bundle), Path(kept.storage)
        bundle.make(
            config,
            bundle.Place(directory, storage),
            namespaces=namespaces,
            machine=self._machine,
            finish=self._finish,
        )

    def _finish(self, built: dict[str, Any]) -> None:
        """What only some runtimes understand."""
        if self._found.name == "crun":
            self._filters.annotate(built)

    def _clean(self, kept: record.Record) -> None:
        bundle.remove(Path(kept.bundle), Path(kept.storage))
        (self._conmon.sockets / kept.run.id).unlink(missing_ok=True)
        shutil.rmtree(self._program.state / kept.run.id, ignore_errors=True)

    # -- endings --------------------------------------------------------------------------------

    def _watch(self, container_id: str, pid: int) -> None:
        """Call `_ended` when process `pid` is gone: conmon, or a container that has none."""
        self._ends.setdefault(container_id, asyncio.Event())
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended(container_id)
            return
        self._watched[container_id] = fd
        asyncio.get_running_loop().add_reader(fd, self._ended, container_id)

    def _ended(self, container_id: str) -> None:
        """conmon is gone: its exit file is whole, or there is none and the container must go."""
        fd = self._watched.pop(container_id, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        kept = self._records[container_id]
        told = conmon.exit_code(Path(kept.bundle), container_id)
        if told is None:
            self.kill(container_id)
            if kernel.is_alive(kept.pid, kept.ticks):
                self._watch(container_id, kept.pid)  # its end is not told before it is true
                return
        code, finished = told or (LOST_CODE, self._clock.now())
        kept = record.with_run(
            kept,
            state="exited",
            exit_code=code,
            finished_at=finished,
            started_at=kept.run.started_at or kept.run.created_at,
            oom_killed=conmon.was_oom_killed(Path(kept.bundle)),
            lost=told is None,
        )
        self._records.note(kept)
        if container_id in self._ends:
            self._ends.pop(container_id).set()
        self._on_exit(kept.run)

    def signal(self, container_id: str, number: int) -> bool:
        """Signal the container's first process; nothing if it has ended. False: not heard."""
        kept = self._records.get(container_id)
        if kept is not None and kept.run.state == "created" and not kept.pid:
            return False  # it is being made: there is no process yet
        return kept is None or kernel.tell(kept.pid, kept.ticks, number)

    def kill(self, container_id: str) -> None:
        """SIGKILL every process of the container; nothing if it has ended."""
        self.signal(container_id, signal.SIGKILL)
        kept = self._records.get(container_id)
        if kept is not None and kept.cgroup:
            cgroup.kill(kept.cgroup)

    async def remove(self, container_id: str) -> None:
        """Remove what is left of a run that has ended, its log excepted."""
        kept = self._records.get(container_id)
        if kept is None or kept.run.cleaned:
            return
        assert kept.run.state == "exited", "only a run that has ended can be removed"
        await self._program.call("delete", "-f", container_id)
        await asyncio.to_thread(self._clean, kept)
        self._records.note(record.with_run(kept, cleaned=True))

    async def drop(self, container_id: str) -> None:
        """Forget a cleaned run, and its log."""
        kept = self._records.pop(container_id)
        if kept is not None:
            await asyncio.to_thread(bundle.drop, self._pod_dir(kept.run.pod_uid), kept.run)

    async def forget(self, uid: str) -> None:
        """Remove every trace of a pod whose containers and sandbox are gone."""
        for kept in self._records.of(uid):
            await self.remove(kept.run.id)
            self._records.pop(kept.run.id)
        await asyncio.to_thread(self._erase, uid)

    def _erase(self, uid: str) -> None:
        """Also what an agent was making when it died: nothing tells of that but the kernel."""
        self._remove_sandbox(uid)
        for point in kernel.mounts_below(self._pod_dir(uid)):
            kernel.unmount(point)
        shutil.rmtree(self._pod_dir(uid), ignore_errors=True)

    # -- commands inside ------------------------------------------------------------------------

    def _exec(
        self, container_id: str, command: Sequence[str], *, tty: bool = False
    ) -> tuple[list[str], Path]:
        kept = self._records.get(container_id)
        if kept is None or kept.run.state != "running":
            raise RuntimeFailedError("container not running")
        directory, name = Path(kept.bundle), f"exec-{self._token()}"
        told = bundle.write_process(directory, name, command, tty=tty)
        files = ["--process", str(told), "--pid-file", str(directory / name)]
        return self._program.command("exec", *files, container_id), directory / name

    async def run_in(
        self, container_id: str, command: Sequence[str], timeout_s: float
    ) -> ExecResult:
        """Run a command to its end."""
        words, pid_file = self._exec(container_id, command)
        return await inside.run(words, pid_file=pid_file, timeout_s=timeout_s)

    async def open_in(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> Process:
        """Start a command with its streams open."""
        words, pid_file = self._exec(container_id, command, tty=tty)
        return inside.Inside(words, pid_file=pid_file, stdin=stdin, tty=tty)

    def netns(self, uid: str) -> Path | None:
        """The network namespace of a pod as a file."""
        if uid not in self._sandboxes:
            return None
        on_node = uid in self._host_network
        return self._config.node_netns if on_node else self._pins(uid) / "net"

    def attachable(self, container_id: str) -> Attachable | None:
        """How to join a running container's own streams."""
        kept = self._records.get(container_id)
        if kept is None or kept.run.state != "running":
            return None
        sizes = Path(kept.bundle) / "winsz"
        return Attachable(self._conmon.sockets / container_id / "attach", sizes)

    async def rotate_log(self, container_id: str, keep: int) -> None:
        """Put the container's log aside and begin a new one."""
        kept = self._records.get(container_id)
        if kept is not None and kept.run.state == "running":
            await conmon.rotate(Path(kept.bundle), Path(kept.run.log_path), keep)
