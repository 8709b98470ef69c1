"""The machine loses its power: all processes, mounts and run-time files are gone at once."""

from collections.abc import Iterator

import pytest

from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually

MEMBERS = ["db-0", "db-1", "db-2"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 2)


def test_all_pods_run_again_with_their_data_after_a_power_cut(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=faults.member_set())
    volumes = [{"name": "m", "emptyDir": {"medium": "Memory"}}]
    mounts = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    script = "test -e /m/made || exit 1; sleep 9999"
    first = {"name": "i", "image": "busybox", "imagePullPolicy": "IfNotPresent", **mounts}
    inits = [{**first, "command": ["touch", "/m/made"]}]
    ram = faults.pod_json("ram", script, volumes=volumes, container=mounts, initContainers=inits)
    cluster.kubectl("apply", "-f", "-", stdin=ram)
    faults.expect_ready(cluster, "db", MEMBERS)
    faults.expect_ready(cluster, "ram", ["ram"])
    before = cluster.pods("db")
    for member in MEMBERS:
        cluster.kubectl("exec", member, "--", "sh", "-c", f"echo {member} >/data/mine; sync")
    with faults.observed(cluster):
        faults.power_cut(cluster)
        faults.up(cluster)
        for member in MEMBERS:
            eventually(lambda m=member: faults.restarts(cluster, m) == 1, f"{member} again")  # type: ignore[misc]
        faults.expect_ready(cluster, "db", MEMBERS)
        faults.expect_ready(cluster, "ram", ["ram"])
    after = cluster.pods("db")
    for member in MEMBERS:
        assert cluster.kubectl("exec", member, "--", "cat", "/data/mine").strip() == member
        assert after[member]["metadata"]["uid"] == before[member]["metadata"]["uid"]
    assert "tmpfs" in cluster.kubectl("exec", "ram", "--", "mount")
    status = cluster.pods("ram")["ram"]["status"]
    assert [s["restartCount"] for s in status["initContainerStatuses"]] == [1]
    assert [s["restartCount"] for s in status["containerStatuses"]] == [1]
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_power_cut_in_the_middle_of_a_roll(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=faults.member_set())
    faults.expect_ready(cluster, "db", MEMBERS)
    with faults.observed(cluster):
        faults.roll(cluster, "db")
        eventually(lambda: len(cluster.ready("db")) < 3, "the roll has begun")
        faults.power_cut(cluster)
        faults.up(cluster)
        cluster.kubectl("rollout", "status", "sts/db", "--timeout=90s")
    faults.expect_ready(cluster, "db", MEMBERS)
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_records_torn_by_the_power_cut_do_not_keep_a_node_from_starting(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=faults.member_set(replicas=2, policy="Parallel"))
    faults.expect_ready(cluster, "db", MEMBERS[:2])
    faults.power_cut(cluster)
    torn = [*cluster.where.state.glob("nodes/*/pods/*/*.json")]
    torn += cluster.where.state.glob("nodes/*/pods/*/containers/*.json")
    assert len(torn) > 4
    for file in torn:
        file.write_bytes(b"")
    faults.up(cluster)
    eventually(lambda: len(cluster.ready("db")) == 2, "both members run again")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)
