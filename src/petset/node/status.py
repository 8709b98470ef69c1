"""A pod's status as the kubelet tells it. Pure.

Invariant: made from what is seen, never from the status of before; only the times at which
conditions changed, and conditions that others wrote, are carried over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petset.api.core.v1.pod import quality_of
from petset.api.meta import MutableObj, Obj, format_time
from petset.node import plan, podspec
from petset.node.runtime.base import Run
from petset.node.seen import SHUT_DOWN, ContainerSeen, PodSeen

ENDED = ("Succeeded", "Failed")
"""Phases that a pod never leaves."""

OWN_CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)


@dataclass(frozen=True, slots=True)
class Host:
    """What of the node goes into a status: its address, and the runtime's name for ids."""

    ip: str
    runtime: str


def make(seen: PodSeen, host: Host, now: float) -> MutableObj:
    """The whole status; `now` in seconds since the epoch."""
    inits = [
        _status(seen, spec, host, now, init=True) for spec in podspec.init_containers(seen.pod)
    ]
    mains = [_status(seen, spec, host, now, init=False) for spec in podspec.containers(seen.pod)]
    phase = _phase(seen, inits, mains)
    status: MutableObj = {"phase": phase}
    generation = (seen.pod.get("metadata") or {}).get("generation")
    if generation is not None:
        status["observedGeneration"] = generation
    status["conditions"] = _conditions(seen, phase, inits + mains, now)
    if seen.verdict is not None and phase in ENDED:
        status["reason"], status["message"] = seen.verdict.reason, seen.verdict.message
    status["hostIP"], status["hostIPs"] = host.ip, [{"ip": host.ip}]
    old = seen.pod.get("status") or {}
    ip = seen.sandbox.ip if seen.sandbox else old.get("podIP") or ""
    if ip and (seen.sandbox or phase in ("Succeeded", "Failed") or plan.is_stopping(seen)):
        status["podIP"], status["podIPs"] = ip, [{"ip": ip}]
    status["startTime"] = old.get("startTime") or format_time(seen.start_time)
    if inits:
        status["initContainerStatuses"] = inits
    if seen.verdict is None or any(c.runs for c in seen.containers.values()):
        status["containerStatuses"] = mains
    status["qosClass"] = old.get("qosClass") or quality_of(podspec.spec_of(seen.pod))
    return status


# -- containers ---------------------------------------------------------------------------------


def _status(seen: PodSeen, spec: Obj, host: Host, now: float, *, init: bool) -> MutableObj:
    name: str = spec["name"]
    container = seen.of(name)
    run = container.run
    state, last = _states(seen, spec, host, now, init=init)
    running = "running" in state
    made: MutableObj = {
        "name": name,
        "state": state,
        "lastState": last,
        "ready": _is_ready(seen, spec, running=running, init=init),
        "restartCount": run.attempt if run else 0,
        "image": run.image_ref if run else spec.get("image") or "",
        "imageID": run.image_id if run else "",
    }
    if run:
        made["containerID"] = f"{host.runtime}://{run.id}"
    plain_init = init and not podspec.is_sidecar(spec)
    made["started"] = running and (plain_init or container.probed.started)
    return made


def _is_ready(seen: PodSeen, spec: Obj, *, running: bool, init: bool) -> bool:
    container = seen.of(spec["name"])
    if init and not podspec.is_sidecar(spec):
        run = container.run
        ended = run is not None and run.state == "exited" and run.exit_code == 0
        return ended and run is not None and _counts(seen, run)
    return running and container.probed.ready


def _states(
    seen: PodSeen, spec: Obj, host: Host, now: float, *, init: bool
) -> tuple[MutableObj, MutableObj]:
    container = seen.of(spec["name"])
    run = container.run
    if run is None:
        return _waiting(*_why(seen, container, now)), {}
    if run.state == "running":
        running = {"running": {"startedAt": format_time(run.started_at)}}
        return running, _last(container, host)
    if run.state == "created":
        return _waiting("ContainerCreating", ""), _last(container, host)
    ended = {"terminated": _terminated(run, container.termination_message, host)}
    policy = podspec.restart_policy(seen.pod, spec, init=init)
    if not _counts(seen, run) and not plan.is_initialised(seen) and container.waiting is None:
        return _waiting("PodInitializing", ""), ended
    if plan.is_stopping(seen) or plan.is_finished(seen) or not plan.may_restart(policy, run):
        return ended, _last(container, host)
    if container.waiting is not None:
        return _waiting(*container.waiting.shown(now)), ended
    delay = plan.backoff_s(plan.next_backoff(seen, run))
    if now < run.finished_at + delay:
        words = (
            f"back-off {_duration(delay)} restarting failed container={spec['name']} "
            f"pod={podspec.full_name(seen.pod)}"
        )
        return _waiting("CrashLoopBackOff", words), ended
    return ended, _last(container, host)


