"""Runs the probes of running containers and tells when their verdict changes.

As upstream, a try that could not be made (no such program, no such port) is told of and counts
neither way.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from petset.api.meta import Obj
from petset.node import check, probes
from petset.node.seen import Probed

TRIES, TRY_AGAIN_S = 3, 0.1
Say = Callable[[str, str], None]
"""Told (reason, message) of what a Warning event on the pod should say."""


@dataclass(slots=True)
class _Watched:
    target: check.Target
    progress: dict[str, probes.Progress]
    failed: str = ""
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)


class Prober:
    """The probes of one pod. Tasks live in the pod worker's group.

    Args:
        changed: called when a verdict changes.
    """

    def __init__(
        self,
        checker: check.Checker,
        group: asyncio.TaskGroup,
        *,
        changed: Callable[[], None],
        say: Say,
    ) -> None:
        self._checker = checker
        self._group = group
        self._changed = changed
        self._say = say
        self._watched: dict[str, _Watched] = {}

    def probed(self, container_id: str) -> Probed:
        """What the probes of a running container say; nothing passed when it is not probed."""
        watched = self._watched.get(container_id)
        if watched is None:
            return Probed()
        return probes.summary(watched.target.spec, watched.progress, watched.failed)

    def begin(self, target: check.Target, known: Probed | None = None) -> None:
        """Start to probe. `known` is what an earlier agent found, so that nothing flaps."""
        if target.container_id in self._watched:
            return
        watched = _Watched(target, {})
        self._watched[target.container_id] = watched
        for kind in probes.KINDS:
            spec = target.spec.get(kind)
            if spec:
                watched.progress[kind] = _initial(kind, known)
                task = self._group.create_task(self._run(watched, kind, spec))
                watched.tasks.append(task)

    def end(self, container_id: str) -> None:
        """Stop to probe."""
        watched = self._watched.pop(container_id, None)
        if watched is not None:
            for task in watched.tasks:
                task.cancel()

    def end_all(self) -> None:
        """Stop every probe."""
        for container_id in list(self._watched):
            self.end(container_id)

    async def _run(self, watched: _Watched, kind: str, spec: Obj) -> None:
        rule = probes.rule_of(kind, spec)
        progress = watched.progress
        if kind == "startupProbe" and progress[kind].passed:
            return
        await self._until_started(watched, kind)
        if rule.delay_s and not progress[kind].ever:
            await asyncio.sleep(rule.delay_s)
        loop = asyncio.get_running_loop()
        while not watched.failed:
            answer = await self._try(watched.target, spec, rule)
            before = progress[kind]
            if answer.errored:
                now = probes.unknown(rule, before, now=loop.time())
            else:
                now = probes.after(rule, before, success=answer.success, now=loop.time())
            progress[kind] = now
            self._tell(watched, rule, before, answer)
            if before.passed != now.passed or watched.failed:
                self._changed()
            if kind == "startupProbe" and now.passed:
                return
            await asyncio.sleep(probes.next_try_s(rule, now))

    async def _try(self, target: check.Target, spec: Obj, rule: probes.Rule) -> check.Answer:
        """One answer. A try that cannot be made is repeated: the container may be about to end,
        and then nobody wants to know."""
        answer = await self._checker.check(target, spec, rule.timeout_s)
        for _ in range(TRIES - 1):
            if not answer.errored:
                break
            await asyncio.sleep(TRY_AGAIN_S)
            answer = await self._checker.check(target, spec, rule.timeout_s)
        return answer

    async def _until_started(self, watched: _Watched, kind: str) -> None:
        startup = watched.progress.get("startupProbe")
        if kind == "startupProbe" or startup is None or startup.passed:
            return
        await watched.tasks[0]  # the startup probe ends when it has passed
        if watched.failed:
            raise asyncio.CancelledError

    def _tell(
        self, watched: _Watched, rule: probes.Rule, before: probes.Progress, answer: check.Answer
    ) -> None:
        now = watched.progress[rule.kind]
        if answer.success or (now.bad, now.counted_at) == (before.bad, before.counted_at):
            return
        if answer.errored:
            words = f"probe errored and resulted in unknown state: {answer.words}"
            self._say("Unhealthy", f"{probes.WORDS[rule.kind]} {words}")
            return
        self._say("Unhealthy", f"{probes.WORDS[rule.kind]} probe failed: {answer.words}")
        if rule.kind != "readinessProbe" and probes.has_failed(rule, now):
            watched.failed = probes.kill_message(watched.target.spec["name"], rule.kind)


def _initial(kind: str, known: Probed | None) -> probes.Progress:
    if kind == "livenessProbe":
        return probes.Progress(passed=True, ever=known is not None)
    if known is None:
        return probes.Progress()
    passed = known.started if kind == "startupProbe" else known.ready
    return probes.Progress(passed=passed, ever=passed)
