"""One pod's worker: observe, plan, execute, again whenever something changes.

Invariant: an operation in flight is named in `busy`, so the plan never asks for it twice; nothing
here decides, the plan does. What must survive the agent is on disk before it happens.
"""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from petset.api import errors
from petset.api.meta import Obj, is_deleting, name_of, namespace_of, uid_of
from petset.client.transport import TransportError
from petset.node import admission, podrecord, podspec, security, starter, status, stopper
from petset.node import plan as plans
from petset.node.check import Target
from petset.node.network.hostport import Forward, HostPortError
from petset.node.prober import Prober
from petset.node.publisher import Publisher
from petset.node.runtime.base import Run, RuntimeFailedError, Sandbox, SandboxConfig
from petset.node.seen import PodSeen, Probed, Verdict, Waiting
from petset.node.sight import Sight
from petset.node.tools import Tools
from petset.node.volume.base import VolumeFailedError

_log = logging.getLogger(__name__)

IMAGE_BACKOFF_S = (10.0, 300.0)
CONFIG_BACKOFF_S = (1.0, 10.0)
GROUND_BACKOFF_S = (0.1, 10.0)
SAVE_AGAIN_S = 5.0
QUIET_TRIES = 5
"""So many tries of volumes or sandbox fail silently before events tell (claims bind late)."""
IMAGE_REASONS = ("ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable")


