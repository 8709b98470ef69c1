"""A pod's status in the kubelet's words."""

from typing import Any

from petset.api.meta import condition_of
from petset.node import status
from petset.node.runtime.base import Sandbox
from petset.node.seen import SHUT_DOWN, Verdict, Waiting
from tests.unit.node.pods import NOW, container, ended, pod, run, seen

HOST = status.Host("172.29.0.10", "crun")


def made(world: Any, now: float = NOW + 5) -> Any:
    return status.make(world, HOST, now)


def state(found: Any) -> Any:
    return found["containerStatuses"][0]["state"]


def test_a_new_pod_is_pending_and_creating() -> None:
    found = made(seen(sandbox=None, volumes="none"))
    assert found["phase"] == "Pending"
    assert state(found) == {"waiting": {"reason": "ContainerCreating"}}
    assert "podIP" not in found
    assert found["hostIPs"] == [{"ip": "172.29.0.10"}]
    assert found["qosClass"] == "BestEffort"
    assert [c["type"] for c in found["conditions"]] == list(status.OWN_CONDITIONS)


def test_a_ready_pod() -> None:
    found = made(seen(containers={"c": container(run())}))
    assert found["phase"] == "Running"
    assert found["podIPs"] == [{"ip": "10.128.0.5"}]
    one = found["containerStatuses"][0]
    assert one["containerID"] == "crun://c-0"
    assert one["image"] == "docker.io/library/nginx:latest"
    assert one["imageID"] == "sha256:1"
    assert (one["ready"], one["started"], one["restartCount"]) == (True, True, 0)
    for kind in status.OWN_CONDITIONS:
        condition = condition_of({"status": found}, kind)
        assert condition is not None
        assert condition["status"] == "True"
        assert condition["observedGeneration"] == 1


def test_an_unready_container_is_named() -> None:
    found = made(seen(containers={"c": container(run(), ready=False)}))
    condition = condition_of({"status": found}, "Ready")
    assert condition is not None
    assert condition["reason"] == "ContainersNotReady"
    assert condition["message"] == "containers with unready status: [c]"


def test_crash_loop_tells_its_pause() -> None:
    world = seen(containers={"c": container(ended(1), ended(2, attempt=3, backoff=3))})
    found = made(world, NOW + 6)
    assert state(found)["waiting"] == {
        "reason": "CrashLoopBackOff",
        "message": "back-off 40s restarting failed container=c pod=web-0_default(u1)",
    }
    one = found["containerStatuses"][0]
    assert one["lastState"]["terminated"]["exitCode"] == 2
    assert one["restartCount"] == 3
    assert found["phase"] == "Running"


def test_long_pauses_are_told_in_minutes() -> None:
    found = made(seen(containers={"c": container(ended(1, attempt=9, backoff=9))}), NOW + 6)
    assert state(found)["waiting"]["message"].startswith("back-off 5m0s restarting")


def test_how_containers_ended() -> None:
    cases = [
        (ended(0), "Completed"),
        (ended(2), "Error"),
        (ended(137, oom_killed=True), "OOMKilled"),
        (ended(137, lost=True), "ContainerStatusUnknown"),
        (ended(128, error="no such program"), "StartError"),
    ]
    for one, reason in cases:
        world = seen(pod(restartPolicy="Never"), containers={"c": container(one)})
        assert state(made(world))["terminated"]["reason"] == reason


def test_phases_of_pods_that_end() -> None:
    for code, phase in ((0, "Succeeded"), (1, "Failed")):
        world = seen(pod(restartPolicy="Never"), containers={"c": container(ended(code))})
        found = made(world)
        assert found["phase"] == phase
        ready = condition_of({"status": found}, "Ready")
        assert ready is not None
        assert ready["reason"] == ("PodCompleted" if code == 0 else "PodFailed")


def test_on_failure_stays_running_until_it_succeeds() -> None:
    world = seen(pod(restartPolicy="OnFailure"), containers={"c": container(ended(1))})
    assert made(world)["phase"] == "Running"


def test_init_containers_hold_the_others() -> None:
    world = seen(
        pod(initContainers=[{"name": "i", "image": "x"}]),
        containers={"i": container(run("i"))},
    )
    found = made(world)
    assert found["phase"] == "Pending"
    assert state(found) == {"waiting": {"reason": "PodInitializing"}}
    condition = condition_of({"status": found}, "Initialized")
    assert condition is not None
    assert condition["message"] == "containers with incomplete status: [i]"


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    world = seen(
        pod(restartPolicy="Never", initContainers=[{"name": "i", "image": "x"}]),
        containers={"i": container(ended(1, name="i"))},
    )
    assert made(world)["phase"] == "Failed"


