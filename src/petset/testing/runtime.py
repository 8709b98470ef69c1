"""A container runtime and volumes in memory: containers do what a script tells.

Passes the same suite as the real runtime (`tests/e2e/test_node_runtime.py`). What "runs" outlives
the `FakeRuntime` object, as containers outlive an agent: give the same `FakeMachine` to the next.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from petset.api.meta import Obj, uid_of
from petset.base.clock import Clock
from petset.node import podspec
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
from petset.node.volume.base import Mounted, VolumeFailedError


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one run of a fake container does.

    Attributes:
        exit_after_s: it ends by itself so long after its start; None: never.
        exit_code: with which code.
        stop_s: how long it takes to end after its stop signal; None: it ignores the signal.
        refusal: words with which the runtime refuses to start it; "" starts it.
        create_s: how long it is being created; who kills it meanwhile makes that fail.
        commands: exit codes of commands run inside, by the command's first word; others give 0.
    """

    exit_after_s: float | None = None
    exit_code: int = 0
    stop_s: float | None = 0.0
    refusal: str = ""
    create_s: float = 0.0
    commands: Mapping[str, int] = field(default_factory=dict)


Script = Callable[[ContainerConfig], Behaviour]


def _forever(config: ContainerConfig) -> Behaviour:
    del config
    return Behaviour()


@dataclass(slots=True)
class FakeMachine:
    """What runs on a fake node, whether or not anything watches."""

    clock: Clock
    script: Script = _forever
    runs: dict[str, Run] = field(default_factory=dict)
    sandboxes: dict[str, SandboxConfig] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    sandbox_ids: dict[str, str] = field(default_factory=dict)
    listener: OnExit | None = None
    taken: int = 0

    def end(self, container_id: str, code: int) -> None:
        """End a running container with exit code `code`."""
        run = self.runs.get(container_id)
        if run is None or run.state == "exited":
            return
        ended = replace(run, state="exited", exit_code=code, finished_at=self.clock.now())
        self.runs[container_id] = ended
        if self.listener is not None:
            self.listener(ended)

    def end_all(self) -> None:
        """The power is gone: everything ends, nobody is told."""
        self.listener = None
        for run in list(self.runs.values()):
            self.end(run.id, 137)
        self.sandboxes.clear()