def _counts(seen: PodSeen, run: Run) -> bool:
    """False for a run of an earlier sandbox, while the pod's life is beginning again."""
    return seen.is_current(run) or plan.is_stopping(seen) or plan.is_finished(seen)


def _has_begun(seen: PodSeen) -> bool:
    runs = [run for spec in podspec.containers(seen.pod) for run in seen.of(spec["name"]).runs]
    return any(_counts(seen, run) for run in runs)


def _why(seen: PodSeen, container: ContainerSeen, now: float) -> tuple[str, str]:
    if seen.unsupported:
        return "CreateContainerConfigError", seen.unsupported
    if container.waiting is not None:
        return container.waiting.shown(now)
    return ("PodInitializing" if podspec.init_containers(seen.pod) else "ContainerCreating"), ""


def _waiting(reason: str, message: str) -> MutableObj:
    waiting = {"reason": reason}
    if message:
        waiting["message"] = message
    return {"waiting": waiting}


def _last(container: ContainerSeen, host: Host) -> MutableObj:
    run = container.previous
    if run is None:
        return {}
    return {"terminated": _terminated(run, container.last_termination_message, host)}


def _terminated(run: Run, message: str, host: Host) -> MutableObj:
    made: MutableObj = {"exitCode": run.exit_code, "reason": _reason(run)}
    if run.error or message:
        made["message"] = run.error or message
    elif run.lost:
        made["message"] = "The container could not be located when the pod was terminated"
    if run.started_at:
        made["startedAt"] = format_time(run.started_at)
    made["finishedAt"] = format_time(run.finished_at)
    made["containerID"] = f"{host.runtime}://{run.id}"
    return made


def _reason(run: Run) -> str:
    if run.error:
        return "StartError"
    if run.lost:
        return "ContainerStatusUnknown"
    if run.oom_killed:
        return "OOMKilled"
    return "Completed" if run.exit_code == 0 else "Error"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


# -- phase --------------------------------------------------------------------------------------


def _phase(seen: PodSeen, inits: Sequence[Obj], mains: Sequence[Obj]) -> str:
    """A pod has not ended while anything of it runs: who sees its end may make another one."""
    told = (seen.pod.get("status") or {}).get("phase")
    if told in ENDED:
        return str(told)
    phase = _reached(seen, inits, mains)
    if phase not in ENDED or not any(c.is_running for c in seen.containers.values()):
        return phase
    return "Running" if _has_begun(seen) else "Pending"


def _reached(seen: PodSeen, inits: Sequence[Obj], mains: Sequence[Obj]) -> str:
    if seen.verdict is not None or _init_failed(seen):
        return "Failed"
    begun = _has_begun(seen)
    if not begun and not all(_is_passed(seen, s, status) for s, status in _pairs(seen, inits)):
        return "Pending"
    return _main_phase(podspec.spec_of(seen.pod).get("restartPolicy") or "Always", mains)


def _pairs(seen: PodSeen, inits: Sequence[Obj]) -> Iterable[tuple[Obj, Obj]]:
    return zip(podspec.init_containers(seen.pod), inits, strict=True)


def _is_passed(seen: PodSeen, spec: Obj, status: Obj) -> bool:
    return bool(status["started"] if podspec.is_sidecar(spec) else status["ready"])


def _init_failed(seen: PodSeen) -> bool:
    for spec in podspec.init_containers(seen.pod):
        run = seen.of(spec["name"]).run
        if podspec.is_sidecar(spec) or run is None or run.state != "exited" or not run.exit_code:
            continue
        policy = podspec.restart_policy(seen.pod, spec, init=True)
        if not plan.may_restart(policy, run):
            return True
    return False


def _main_phase(policy: str, mains: Sequence[Obj]) -> str:
    running = stopped = succeeded = 0
    for status in mains:
        state, last = status["state"], status["lastState"]
        ended = state.get("terminated") or (last.get("terminated") if "waiting" in state else None)
        if "running" in state:
            running += 1
        elif ended is None:
            return "Pending"
        else:
            stopped += 1
            succeeded += ended["exitCode"] == 0 and "terminated" in state
    if running or policy == "Always":
        return "Running"
    if stopped == succeeded:
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


# -- conditions ---------------------------------------------------------------------------------


