"""Fake pods: what they do is told by a `Script`, what they did is noted in the `Runtime`."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj
from petset.base.clock import Clock
from petset.client.client import Client
from petset.client.transport import TransportError
from petset.reconcile import podtemplate

RETRY_S = 0.5
_ENDED = {"terminated": {"exitCode": 137, "reason": "Error"}}


@dataclass(frozen=True, slots=True)
class Script:
    """What a fake pod does; times in seconds.

    Attributes:
        start_s: from being bound until its containers run.
        ready_s: from running until Ready; None: never.
        exit_after_s: its containers end so long after they began to run; None: never.
        exit_code: with which code they end.
        restart_s: pause before a restart, where the restart policy wants one.
        stop_s: how long it takes to stop; longer than the grace period, it is killed then.
        waiting: its containers cannot be started, for this reason (`ErrImagePull`).
        flap_s: Ready and not Ready by turns of so many seconds, `flaps` times; None: never.
    """

    start_s: float = 0.05
    ready_s: float | None = 0.05
    exit_after_s: float | None = None
    exit_code: int = 0
    restart_s: float = 1.0
    stop_s: float = 0.05
    waiting: str = ""
    flap_s: float | None = None
    flaps: int = 3


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that containers did.

    Attributes:
        what: "started", "exited" (by itself) or "stopped" (by its node, or with it).
        claims: names of the claims that the pod has mounted.
        owner: kind of the pod's controller, "" for none.
    """

    at: float
    what: str
    node: str
    namespace: str
    pod: str
    uid: str
    claims: tuple[str, ...] = ()
    owner: str = ""

    def __str__(self) -> str:
        return f"{self.at:.3f} {self.node}: {self.namespace}/{self.pod} {self.what}"


@dataclass(slots=True)
class Runtime:
    """What runs on every fake node: the truth that the API only hears of.

    Attributes:
        live: what runs now, by (node, uid of the pod).
        log: all that happened.
        listeners: told of each happening.
    """

    live: dict[tuple[str, str], Happening] = field(default_factory=dict)
    log: list[Happening] = field(default_factory=list)
    listeners: list[Callable[[Happening], None]] = field(default_factory=list)

    def note(self, what: str, node: str, pod: Obj) -> None:
        """Something happened to the containers of `pod` on `node`."""
        volumes = (pod.get("spec") or {}).get("volumes") or ()
        claims = tuple(
            v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v
        )
        at = asyncio.get_running_loop().time()
        names = (meta.namespace_of(pod), meta.name_of(pod), meta.uid_of(pod))
        owner = (meta.controller_of(pod) or {}).get("kind") or ""
        happening = Happening(at, what, node, *names, claims, owner)
        if what == "started":
            self.live[node, happening.uid] = happening
        else:
            self.live.pop((node, happening.uid), None)
        self.log.append(happening)
        for listener in self.listeners:
            listener(happening)


class Host(Protocol):
    """The node that a fake pod runs on."""

    name: str
    number: int
    client: Client
    clock: Clock

    def current(self, pod: Obj) -> Obj | None:
        """The pod as the cache has it; None when it is gone."""
        ...

    def script_of(self, pod: Obj) -> Script:
        """What the pod will do."""
        ...

    def begin(self, pod: Obj) -> None:
        """The containers of `pod` begin to run."""
        ...

    def end(self, what: str, pod: Obj) -> None:
        """The containers of `pod` have ended, if they ran."""
        ...

    def runs(self, uid: str) -> bool:
        """Whether containers of the pod run."""
        ...

    def restarts(self, uid: str) -> int:
        """How often the pod's containers were started again."""
        ...

    def is_failing(self, uid: str) -> bool:
        """Whether the node has given the pod up."""
        ...

    def keeps_address(self, uid: str) -> bool:
        """Whether the pod has the address that it had."""
        ...

    def new_address(self) -> str:
        """An address for a pod."""
        ...


