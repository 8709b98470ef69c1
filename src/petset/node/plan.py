"""What to do next for one pod. Pure: equal inputs, equal plan.

Start-up: volumes and sandbox together, init containers one by one, regular containers one after the
other without waiting for each other to become ready. Shutdown: regular containers together,
sidecars in reverse, then clean, unmount, remove the sandbox; only then is the API told, so that a
name is never free while something of the pod still runs.
A sandbox that is made anew (the machine was restarted) starts over: every init container runs once
more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from petset.api.meta import is_deleting, name_of, namespace_of, parse_time, uid_of
from petset.node import podspec
from petset.node.runtime.base import Run
from petset.node.seen import ContainerSeen, PodSeen, Verdict

BACKOFF_FIRST_S = 10.0
BACKOFF_MAX_S = 300.0
BACKOFF_RESET_S = 600.0
LOST_MIN_S = 1.0
"""A run of at least this length that ended unseen (a power cut, a dead conmon), or with the sandbox
that it was in (the cluster or the node was stopped), did not crash."""
GONE_GRACE_S = 1
"""Grace of a pod whose object is gone already: a successor may be on its way."""


@dataclass(frozen=True, slots=True)
class MakeSandbox:
    """Make the pod's namespaces and network."""


@dataclass(frozen=True, slots=True)
class MountVolumes:
    """Make and mount the pod's volumes."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container's next run. `backoff` counts restarts in a row."""

    name: str
    attempt: int
    backoff: int


@dataclass(frozen=True, slots=True)
class AbortStart:
    """Give up a start that still waits for its image or hook."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a running container within `grace_s`; repeated, it can shorten the grace."""

    name: str
    run_id: str
    grace_s: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Clean:
    """Remove what an ended run left, its log excepted."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget an old run, and its log."""

    run_id: str


@dataclass(frozen=True, slots=True)
class UnmountVolumes:
    """Unmount the pod's volumes and remove those that end with it."""


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    """Remove the pod's namespaces and network."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Tell the API that nothing of the pod runs any more: delete the object."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove every record of the pod; its worker ends."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The node ends the pod: phase Failed."""

    verdict: Verdict