def test_a_sidecar_counts_for_readiness() -> None:
    spec = pod(initContainers=[{"name": "s", "image": "x", "restartPolicy": "Always"}])
    up = {"s": container(run("s"), ready=False), "c": container(run())}
    condition = condition_of({"status": made(seen(spec, containers=up))}, "ContainersReady")
    assert condition is not None
    assert condition["message"] == "containers with unready status: [s]"


def test_image_errors_become_back_off() -> None:
    waiting = Waiting("ErrImagePull", "no", NOW + 99, ("ImagePullBackOff", "later"), NOW + 6)
    world = seen(containers={"c": container(waiting=waiting)})
    assert state(made(world, NOW + 5))["waiting"]["reason"] == "ErrImagePull"
    assert state(made(world, NOW + 6))["waiting"] == {
        "reason": "ImagePullBackOff",
        "message": "later",
    }


def test_a_pod_that_is_judged_has_not_failed_while_anything_of_it_runs() -> None:
    verdict = Verdict("DeadlineExceeded", "too long")
    going = made(seen(verdict=verdict, containers={"c": container(run())}))
    assert going["phase"] == "Running"
    assert "reason" not in going
    ready = next(c for c in going["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "False"
    gone = made(seen(verdict=verdict, containers={"c": container(ended(137))}))
    assert (gone["phase"], gone["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_pod_whose_node_is_stopped_says_so() -> None:
    found = made(seen(verdict=SHUT_DOWN, containers={"c": container(ended(0))}))
    assert (found["phase"], found["reason"]) == ("Failed", "Terminated")
    target = next(c for c in found["conditions"] if c["type"] == "DisruptionTarget")
    assert (target["status"], target["reason"]) == ("True", "TerminationByKubelet")


def test_a_verdict_fails_the_pod() -> None:
    found = made(seen(verdict=Verdict("NodePorts", "taken")))
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "NodePorts", "taken")


def test_readiness_gates_are_waited_for() -> None:
    gated = pod(readinessGates=[{"conditionType": "x/y"}])
    up = {"c": container(run())}
    condition = condition_of({"status": made(seen(gated, containers=up))}, "Ready")
    assert condition is not None
    assert condition["reason"] == "ReadinessGatesNotReady"
    gated["status"] = {"conditions": [{"type": "x/y", "status": "True"}]}
    found = made(seen(gated, containers=up))
    condition = condition_of({"status": found}, "Ready")
    assert condition is not None
    assert condition["status"] == "True"
    assert condition_of({"status": found}, "x/y") == {"type": "x/y", "status": "True"}


def test_transition_times_are_kept_while_nothing_changes() -> None:
    up = {"c": container(run())}
    first = made(seen(containers=up), NOW + 1)
    again = made(seen(pod(status=first), containers=up), NOW + 99)
    assert again == first
    down = made(seen(pod(status=first), containers={"c": container(run(), ready=False)}), NOW + 99)
    ready = condition_of({"status": down}, "Ready")
    scheduled = condition_of({"status": down}, "PodScheduled")
    assert ready is not None
    assert scheduled is not None
    assert ready["lastTransitionTime"] > scheduled["lastTransitionTime"]


def test_difference_is_a_merge_patch() -> None:
    old = {"a": 1, "b": [1], "c": 3}
    new = {"a": 1, "b": [2], "d": 4}
    assert status.difference(old, new) == {"b": [2], "c": None, "d": 4}
    assert status.difference(new, new) == {}


def test_that_the_sandbox_stands_can_wait_for_the_containers_news() -> None:
    before = made(seen(sandbox=None))
    assert not status.can_wait({"phase": "Pending"}, before)  # that the node has the pod is told
    stands = made(seen(pod(status=before)))
    assert stands["podIP"]
    assert status.can_wait(before, stands)
    runs = made(seen(pod(status=before), containers={"c": container(run())}))
    assert not status.can_wait(before, runs)
    failed = made(seen(pod(status=before), verdict=Verdict("NodePorts", "taken")))
    assert not status.can_wait(before, failed)


def test_a_pod_in_a_new_sandbox_is_initialised_again() -> None:
    both = pod(initContainers=[{"name": "i"}])
    old = {"i": container(ended(name="i")), "c": container(ended(137, lost=True))}
    found = made(seen(both, sandbox=Sandbox("u1", "10.128.0.5", "new"), containers=old))
    assert found["phase"] == "Pending"
    initialised = condition_of({"status": found}, "Initialized")
    assert initialised is not None
    assert initialised["message"] == "containers with incomplete status: [i]"
    assert state(found) == {"waiting": {"reason": "PodInitializing"}}
    assert found["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    init = found["initContainerStatuses"][0]
    assert (init["ready"], init["state"]["waiting"]["reason"]) == (False, "PodInitializing")