class Life:
    """One pod's life on its node, as far as this agent sees it.

    Args:
        changed: set whenever the pod's object has changed.
    """

    def __init__(self, host: Host, pod: Obj, changed: asyncio.Event) -> None:
        self.host = host
        self.pod = pod
        self.changed = changed
        self.script = host.script_of(pod)
        known = (pod.get("status") or {}).get("podIP") or ""
        self.address = known if host.keeps_address(meta.uid_of(pod)) else ""
        self._ready = False

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return meta.uid_of(self.pod)

    @property
    def wanted(self) -> bool:
        """Whether the pod is to run: there, not being deleted, and not told to have ended."""
        return self._is_there and not self.host.is_failing(self.uid) and not self._told_end

    @property
    def _is_there(self) -> bool:
        current = self.host.current(self.pod)
        return current is not None and not meta.is_deleting(current)

    @property
    def _told_end(self) -> str:
        """The phase that the API tells of, if it is a last one."""
        current = self.host.current(self.pod) or {}
        return podtemplate.phase_of(current) if podtemplate.is_finished(current) else ""

    async def run(self) -> None:
        """From the start, or from where another agent left it, to the end."""
        if self.host.runs(self.uid) and not self.address:  # the last agent died before it told
            self.address = self.host.new_address()
        while self.wanted:
            if not self.host.runs(self.uid) and not await self._start():
                break
            if not await self._stay():
                break
        if self._is_there and self.host.is_failing(self.uid):
            self.host.end("stopped", self.pod)
            await self._report(self._status("Failed", _ENDED, ready=False) | {"reason": "Evicted"})
        elif self._is_there and self._told_end:
            await self._obey(self._told_end)
        while self._is_there:
            await self._change()
        await self._stop()

    async def _start(self) -> bool:
        """Bring the containers up; False when the pod is no longer wanted."""
        if not await self._pass(self.script.start_s):
            return False
        if self.script.waiting:
            await self._report(self._status("Pending", self._reason(), ready=False))
            while self.wanted:
                await self._change()
            return False
        self.address = self.address or self.host.new_address()
        self.host.begin(self.pod)
        return await self._report(self._running(ready=False))

    async def _stay(self) -> bool:
        """Run until the containers end by themselves; whether they are to be started again."""
        script = self.script
        if script.ready_s is not None:
            if not await self._pass(script.ready_s):
                return False
            await self._report(self._running(ready=True))
            if script.flap_s is not None and not await self._flap(script.flap_s):
                return False
        if script.exit_after_s is None:
            await self._linger()
            return False
        if not await self._pass(script.exit_after_s):
            return False
        self.host.end("exited", self.pod)
        if not self._restarting():
            await self._report(self._ended())
            return False
        await self._report(self._waiting())
        return await self._pass(script.restart_s)

    async def _linger(self) -> None:
        """Run on, and say so again when others have said otherwise while the node was silent."""
        while self.wanted:
            await self._change()
            current = self.host.current(self.pod)
            if current is None or not self.wanted:
                return
            if meta.is_condition_true(current, "Ready") != self._ready:
                await self._report(self._running(ready=self._ready))

    async def _flap(self, seconds: float) -> bool:
        for turn in range(2 * self.script.flaps):
            if not await self._pass(seconds):
                return False
            await self._report(self._running(ready=turn % 2 == 1))
        return True

    async def _obey(self, phase: str) -> None:
        """Be as somebody else has said: ended."""
        if self.host.runs(self.uid):
            await asyncio.sleep(self.script.stop_s)
            self.host.end("stopped", self.pod)
        if meta.is_condition_true(self.host.current(self.pod) or {}, "Ready"):
            await self._report(self._status(phase, _ENDED, ready=False))

    def _restarting(self) -> bool:
        policy = (self.pod.get("spec") or {}).get("restartPolicy") or "Always"
        return policy == "Always" or (policy == "OnFailure" and self.script.exit_code != 0)

    async def _stop(self) -> None:
        """End what runs, within the grace period, and let the object go."""
        current = self.host.current(self.pod)
        grace_s = 0.0
        if current is not None:
            grace_s = float(current["metadata"].get("deletionGracePeriodSeconds") or 0)
        if self.host.runs(self.uid):
            await asyncio.sleep(min(self.script.stop_s, grace_s))
            self.host.end("stopped", self.pod)
        while (current := self.host.current(self.pod)) is not None:
            try:
                await self.host.client.delete(
                    "pods",
                    meta.name_of(self.pod),
                    meta.namespace_of(self.pod),
                    uid=self.uid,
                    grace_s=0,
                )
            except StatusError as error:
                if error.code in (404, 409):
                    return
            except TransportError:
                pass
            await asyncio.sleep(RETRY_S)

    async def _pass(self, seconds: float) -> bool:
        """Let time pass; False as soon as the pod is no longer wanted."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.wanted:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._change()
            except TimeoutError:
                return self.wanted
        return False

    async def _change(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    async def _report(self, status: MutableObj) -> bool:
        """Write the status, again and again until it is taken; whether the pod is wanted."""
        while (current := self.host.current(self.pod)) is not None:
            others = (current.get("status") or {}).get("conditions") or ()
            own = [_timed(c, others) for c in status["conditions"]]
            types = {c["type"] for c in own}
            conditions = [c for c in others if c.get("type") not in types] + own
            patch = {
                "metadata": {"uid": self.uid},
                "status": {**status, "conditions": conditions},
            }
            names = (meta.name_of(self.pod), patch, meta.namespace_of(self.pod))
            try:
                await self.host.client.patch("pods", *names, subresource="status")
            except StatusError as error:
                if error.code in (404, 409):
                    return False
                if error.code == 422:
                    raise
            except TransportError:
                pass
            else:
                return self.wanted
            await asyncio.sleep(RETRY_S)
        return False

    def _running(self, *, ready: bool) -> MutableObj:
        self._ready = ready
        since = {"startedAt": meta.format_time(self.host.clock.now())}
        return self._status("Running", {"running": since}, ready=ready)

    def _reason(self) -> MutableObj:
        return {"waiting": {"reason": self.script.waiting}}

    def _waiting(self) -> MutableObj:
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        return self._status("Running", waiting, ready=False)

    def _ended(self) -> MutableObj:
        code = self.script.exit_code
        ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
        phase = "Failed" if code else "Succeeded"
        return self._status(phase, {"terminated": ended}, ready=False)

    def _status(self, phase: str, state: MutableObj, *, ready: bool) -> MutableObj:
        now = meta.format_time(self.host.clock.now())
        spec = self.pod.get("spec") or {}
        truths = {
            "PodScheduled": True,
            "PodReadyToStartContainers": True,
            "Initialized": True,
            "ContainersReady": ready,
            "Ready": ready,
        }
        return {
            "phase": phase,
            "hostIP": f"172.29.0.{10 + self.host.number}",
            **({"podIP": self.address, "podIPs": [{"ip": self.address}]} if self.address else {}),
            "startTime": now,
            "conditions": [
                {"type": kind, "status": str(truth), "lastTransitionTime": now}
                for kind, truth in truths.items()
            ],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container.get("image", ""),
                    "imageID": "",
                    "state": state,
                    "ready": ready,
                    "started": "running" in state,
                    "restartCount": self.host.restarts(self.uid),
                }
                for container in spec.get("containers") or ()
            ],
        }


def _timed(condition: MutableObj, before: Iterable[Obj]) -> MutableObj:
    """The condition with the time at which its status became what it is."""
    was = next((c for c in before if c.get("type") == condition["type"]), None)
    if was is None or was.get("status") != condition["status"]:
        return condition
    return {**condition, "lastTransitionTime": was.get("lastTransitionTime")}