class FakeRuntime:
    """See `node.runtime.base.Runtime`."""

    def __init__(
        self, machine: FakeMachine, *, node_address: str = "172.29.0.10", pods: str = "10.128.0"
    ) -> None:
        self.machine = machine
        self._node_address = node_address
        self._pods = pods

    @property
    def version(self) -> str:
        """What the node reports."""
        return "fake://1.0.0"

    async def prepare(self, on_exit: OnExit) -> None:
        """Take over what runs."""
        self.machine.listener = on_exit
        for run in self.machine.runs.values():
            if run.state == "exited":
                on_exit(run)

    # -- sandboxes ------------------------------------------------------------------------------

    def sandbox(self, uid: str) -> Sandbox | None:
        """The sandbox of a pod, if it stands."""
        config = self.machine.sandboxes.get(uid)
        return self._made(uid) if config else None

    def _made(self, uid: str) -> Sandbox:
        machine = self.machine
        return Sandbox(uid, machine.addresses[uid], machine.sandbox_ids[uid])

    async def start_sandbox(self, config: SandboxConfig) -> Sandbox:
        """Give the pod an address; a sandbox that stands is kept."""
        machine = self.machine
        if config.uid not in machine.sandboxes:
            machine.taken += 1
            own = f"{self._pods}.{1 + machine.taken % 250}"
            machine.addresses[config.uid] = self._node_address if config.host_network else own
            machine.sandboxes[config.uid] = config
            machine.sandbox_ids[config.uid] = f"s{machine.taken}"
            machine.known.add(config.uid)
        return self._made(config.uid)

    async def stop_sandbox(self, uid: str) -> None:
        """Remove it."""
        running = [r for r in self.runs(uid) if r.state != "exited"]
        assert not running, "a container still runs"
        self.machine.sandboxes.pop(uid, None)

    def pods(self) -> Sequence[str]:
        """Uids of the pods of which anything exists."""
        return sorted(self.machine.known)

    def runs(self, uid: str) -> Sequence[Run]:
        """The kept runs of a pod's containers."""
        found = [run for run in self.machine.runs.values() if run.pod_uid == uid]
        return sorted(found, key=lambda run: (run.name, run.attempt))

    # -- containers -----------------------------------------------------------------------------

    async def start(self, config: ContainerConfig, may_run: MayRun = always) -> Run:
        """Start a container that does what the script tells."""
        machine, behaviour = self.machine, self.machine.script(config)
        now = machine.clock.now()
        created = new_run(config, now, machine.sandbox_ids.get(config.pod_uid, ""))
        machine.runs[config.id] = created
        if not may_run():
            self._refused(created, why := "a volume of the pod was taken over by another pod")
            machine.runs.pop(config.id)
            raise RuntimeFailedError(why, "CreateContainerConfigError")
        run = replace(created, state="running", started_at=now)
        machine.known.add(config.pod_uid)
        if behaviour.refusal:
            raise self._refused(created, behaviour.refusal)
        if behaviour.create_s:
            await self._create(created, behaviour.create_s)
            run = replace(run, started_at=machine.clock.now())
        machine.runs[config.id] = run
        machine.behaviours[config.id] = behaviour
        if behaviour.exit_after_s is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(behaviour.exit_after_s, machine.end, config.id, behaviour.exit_code)
        return run

    async def _create(self, created: Run, seconds: float) -> None:
        """Take some time; the run is there meanwhile."""
        self.machine.runs[created.id] = created
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.machine.runs.pop(created.id)
            raise
        if self.machine.runs[created.id].exit_code:
            raise self._refused(created, "failed to create the container: killed")

    def _refused(self, created: Run, words: str) -> RuntimeFailedError:
        """Note a run that never began, and tell of it."""
        machine, now = self.machine, self.machine.clock.now()
        ended = replace(created, state="exited", finished_at=now, exit_code=128, error=words)
        machine.runs[created.id] = replace(ended, cleaned=True)
        if machine.listener is not None:
            machine.listener(machine.runs[created.id])
        return RuntimeFailedError(words)

    def signal(self, container_id: str, number: int) -> bool:
        """Ask the container to stop, or kill it; programs here hear at once."""
        run = self.machine.runs.get(container_id)
        if run is not None and run.state == "created" and number != signal.SIGKILL:
            return False
        if number == signal.SIGKILL:
            self.kill(container_id)
            return True
        behaviour = self.machine.behaviours.get(container_id)
        if behaviour is not None and behaviour.stop_s is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(behaviour.stop_s, self.machine.end, container_id, 128 + number)
        return True

    def kill(self, container_id: str) -> None:
        """End the container at once; whoever watches hears of it a moment later."""
        run = self.machine.runs.get(container_id)
        if run is not None and run.state == "created":
            self.machine.runs[container_id] = replace(run, exit_code=137)
            return
        asyncio.get_running_loop().call_soon(self.machine.end, container_id, 137)

    async def remove(self, container_id: str) -> None:
        """Clean a run that has ended."""
        run = self.machine.runs.get(container_id)
        if run is not None:
            assert run.state == "exited", "only a run that has ended can be removed"
            self.machine.runs[container_id] = replace(run, cleaned=True)

    async def drop(self, container_id: str) -> None:
        """Forget a run."""
        self.machine.runs.pop(container_id, None)

    async def forget(self, uid: str) -> None:
        """Forget a pod."""
        for run in self.runs(uid):
            self.machine.runs.pop(run.id)
        self.machine.known.discard(uid)

    # -- commands inside ------------------------------------------------------------------------

    def netns(self, uid: str) -> Path | None:
        """Fake pods have no network to enter."""
        del uid
        return None

    def attachable(self, container_id: str) -> Attachable | None:
        """Fake containers have no streams."""
        del container_id
        return None

    async def rotate_log(self, container_id: str, keep: int) -> None:
        """Fake containers write no logs."""

    async def run_in(
        self, container_id: str, command: Sequence[str], timeout_s: float
    ) -> ExecResult:
        """The code that the script gives for the command's first word."""
        run = self.machine.runs.get(container_id)
        if run is None or run.state != "running":
            raise RuntimeFailedError("container not running")
        code = self.machine.behaviours[container_id].commands.get(command[0], 0)
        return ExecResult(code, b"")

    async def open_in(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> Process:
        """Refused by name."""
        del container_id, command, stdin, tty
        raise RuntimeFailedError("the fake runtime does not support streams")


class FakeVolumes:
    """See `node.volume.base.Volumes`. Claims named in `missing` cannot be mounted."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self._mounted: dict[str, dict[str, Mounted]] = {}

    async def mount(self, pod: Obj) -> Mapping[str, Mounted]:
        """Note that the pod has its volumes."""
        made = {}
        for volume in podspec.spec_of(pod).get("volumes") or ():
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim in self.missing:
                raise VolumeFailedError(f'persistentvolumeclaim "{claim}" is not bound')
            made[volume["name"]] = Mounted(f"/fake/{uid_of(pod)}/{volume['name']}")
        self._mounted[uid_of(pod)] = made
        return made

    def mounted(self, pod: Obj) -> Mapping[str, Mounted] | None:
        """The pod's volumes, if mounted."""
        return self._mounted.get(uid_of(pod))

    async def refresh(self, pod: Obj) -> None:
        """Nothing is shown."""

    def may_start(self, pod: Obj) -> bool:
        """Nobody takes a fake volume over."""
        return uid_of(pod) in self._mounted

    async def unmount(self, uid: str) -> None:
        """Forget the volumes."""
        self._mounted.pop(uid, None)