class PodWorker:
    """Keeps one pod as it should be. `run` ends when every trace of the pod is gone."""

    def __init__(self, tools: Tools, record: podrecord.PodRecord) -> None:
        self._tools = tools
        self.pod: Obj = record.pod
        self.uid = uid_of(record.pod)
        self._exists = True
        self._start_time = record.start_time
        self._verdict = record.verdict
        self._busy: set[str] = set()
        self._waiting: dict[str, Waiting] = {}
        self._failures: dict[str, int] = {}
        self._stops: dict[str, stopper.Stopping] = {}
        self._pauses: dict[str, int] = {}
        self._abort = asyncio.Event()
        self._wake = asyncio.Event()
        self._rest_s: int | None = None
        self._rests = asyncio.Event()
        self._rests.set()
        self._done = False
        self._confirmed = False
        self._released = False
        self._unsaved = False
        self._stale_content = False
        self._starting = ""
        self._ports_failed = False
        self._unsupported = security.unsupported(record.pod)
        self._sight = Sight(tools)
        self._starter = starter.Starter(tools)
        self._publisher = Publisher(tools, self.offer)

    # -- from outside ---------------------------------------------------------------------------

    def offer(self, pod: Obj) -> None:
        """Take a newer state of the pod's object."""
        end = podrecord.end_of(pod)
        if end is not None and self._verdict is None and self.holds_ports:
            self._verdict = end  # by another hand
        if not podrecord.is_newer(pod, self.pod):
            return
        before = self.pod
        self.pod = pod
        if podrecord.lasting(before) != podrecord.lasting(pod):
            self.save()
            self._stale_content = True
        self._wake.set()

    @property
    def holds_ports(self) -> bool:
        """Whether the pod may still use ports of the node: not once it has ended for good."""
        if any(run.state != "exited" for run in self._tools.runtime.runs(self.uid)):
            return True
        if self._verdict is not None or self._released:
            return False
        containers = self._sight.containers(self.pod, {}, lambda _spec, _run: Probed())
        return not plans.is_finished(PodSeen(self.pod, containers=containers))

    @property
    def takes_room(self) -> bool:
        """Whether what the pod requests is taken: as long as the API knows it and it goes on."""
        return self._exists and self.holds_ports

    @property
    def is_over(self) -> bool:
        """Whether nothing of the pod runs any more, and the API knows."""
        told = (self.pod.get("status") or {}).get("phase") in status.ENDED
        return not self.holds_ports and (told or not self._exists)

    def gone(self) -> None:
        """The pod's object is gone from the API."""
        self._exists = False
        self._wake.set()

    def exited(self, run: Run) -> None:
        """A container of the pod has ended."""
        stopping = self._stops.get(run.id)
        if stopping is not None:
            stopping.ended.set()
        self._wake.set()

    def refresh(self) -> None:
        """Something that the pod's volumes show has changed."""
        self._stale_content = True
        self._wake.set()

    async def rest(self, grace_s: int) -> None:
        """End the containers, start none again and tell nothing: the next agent goes on."""
        self._rest_s = grace_s
        self._publisher.pause()
        self._wake.set()
        await self._rests.wait()

    # -- the loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until every trace of the pod is gone."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._rests.clear()
            self._prober = Prober(
                self._tools.checker, group, changed=self._wake.set, say=self._unhealthy
            )
            publishing = group.create_task(self._publisher.run(), name="status")
            self._tell_unsupported()
            await self._reopen_ports()
            while not self._done:
                self._wake.clear()
                if self._unsaved:
                    self.save()
                now = self._tools.clock.now()
                seen = self.observe()
                plan = plans.plan(seen, now)
                for action in plan.actions:
                    self._execute(action)
                if seen.rest_s is not None and not plan.actions and not self._busy:
                    self._rests.set()
                if self._exists and "confirm" not in self._busy:
                    told = status.make(seen, self._tools.host, now)
                    self._tell_pauses(told)
                    self._publisher.offer(self.pod, told)
                await self._rest(plan.requeue_after_s)
            self._rests.set()
            publishing.cancel()
            self._prober.end_all()

    async def _rest(self, seconds: float | None) -> None:
        if self._stale_content and "volumes" not in self._busy:
            self._stale_content = False
            self._begin("volumes", self._refresh())
        if self._done:
            return
        if self._unsaved:
            seconds = min(seconds or SAVE_AGAIN_S, SAVE_AGAIN_S)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def observe(self) -> PodSeen:
        """What is seen of the pod now."""
        runtime = self._tools.runtime
        sandbox = runtime.sandbox(self.uid)
        containers = self._sight.containers(self.pod, self._waiting, self._probed)
        mounted = self._tools.volumes.mounted(self.pod)
        return PodSeen(
            pod=self.pod,
            exists=self._exists,
            sandbox=None if self._ports_failed and not self._leaving() else sandbox,
            volumes="none" if mounted is None else "mounted",
            waiting=dict(self._waiting),
            containers=containers,
            busy=frozenset(self._busy),
            verdict=self._verdict,
            unsupported=self._unsupported,
            confirmed=self._confirmed,
            start_time=self._start_time,
            rest_s=self._rest_s,
        )

    def _leaving(self) -> bool:
        return not self._exists or is_deleting(self.pod) or self._verdict is not None

    def _probed(self, spec: Obj, run: Run) -> Probed:
        """Probes of a running container; they begin when its start is over."""
        if run.state != "running":
            self._prober.end(run.id)
            return Probed()
        if self._starting != spec["name"]:
            sandbox = self._tools.runtime.sandbox(self.uid)
            target = Target(run.id, spec, sandbox.ip if sandbox else "")
            self._prober.begin(target, self._sight.known(self.pod, run))
            return self._prober.probed(run.id)
        return Probed()

    # -- execution ------------------------------------------------------------------------------

    def _begin(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        self._busy.add(key)

        async def body() -> None:
            try:
                await work
            finally:
                self._busy.discard(key)
                self._wake.set()

        self._group.create_task(body(), name=f"{key} {name_of(self.pod)}")

    def _execute(self, action: plans.Action) -> None:  # noqa: C901 (one case per action)
        match action:
            case plans.MakeSandbox():
                self._begin("sandbox", self._make_sandbox())
            case plans.MountVolumes():
                self._begin("volumes", self._mount_volumes())
            case plans.Start():
                self._starting = action.name
                self._begin("start", self._start(action))
            case plans.AbortStart():
                self._abort.set()
            case plans.Stop():
                self._stop(action)
            case plans.Clean():
                self._begin(f"clean:{action.run_id}", self._tools.runtime.remove(action.run_id))
            case plans.Drop():
                self._begin(f"clean:{action.run_id}", self._tools.runtime.drop(action.run_id))
            case plans.UnmountVolumes():
                self._begin("volumes", self._tools.volumes.unmount(self.uid))
            case plans.RemoveSandbox():
                self._begin("sandbox", self._remove_sandbox())
            case plans.Confirm():
                self._begin("confirm", self._confirm())
            case plans.Forget():
                self._begin("forget", self._forget())
            case plans.Judge():
                self.judge(action.verdict)

    def judge(self, verdict: Verdict) -> None:
        """End the pod by the node's own judgement."""
        self._verdict = verdict
        self.save()
        self._say("Warning", verdict.reason, verdict.message.removeprefix(admission.REJECTED))
        self._wake.set()

    def save(self) -> None:
        """Keep the pod's record on disk; a disk that is full is tried again."""
        noted = podrecord.PodRecord(self.pod, self._start_time, self._verdict)
        try:
            podrecord.save(self._tools.pod_dir(self.uid), noted)
        except OSError as error:
            _log.warning("the record of pod %s is not kept: %s", name_of(self.pod), error)
            self._unsaved = True
        else:
            self._unsaved = False

    def _say(self, kind: str, reason: str, message: str, container: str = "") -> None:
        if container:
            init = container in [c["name"] for c in podspec.init_containers(self.pod)]
            who = starter.involved(self.pod, container, init=init)
        else:
            who = {"kind": "Pod", "apiVersion": "v1", **self.pod}
        self._tools.emit(who, kind, reason, message)

    def _unhealthy(self, reason: str, message: str) -> None:
        self._say("Warning", reason, message)

    def _tell_pauses(self, told: Obj) -> None:
        """An event when the pause before a restart begins: once for each run that failed."""
        lists = [told.get(key) or () for key in ("initContainerStatuses", "containerStatuses")]
        for container in (*lists[0], *lists[1]):
            name, runs = container["name"], container["restartCount"]
            waiting = container["state"].get("waiting") or {}
            if waiting.get("reason") == "CrashLoopBackOff" and self._pauses.get(name) != runs:
                self._pauses[name] = runs
                words = f"Back-off restarting failed container {name} in pod "
                self._say("Warning", "BackOff", words + podspec.full_name(self.pod), name)

    def _tell_unsupported(self) -> None:
        if self._unsupported:
            self._say("Warning", "Failed", f"Error: {self._unsupported}")

    def _failed(self, key: str, reason: str, message: str, bounds: tuple[float, float]) -> Waiting:
        """Note a failure of `key`, to be tried again later and later."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = min(bounds[0] * 2.0 ** min(count, 30), bounds[1])
        waiting = Waiting(reason, message, self._tools.clock.now() + delay)
        self._waiting[key] = waiting
        return waiting

    def _succeeded(self, key: str) -> None:
        self._failures.pop(key, None)
        self._waiting.pop(key, None)

    # -- the ground: sandbox and volumes --------------------------------------------------------

    async def _make_sandbox(self) -> None:
        spec = podspec.spec_of(self.pod)
        sysctls = (spec.get("securityContext") or {}).get("sysctls") or ()
        config = SandboxConfig(
            uid=self.uid,
            namespace=namespace_of(self.pod),
            name=name_of(self.pod),
            hostname=self._tools.hostname(self.pod),
            host_network=podspec.on_host_network(self.pod),
            sysctls={s["name"]: s["value"] for s in sysctls},
        )
        self._tell_sandbox_changed()
        try:
            sandbox = await self._tools.runtime.start_sandbox(config)
            await self._open_ports(sandbox)
        except (RuntimeFailedError, HostPortError) as error:
            self._failed("sandbox", "FailedCreatePodSandBox", str(error), GROUND_BACKOFF_S)
            if self._failures["sandbox"] == 1 or self._failures["sandbox"] > QUIET_TRIES:
                self._say("Warning", "FailedCreatePodSandBox", str(error))
        else:
            self._succeeded("sandbox")

    def _tell_sandbox_changed(self) -> None:
        """The sandbox in which the pod's containers ran is gone, as after a power cut."""
        runtime = self._tools.runtime
        first = "sandbox" not in self._failures and runtime.sandbox(self.uid) is None
        if first and runtime.runs(self.uid):
            words = "Pod sandbox changed, it will be killed and re-created."
            self._say("Normal", "SandboxChanged", words)

    async def _open_ports(self, sandbox: Sandbox) -> None:
        forwards = [
            Forward(ip, protocol, port, sandbox.ip, target)
            for ip, protocol, port, target in podspec.forwards(self.pod)
        ]
        self._ports_failed = True
        await self._tools.ports.set(self.uid, forwards)
        self._ports_failed = False

    async def _reopen_ports(self) -> None:
        """Ports of a pod taken over from an earlier agent; what fails is tried with the sandbox."""
        sandbox = self._tools.runtime.sandbox(self.uid)
        if sandbox is not None:
            try:
                await self._open_ports(sandbox)
            except HostPortError as error:
                _log.warning("host ports of pod %s not open: %s", name_of(self.pod), error)

    async def _remove_sandbox(self) -> None:
        try:
            await self._tools.ports.set(self.uid, ())
        except HostPortError as error:
            _log.warning("host ports of pod %s not closed: %s", name_of(self.pod), error)
        await self._tools.runtime.stop_sandbox(self.uid)

    async def _mount_volumes(self) -> None:
        try:
            await self._tools.volumes.mount(self.pod)
        except VolumeFailedError as error:
            self._failed("volumes", "ContainerCreating", str(error), GROUND_BACKOFF_S)
            if self._failures["volumes"] >= QUIET_TRIES:
                self._say("Warning", "FailedMount", str(error))
        else:
            self._succeeded("volumes")

    async def _refresh(self) -> None:
        try:
            await self._tools.volumes.refresh(self.pod)
        except (VolumeFailedError, TransportError, errors.StatusError) as error:
            _log.info("volumes of %s not refreshed: %s", name_of(self.pod), error)

    # -- containers -----------------------------------------------------------------------------

    async def _start(self, action: plans.Start) -> None:
        name = action.name
        key = f"container:{name}"
        self._abort.clear()
        spec = podspec.container(self.pod, name)
        sandbox = self._tools.runtime.sandbox(self.uid)
        assert spec is not None
        assert sandbox is not None
        init = spec in podspec.init_containers(self.pod)
        order = starter.Order(self.pod, spec, action.attempt, action.backoff, sandbox.ip, init=init)
        try:
            await self._starter.start(order, self._abort)
        except starter.AbortedError:
            pass
        except starter.StartFailedError as error:
            self._start_failed(key, action, error)
        except (TransportError, errors.StatusError) as error:
            failure = starter.StartFailedError("CreateContainerConfigError", str(error))
            self._start_failed(key, action, failure)
        else:
            self._succeeded(key)
        finally:
            self._starting = ""

    def _start_failed(self, key: str, action: plans.Start, error: starter.StartFailedError) -> None:
        run = self._sight.newest(self.uid, action.name)
        if run is not None and run.attempt == action.attempt:
            self._succeeded(key)  # there was a run: restart policy and back-off see to it
            return
        if error.reason not in IMAGE_REASONS:
            self._failed(key, error.reason, error.message, CONFIG_BACKOFF_S)
            return
        waiting = self._failed(key, error.reason, error.message, IMAGE_BACKOFF_S)
        spec = podspec.container(self.pod, action.name) or {}
        if error.reason == "ErrImagePull":
            words = f'Back-off pulling image "{spec.get("image")}"'
            self._say("Normal", "BackOff", words, action.name)
            self._waiting[key] = Waiting(
                waiting.reason,
                waiting.message,
                waiting.retry_at,
                ("ImagePullBackOff", f"{words}: {error.reason}: {error.message}"),
                self._tools.clock.now() + 1.0,
            )

    def _stop(self, action: plans.Stop) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + action.grace_s
        stopping = self._stops.get(action.run_id)
        if stopping is not None:
            stopping.shorten(deadline)
            return
        run = next(r for r in self._tools.runtime.runs(self.uid) if r.id == action.run_id)
        stopping = stopper.Stopping(run, deadline)
        self._stops[action.run_id] = stopping
        words = action.message or f"Stopping container {action.name}"
        self._say("Normal", "Killing", words, action.name)
        self._begin(f"stop:{action.name}", self._stop_run(action, stopping))

    async def _stop_run(self, action: plans.Stop, stopping: stopper.Stopping) -> None:
        sandbox = self._tools.runtime.sandbox(self.uid)
        spec = podspec.container(self.pod, action.name)
        target = Target(action.run_id, spec or {}, sandbox.ip if sandbox else "")
        newest = self._sight.newest(self.uid, action.name)
        if newest is None or newest.id != action.run_id or newest.state == "exited":
            stopping.ended.set()
        try:
            if not await stopper.stop(self._tools, stopping, target):
                self._say("Warning", "FailedPreStopHook", "PreStopHook failed", action.name)
        finally:
            self._stops.pop(action.run_id, None)

    # -- the end --------------------------------------------------------------------------------

    async def _confirm(self) -> None:
        """Nothing of the pod is left: delete its object, however long the API needs."""
        self._released = True
        self._publisher.pause()
        await self._persist(self._delete)

    async def _delete(self) -> None:
        try:
            await self._tools.client.delete(
                "pods", name_of(self.pod), namespace_of(self.pod), uid=self.uid, grace_s=0
            )
        except errors.StatusError as error:
            if error.code not in (404, 409):
                raise
            self.gone()  # not there, or another pod by now
            return
        self._confirmed = True

    async def _persist(self, work: Callable[[], Awaitable[None]]) -> None:
        delay = 0.2
        while True:
            try:
                await work()
            except (TransportError, errors.StatusError) as error:
                _log.info("deletion of pod %s not told yet: %s", name_of(self.pod), error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 10.0)
            else:
                return

    async def _forget(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._tools.log_dir(self.pod), ignore_errors=True)
        await self._tools.volumes.unmount(self.uid)  # also what an agent was mounting as it died
        await self._tools.runtime.forget(self.uid)  # last: the record tells where the logs are
        self._done = True
