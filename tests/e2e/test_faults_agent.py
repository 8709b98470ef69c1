"""SIGKILL of agents at any moment: nothing is lost, doubled or left behind."""

import time
from collections.abc import Callable, Iterator

import pytest

from petset.cli import process
from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually

SEED = 20261120
MEMBERS = ["db-0", "db-1", "db-2"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 2)


def kill_agents(cluster: Cluster, after_s: float = 0.0) -> None:
    """Kill every agent; `after_s` is the moment of the fault, not a wait for anything."""
    time.sleep(after_s)
    for agent in faults.agents(cluster):
        faults.kill_process(cluster, agent)


def sweep(cluster: Cluster, moments: int, step_s: float, act: Callable[[], object]) -> None:
    """`act`, and an agent's death a random moment later; several times, each time later."""
    rng = faults.seeded(SEED)
    for number in range(moments):
        act()
        kill_agents(cluster, (number + rng.random()) * step_s)
        faults.up(cluster)
        faults.expect_ready(cluster, "db", MEMBERS[: replicas(cluster)])


def replicas(cluster: Cluster) -> int:
    wanted: int = cluster.json("get", "sts", "db")["spec"]["replicas"]
    return wanted


def test_agents_killed_at_any_phase_of_a_start_leave_nothing(cluster: Cluster) -> None:
    rng = faults.seeded(SEED)
    manifest = faults.member_set(replicas=2, policy="Parallel")
    with faults.observed(cluster):
        for number in range(3):
            cluster.kubectl("apply", "-f", "-", stdin=manifest)
            kill_agents(cluster, (number + rng.random()) * 0.05)
            if number % 2:  # what was half made has to go without ever having been whole
                cluster.kubectl("delete", "sts", "db", "--wait=false")
            faults.up(cluster)
            if not number % 2:
                faults.expect_ready(cluster, "db", MEMBERS[:2])
            faults.delete_all(cluster)
            faults.expect_no_traces(cluster)


def test_running_members_keep_their_containers_and_stay_ready(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1, "timeoutSeconds": 20}
    manifest = faults.member_set(readinessProbe=probe, livenessProbe=probe)
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    faults.expect_ready(cluster, "db", MEMBERS)
    before = cluster.pods("db")
    with faults.observed(cluster):
        for _ in range(2):
            kill_agents(cluster)
            faults.up(cluster)
    after = cluster.pods("db")
    assert faults.identity(after) == faults.identity(before)
    for name, pod in after.items():
        assert pod["status"]["conditions"] == before[name]["status"]["conditions"]
    faults.delete_all(cluster)


def test_agents_killed_while_members_are_replaced(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=faults.member_set())
    faults.expect_ready(cluster, "db", MEMBERS)
    with faults.observed(cluster) as watched:
        sweep(
            cluster,
            2,
            0.15,
            lambda: cluster.kubectl("delete", "pod", "db-0", "db-2", "--wait=false"),
        )
    assert len(watched.seen["default/db-0"]) >= 3  # the first one, and one after each deletion
    faults.delete_all(cluster)


def test_agents_killed_during_scaling_and_a_roll(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=faults.member_set())
    faults.expect_ready(cluster, "db", MEMBERS)
    with faults.observed(cluster):
        sweep(cluster, 1, 0.1, lambda: cluster.kubectl("scale", "sts/db", "--replicas=1"))
        sweep(cluster, 1, 0.4, lambda: cluster.kubectl("scale", "sts/db", "--replicas=3"))
        sweep(cluster, 2, 0.3, lambda: faults.roll(cluster, "db"))
        cluster.kubectl("rollout", "status", "sts/db", "--timeout=60s")
    faults.expect_ready(cluster, "db", MEMBERS)
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_a_failing_probe_restarts_the_container_across_an_agent_killed(cluster: Cluster) -> None:
    probe = {
        "exec": {"command": ["test", "!", "-e", "/ill"]},
        "periodSeconds": 1,
        "timeoutSeconds": 20,
        "failureThreshold": 1,
    }
    script = "trap 'exit 0' TERM; sleep 9999 & wait"
    manifest = faults.pod_json("probed", script, container={"livenessProbe": probe})
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    faults.expect_ready(cluster, "probed", ["probed"])
    with faults.observed(cluster):
        cluster.kubectl("exec", "probed", "--", "touch", "/ill")
        kill_agents(cluster, 0.9)
        faults.up(cluster)
        eventually(lambda: faults.restarts(cluster, "probed") >= 1, "restarted by its probe")
        faults.expect_ready(cluster, "probed", ["probed"])
    cluster.kubectl("delete", "pod", "probed")
    faults.expect_no_traces(cluster)


def test_an_agent_killed_twice_while_it_stops_a_pod(cluster: Cluster) -> None:
    script = "trap 'while [ ! -e /go ]; do sleep 0.05; done; exit 0' TERM; sleep 9999 & wait"
    cluster.kubectl("apply", "-f", "-", stdin=faults.pod_json("slow", script, grace_s=60))
    faults.expect_ready(cluster, "slow", ["slow"])
    record = faults.record_of(cluster, cluster.pods("slow")["slow"])
    main = process.Process(record["pid"], record["ticks"])
    cluster.kubectl("delete", "pod", "slow", "--wait=false")
    for _ in range(2):
        kill_agents(cluster, 0.2)
        faults.up(cluster)
        assert "slow" in cluster.pods("slow")
        assert main.alive
    faults.touch_in(record, "/go")
    eventually(lambda: not cluster.pods("slow"), "the pod gone")
    assert not main.alive
    faults.expect_no_traces(cluster)