def _conditions(seen: PodSeen, phase: str, statuses: Sequence[Obj], now: float) -> list[MutableObj]:
    containers = _containers_ready(seen, phase, statuses)
    fresh = [
        {"type": "PodReadyToStartContainers", "status": _bool(seen.sandbox is not None)},
        _initialized(seen, phase, statuses),
        {**_ready(seen, containers), "type": "Ready"},
        {**containers, "type": "ContainersReady"},
        {"type": "PodScheduled", "status": "True"},
    ]
    old = {c.get("type"): c for c in (seen.pod.get("status") or {}).get("conditions") or ()}
    if seen.verdict is not None and seen.verdict.reason == SHUT_DOWN.reason:
        fresh.append(
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "TerminationByKubelet",
                "message": SHUT_DOWN.message,
            }
        )
    made = [_dated(condition, old.get(condition["type"]), seen.pod, now) for condition in fresh]
    told = {condition["type"] for condition in fresh} | set(OWN_CONDITIONS)
    return made + [dict(c) for kind, c in old.items() if kind not in told]


def _bool(value: bool) -> str:
    return "True" if value else "False"


def _dated(condition: Mapping[str, str], old: Obj | None, pod: Obj, now: float) -> MutableObj:
    same = old is not None and old.get("status") == condition["status"]
    since = old.get("lastTransitionTime") if old is not None and same else None
    made: MutableObj = {
        "type": condition["type"],
        "status": condition["status"],
        "lastProbeTime": None,
        "lastTransitionTime": since or format_time(now),
    }
    generation = (pod.get("metadata") or {}).get("generation")
    if generation is not None:
        made["observedGeneration"] = generation
    for key in ("reason", "message"):
        if condition.get(key):
            made[key] = condition[key]
    return made


def _initialized(seen: PodSeen, phase: str, statuses: Sequence[Obj]) -> dict[str, str]:
    inits = list(podspec.init_containers(seen.pod))
    begun = _has_begun(seen)
    pending = [
        spec["name"]
        for spec, status in zip(inits, statuses[: len(inits)], strict=True)
        if not _is_passed(seen, spec, status)
    ]
    if pending and not begun:
        return {
            "type": "Initialized",
            "status": "False",
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: [{' '.join(pending)}]",
        }
    made = {"type": "Initialized", "status": "True"}
    if phase == "Succeeded":
        made["reason"] = "PodCompleted"
    return made


def _containers_ready(seen: PodSeen, phase: str, statuses: Sequence[Obj]) -> dict[str, str]:
    if phase == "Succeeded":
        return {"status": "False", "reason": "PodCompleted"}
    if phase == "Failed" or seen.verdict is not None:
        return {"status": "False", "reason": "PodFailed"}
    inits = len(podspec.init_containers(seen.pod))
    sidecars = {s["name"] for s in podspec.init_containers(seen.pod) if podspec.is_sidecar(s)}
    counted = [s for i, s in enumerate(statuses) if i >= inits or s["name"] in sidecars]
    unready = [s["name"] for s in counted if not s["ready"]]
    if not unready:
        return {"status": "True"}
    return {
        "status": "False",
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{' '.join(unready)}]",
    }


def _ready(seen: PodSeen, containers: Mapping[str, str]) -> dict[str, str]:
    if containers["status"] != "True":
        return dict(containers)
    old = {c.get("type"): c for c in (seen.pod.get("status") or {}).get("conditions") or ()}
    missing = []
    for gate in podspec.spec_of(seen.pod).get("readinessGates") or ():
        kind = gate.get("conditionType")
        if kind not in old:
            missing.append(
                f'corresponding condition of pod readiness gate "{kind}" does not exist.'
            )
        elif old[kind].get("status") != "True":
            value = old[kind].get("status")
            missing.append(f'the status of pod readiness gate "{kind}" is not "True", but {value}')
    if not missing:
        return {"status": "True"}
    return {
        "status": "False",
        "reason": "ReadinessGatesNotReady",
        "message": ", ".join(missing),
    }


def difference(old: Obj, new: Obj) -> MutableObj:
    """The merge patch that makes `old` into `new`; empty when they are equal."""
    patch: MutableObj = {key: None for key in old if key not in new}
    for key, value in new.items():
        before: Any = old.get(key)
        if before != value:
            patch[key] = value
    return patch


def can_wait(old: Obj, new: Obj) -> bool:
    """Whether what is new is only that the sandbox stands: the containers' news follow at once."""
    if old.get("phase") != "Pending" or new.get("phase") != "Pending" or not old.get("startTime"):
        return False
    return difference(old, new).keys() <= {"conditions", "podIP", "podIPs"}
