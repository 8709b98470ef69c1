"""Containers and their conmons that die: what is told, what is started again, and when."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 1)


def status_of(cluster: Cluster, name: str) -> Any:
    return faults.container_status(cluster.json("get", "pod", name))


def backing_off(cluster: Cluster, name: str) -> Any:
    """The pod, while its container waits to be started again."""
    pod = cluster.json("get", "pod", name)
    waiting = faults.container_status(pod)["state"].get("waiting") or {}
    return pod if waiting.get("reason") == "CrashLoopBackOff" else None


def sandbox_of(pod: Any) -> str:
    address: str = pod["status"]["podIP"]
    return address


def apply_pod(cluster: Cluster, name: str, script: str, **spec: Any) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=faults.pod_json(name, script, **spec))


def phase_is(cluster: Cluster, name: str, phase: str) -> None:
    def so() -> bool:
        found: str = cluster.json("get", "pod", name)["status"]["phase"]
        return found == phase

    eventually(so, f"{name} {phase}")


def remove(cluster: Cluster, *names: str) -> None:
    cluster.kubectl("delete", "pod", *names, "--grace-period=1")
    faults.expect_no_traces(cluster)


def test_main_process_killed_restarts_in_the_same_sandbox(cluster: Cluster) -> None:
    apply_pod(cluster, "main", "sleep 9999")
    faults.expect_ready(cluster, "main", ["main"])
    pod = cluster.pods("main")["main"]
    with faults.observed(cluster):
        os.kill(faults.record_of(cluster, pod)["pid"], signal.SIGKILL)
        eventually(lambda: faults.restarts(cluster, "main") == 1, "restarted once")
        faults.expect_ready(cluster, "main", ["main"])
    after = cluster.pods("main")["main"]
    status = faults.container_status(after)
    ended = status["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")
    assert ended["containerID"] == faults.container_status(pod)["containerID"]
    assert status["containerID"] != ended["containerID"]
    assert sandbox_of(after) == sandbox_of(pod)
    remove(cluster, "main")


def test_conmon_killed_takes_its_container_down_before_the_next_one_runs(cluster: Cluster) -> None:
    script = "(trap '' TERM HUP; while :; do date +%s%N >/data/beat; sleep 0.01; done) & sleep 9999"
    volumes = [{"name": "data", "emptyDir": {}}]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    apply_pod(cluster, "orphan", script, volumes=volumes, container=mounts)
    faults.expect_ready(cluster, "orphan", ["orphan"])
    first = faults.record_of(cluster, cluster.pods("orphan")["orphan"])
    eventually(lambda: len(faults.processes_in(first)) >= 3, "all that the script starts")
    inner = faults.processes_in(first)
    with faults.observed(cluster):
        os.kill(first["conmon_pid"], signal.SIGKILL)
        eventually(lambda: faults.restarts(cluster, "orphan") == 1, "restarted once")
        assert not any(process.alive for process in inner)
        faults.expect_ready(cluster, "orphan", ["orphan"])
    ended = status_of(cluster, "orphan")["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")
    remove(cluster, "orphan")


def test_conmon_and_agent_killed_together(cluster: Cluster) -> None:
    apply_pod(cluster, "both", "sleep 9999")
    faults.expect_ready(cluster, "both", ["both"])
    first = faults.record_of(cluster, cluster.pods("both")["both"])
    with faults.observed(cluster):
        faults.kill_process(cluster, "agent-node-1")
        os.kill(first["conmon_pid"], signal.SIGKILL)
        assert faults.lives(first)
        faults.up(cluster)
        eventually(lambda: faults.restarts(cluster, "both") == 1, "restarted once")
    assert not faults.lives(first)
    remove(cluster, "both")


def test_conmon_that_dies_with_the_container_already_dead(cluster: Cluster) -> None:
    apply_pod(cluster, "gone", "sleep 9999", restartPolicy="Never")
    faults.expect_ready(cluster, "gone", ["gone"])
    first = faults.record_of(cluster, cluster.pods("gone")["gone"])
    faults.kill_process(cluster, "agent-node-1")
    os.kill(first["conmon_pid"], signal.SIGSTOP)
    os.kill(first["pid"], signal.SIGKILL)
    os.kill(first["conmon_pid"], signal.SIGKILL)
    faults.up(cluster)
    phase_is(cluster, "gone", "Failed")
    remove(cluster, "gone")


def test_memory_limit_kills_and_says_so(cluster: Cluster) -> None:
    limits = {"resources": {"limits": {"memory": "16Mi"}}}
    script = "tail /dev/zero"
    apply_pod(cluster, "greedy", script, restartPolicy="Never", container=limits)
    phase_is(cluster, "greedy", "Failed")
    ended = status_of(cluster, "greedy")["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    assert "OOMKilled" in cluster.kubectl("get", "pod", "greedy")
    remove(cluster, "greedy")


@pytest.mark.parametrize(
    ("policy", "code", "phase", "word", "reason"),
    [
        ("Never", 0, "Succeeded", "Completed", "Completed"),
        ("Never", 1, "Failed", "Error", "Error"),
        ("OnFailure", 0, "Succeeded", "Completed", "Completed"),
    ],
)
def test_container_that_ends_for_good(
    cluster: Cluster, policy: str, code: int, phase: str, word: str, reason: str
) -> None:
    apply_pod(cluster, "job", f"exit {code}", restartPolicy=policy)
    phase_is(cluster, "job", phase)
    ended = status_of(cluster, "job")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, reason)
    assert f" {word} " in cluster.kubectl("get", "pod", "job")
    assert faults.restarts(cluster, "job") == 0
    remove(cluster, "job")


def test_crash_loop_backs_off_and_says_so(cluster: Cluster) -> None:
    for name, policy, code in (("always", "Always", 0), ("failing", "OnFailure", 1)):
        apply_pod(cluster, name, f"exit {code}", restartPolicy=policy)
        pod = faults.within(30, lambda n=name: backing_off(cluster, n), f"{name} waits")  # type: ignore[misc]
        status = faults.container_status(pod)
        told = status["state"]["waiting"]["message"]
        assert told.startswith("back-off 10s restarting failed container=c pod=")
        assert status["restartCount"] == 1  # the first restart comes at once
        assert pod["status"]["phase"] == "Running"
        eventually(
            lambda n=name: "CrashLoopBackOff" in cluster.kubectl("get", "pod", n),  # type: ignore[misc]
            "the table says so",
        )
    pause_s = second_pause_s(cluster, "always")
    assert 9.5 <= pause_s < 20, "the next one is of 20 s"
    remove(cluster, "always", "failing")


def second_pause_s(cluster: Cluster, name: str) -> float:
    """Seconds from the end of a container's second run to the start of its third."""
    pod = cluster.json("get", "pod", name)

    def runs() -> Any:
        found = {int(run["attempt"]): run for run in faults.runs_of(cluster, pod)}
        return found if 2 in found and found[2]["started_at"] else None

    found = faults.within(40, runs, "the second restart")
    pause_s: float = found[2]["started_at"] - found[1]["finished_at"]
    return pause_s


def test_agent_restart_does_not_shorten_a_back_off(cluster: Cluster) -> None:
    apply_pod(cluster, "loop", "exit 1")
    eventually(lambda: faults.restarts(cluster, "loop") == 1, "restarted once")
    first = faults.runs_of(cluster, cluster.json("get", "pod", "loop"))[-1]
    assert first["attempt"] == 1
    faults.kill_process(cluster, "agent-node-1")
    faults.up(cluster)
    assert second_pause_s(cluster, "loop") >= 9.5
    remove(cluster, "loop")