Action = (
    MakeSandbox
    | MountVolumes
    | Start
    | AbortStart
    | Stop
    | Clean
    | Drop
    | UnmountVolumes
    | RemoveSandbox
    | Confirm
    | Forget
    | Judge
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions that are safe now, and how many seconds later to look again at the latest."""

    actions: tuple[Action, ...] = ()
    requeue_after_s: float | None = None


def backoff_s(count: int) -> float:
    """Pause before restart number `count` in a row (0: the first, at once)."""
    return 0.0 if count <= 0 else min(BACKOFF_FIRST_S * 2.0 ** (count - 1), BACKOFF_MAX_S)


def next_backoff(seen: PodSeen, run: Run) -> int:
    """Which restart in a row the next one is, after `run` ended."""
    length_s = run.finished_at - run.started_at if run.started_at else 0.0
    if length_s >= BACKOFF_RESET_S:
        return 0
    if (run.lost or not seen.is_current(run)) and length_s >= LOST_MIN_S:
        return max(0, run.backoff - 1)
    return run.backoff


def may_restart(policy: str, run: Run) -> bool:
    """Whether a container that ended as `run` is started again."""
    return policy == "Always" or (policy == "OnFailure" and run.exit_code != 0)


def is_finished(seen: PodSeen) -> bool:
    """Whether every regular container ended for good, or an init container failed for good."""
    pod = seen.pod
    for spec in podspec.init_containers(pod):
        run = seen.of(spec["name"]).run
        if run is None or run.state != "exited" or podspec.is_sidecar(spec):
            continue
        if run.exit_code and not may_restart(podspec.restart_policy(pod, spec, init=True), run):
            return True
    for spec in podspec.containers(pod):
        run = seen.of(spec["name"]).run
        if run is None or run.state != "exited":
            return False
        if may_restart(podspec.restart_policy(pod, spec, init=False), run):
            return False
    return bool(podspec.containers(pod))


def is_stopping(seen: PodSeen) -> bool:
    """Whether the pod must go: deleted, gone from the API, or judged."""
    return not seen.exists or is_deleting(seen.pod) or seen.verdict is not None


def grace_of(seen: PodSeen) -> int:
    """How long the containers may take to stop."""
    if not seen.exists:
        return min(GONE_GRACE_S, podspec.grace_s(seen.pod))
    if is_deleting(seen.pod):
        return podspec.deletion_grace_s(seen.pod)
    return podspec.grace_s(seen.pod)


def plan(seen: PodSeen, now: float) -> Plan:
    """All that is safe to do now; `now` in seconds since the epoch."""
    if seen.rest_s is not None:
        return Plan(tuple(_rest(seen, seen.rest_s)))
    verdict = _deadline(seen, now)
    if verdict is not None:
        return Plan((Judge(verdict),))
    tidy = tuple(_tidy(seen))
    if is_stopping(seen) or is_finished(seen):
        return Plan(tidy + tuple(_end(seen)))
    wake = _Wake(now)
    actions = tidy + tuple(_live(seen, wake))
    return Plan(actions, wake.after_s(_deadline_at(seen)))


class _Wake:
    """The earliest time at which something becomes due."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.at: float | None = None

    def is_due(self, at: float) -> bool:
        """Whether `at` has come; if not, it is remembered."""
        if at <= self.now:
            return True
        self.at = at if self.at is None else min(self.at, at)
        return False

    def after_s(self, also: float | None) -> float | None:
        """Seconds until the earliest time remembered, `also` included."""
        times = [t for t in (self.at, also) if t is not None]
        return max(0.0, min(times) - self.now) if times else None


def _deadline_at(seen: PodSeen) -> float | None:
    limit = podspec.spec_of(seen.pod).get("activeDeadlineSeconds")
    if limit is None:
        return None
    begun = parse_time((seen.pod.get("status") or {}).get("startTime")) or seen.start_time
    return begun + int(limit)


def _deadline(seen: PodSeen, now: float) -> Verdict | None:
    at = _deadline_at(seen)
    if at is None or now < at or seen.verdict is not None or is_finished(seen):
        return None
    return Verdict(
        "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
    )


def _tidy(seen: PodSeen) -> Iterator[Action]:
    for container in seen.containers.values():
        for run_id in container.uncleaned:
            if f"clean:{run_id}" not in seen.busy:
                yield Clean(run_id)
        for run_id in container.stale:
            if run_id not in container.uncleaned and f"clean:{run_id}" not in seen.busy:
                yield Drop(run_id)


# -- the end ------------------------------------------------------------------------------------


def _end(seen: PodSeen) -> Iterator[Action]:
    if "start" in seen.busy:
        yield AbortStart()
    stops = list(_stops(seen, grace_of(seen)))
    yield from stops
    if stops or seen.busy or any(c.uncleaned for c in seen.containers.values()):
        return
    if seen.volumes != "none":
        yield UnmountVolumes()
        return
    if seen.sandbox is not None:
        yield RemoveSandbox()
        return
    if not seen.exists:
        yield Forget()
    elif is_deleting(seen.pod) and not seen.confirmed:
        yield Confirm()


def _rest(seen: PodSeen, grace_s: int) -> Iterator[Action]:
    """The containers end and the pod stays: the next agent goes on with it."""
    if "start" in seen.busy:
        yield AbortStart()
    yield from _stops(seen, min(grace_s, grace_of(seen)))


def _stops(seen: PodSeen, grace_s: int) -> Iterator[Stop]:
    """Regular and init containers at once, then sidecars, last first."""
    plain = [
        spec
        for spec in podspec.all_containers(seen.pod)
        if spec in podspec.containers(seen.pod) or not podspec.is_sidecar(spec)
    ]
    running = [s for s in plain if seen.of(s["name"]).is_running]
    if not running:
        sidecars = [s for s in podspec.init_containers(seen.pod) if podspec.is_sidecar(s)]
        running = [s for s in sidecars if seen.of(s["name"]).is_running][-1:]
    for spec in running:
        run = seen.of(spec["name"]).run
        assert run is not None
        yield Stop(spec["name"], run.id, grace_s)


# -- the life -----------------------------------------------------------------------------------


def _live(seen: PodSeen, wake: _Wake) -> Iterator[Action]:
    if seen.unsupported:
        return
    yield from _unhealthy(seen)
    made = list(_ground(seen, wake))
    yield from made
    if made or seen.sandbox is None or seen.volumes != "mounted" or "start" in seen.busy:
        return
    start = _next_start(seen, wake)
    if start is not None:
        yield start


def _unhealthy(seen: PodSeen) -> Iterator[Stop]:
    for spec in podspec.all_containers(seen.pod):
        container = seen.of(spec["name"])
        if container.is_running and container.probed.failed and container.run is not None:
            grace = _probe_grace_s(spec, container, podspec.grace_s(seen.pod))
            yield Stop(spec["name"], container.run.id, grace, container.probed.failed)


def _probe_grace_s(spec: object, container: ContainerSeen, grace_s: int) -> int:
    kind = "livenessProbe" if container.probed.started else "startupProbe"
    probe = (spec.get(kind) or {}) if isinstance(spec, dict) else {}
    own = probe.get("terminationGracePeriodSeconds")
    return grace_s if own is None else int(own)


def _ground(seen: PodSeen, wake: _Wake) -> Iterator[Action]:
    wants: list[tuple[str, bool, Action]] = [
        ("sandbox", seen.sandbox is None, MakeSandbox()),
        ("volumes", seen.volumes == "none", MountVolumes()),
    ]
    for key, missing, action in wants:
        waiting = seen.waiting.get(key)
        if not missing or key in seen.busy:
            continue
        if waiting is None or wake.is_due(waiting.retry_at):
            yield action


def _next_start(seen: PodSeen, wake: _Wake) -> Start | None:
    pod = seen.pod
    for spec in podspec.init_containers(pod):
        container = seen.of(spec["name"])
        if is_initialised(seen):
            if not podspec.is_sidecar(spec):
                continue
        elif podspec.is_sidecar(spec):
            if container.is_running and container.probed.started:
                continue
        elif _is_done(seen, container):
            continue
        start = _due(seen, spec, wake, init=True)
        if start is not None or not is_initialised(seen):
            return start
    for spec in podspec.containers(pod):
        start = _due(seen, spec, wake, init=False)
        if start is not None:
            return start
    return None


def is_initialised(seen: PodSeen) -> bool:
    """Whether the regular containers' turn has come (it stays so once one of them was started)."""
    runs = [run for spec in podspec.containers(seen.pod) for run in seen.of(spec["name"]).runs]
    if any(seen.is_current(run) for run in runs):
        return True
    for spec in podspec.init_containers(seen.pod):
        container = seen.of(spec["name"])
        if podspec.is_sidecar(spec):
            if not (container.is_running and container.probed.started):
                return False
        elif not _is_done(seen, container):
            return False
    return True


def _is_done(seen: PodSeen, container: ContainerSeen) -> bool:
    run = container.run
    if run is None or not seen.is_current(run):
        return False
    return run.state == "exited" and run.exit_code == 0


def _due(seen: PodSeen, spec: object, wake: _Wake, *, init: bool) -> Start | None:
    assert isinstance(spec, dict)
    name: str = spec["name"]
    container = seen.of(name)
    run = container.run
    if container.is_running or f"stop:{name}" in seen.busy:
        return None
    if container.waiting is not None:
        if container.waiting.then_at:
            wake.is_due(container.waiting.then_at)
        if not wake.is_due(container.waiting.retry_at):
            return None
    if run is None:
        return Start(name, 0, 0)
    if init and run.exit_code == 0 and not seen.is_current(run) and not podspec.is_sidecar(spec):
        return Start(name, run.attempt + 1, 0)
    policy = podspec.restart_policy(seen.pod, spec, init=init)
    if not may_restart(policy, run):
        return None
    count = next_backoff(seen, run)
    if not wake.is_due(run.finished_at + backoff_s(count)):
        return None
    return Start(name, run.attempt + 1, count + 1)


def describe(seen: PodSeen) -> str:
    """`namespace/name (uid)`, for log lines."""
    return f"{namespace_of(seen.pod)}/{name_of(seen.pod)} ({uid_of(seen.pod)})"
