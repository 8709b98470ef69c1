"""Nodes that are lost, come back, are removed, or come back too late."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually

MEMBERS = ["db-0", "db-1", "db-2"]
SHORT = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute",
     "tolerationSeconds": 1}
    for key in ("not-ready", "unreachable")
]  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 3)


def start_members(cluster: Cluster, **spec: Any) -> dict[str, Any]:
    """Members on different nodes, Ready; the pods by name."""
    manifest = json.loads(faults.member_set())
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "db"}},
    }
    manifest["spec"]["template"]["spec"].update({"topologySpreadConstraints": [spread], **spec})
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    faults.expect_ready(cluster, "db", MEMBERS)
    for member in MEMBERS:
        faults.noted(cluster, member, 1)
    return cluster.pods("db")


def node_kill(cluster: Cluster, node: str) -> None:
    cluster.petset("node", "kill", node, "--name", cluster.name)


def test_killed_node_that_comes_back_has_the_same_pods(cluster: Cluster) -> None:
    before = start_members(cluster)
    node = before["db-1"]["spec"]["nodeName"]
    with faults.observed(cluster):
        node_kill(cluster, node)
        faults.up(cluster)
        eventually(lambda: faults.restarts(cluster, "db-1") == 1, "db-1 runs again")
        faults.expect_ready(cluster, "db", MEMBERS)
    after = cluster.pods("db")
    for name in MEMBERS:
        assert after[name]["metadata"]["uid"] == before[name]["metadata"]["uid"]
        assert after[name]["spec"]["nodeName"] == before[name]["spec"]["nodeName"]
    faults.noted(cluster, "db-1", 2)
    eventually(
        lambda: "SandboxChanged" in cluster.kubectl("events", "--for", "pod/db-1"),
        "it is told that a node that lost its power made its sandboxes anew",
    )
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_force_deleted_pod_of_a_lost_agent_does_not_write_beside_its_successor(
    cluster: Cluster,
) -> None:
    before = start_members(cluster)
    pod = before["db-2"]
    node = pod["spec"]["nodeName"]
    record = faults.record_of(cluster, pod)
    with faults.observed(cluster):
        faults.kill_process(cluster, f"agent-{node}")
        cluster.kubectl("cordon", node)
        cluster.kubectl("delete", "pod", "db-2", "--force", "--grace-period=0")
        eventually(lambda: waits_for_volume(cluster, "db-2"), "the successor waits for the volume")
        assert faults.lives(record)
        faults.up(cluster)
        faults.expect_ready(cluster, "db", MEMBERS)
    assert not faults.lives(record)
    assert cluster.pods("db")["db-2"]["spec"]["nodeName"] != node
    faults.noted(cluster, "db-2", 2)
    cluster.kubectl("uncordon", node)
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def waits_for_volume(cluster: Cluster, name: str) -> bool:
    events = cluster.json("get", "events", "--field-selector", f"involvedObject.name={name}")
    return any("still in use by pod" in e["message"] for e in events["items"])


def test_lost_node_keeps_its_pod_until_it_is_removed(cluster: Cluster) -> None:
    before = start_members(cluster, tolerations=SHORT)
    pod = before["db-1"]
    node = pod["spec"]["nodeName"]
    with faults.observed(cluster) as watched:
        node_kill(cluster, node)
        # 40 s of silence, and whatever a busy machine adds to that
        eventually(lambda: not node_ready(cluster, node), f"{node} NotReady", 100)
        eventually(lambda: "deletionTimestamp" in db1(cluster)["metadata"], "db-1 leaves")
        taints = cluster.json("get", "node", node)["spec"]["taints"]
        assert {"node.kubernetes.io/unreachable"} == {t["key"] for t in taints}
        assert {"NoExecute", "NoSchedule"} == {t["effect"] for t in taints}
        assert "Terminating" in cluster.kubectl("get", "pod", "db-1")
        assert db1(cluster)["metadata"]["uid"] == pod["metadata"]["uid"]
        assert len(watched_uids(cluster)) == 3
        cluster.petset("node", "remove", node, "--name", cluster.name)
        on_node = cluster.json("get", "pods", f"--field-selector=spec.nodeName={node}")
        assert not on_node["items"], "nobody is told that its pods are Ready"
        faults.expect_ready(cluster, "db", MEMBERS)
    assert len(watched.seen["default/db-1"]) == 2
    assert db1(cluster)["spec"]["nodeName"] != node
    faults.noted(cluster, "db-1", 2)
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)
    cluster.petset("node", "add", node, "--name", cluster.name)


def db1(cluster: Cluster) -> Any:
    return cluster.pods("db")["db-1"]


def watched_uids(cluster: Cluster) -> set[str]:
    return {p["metadata"]["uid"] for p in cluster.pods("db").values()}


def node_ready(cluster: Cluster, node: str) -> bool:
    conditions = cluster.json("get", "node", node)["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_node_whose_pods_were_force_deleted_comes_back_empty(cluster: Cluster) -> None:
    before = start_members(cluster)
    node = before["db-0"]["spec"]["nodeName"]
    with faults.observed(cluster):
        node_kill(cluster, node)
        cluster.kubectl("cordon", node)
        cluster.kubectl("delete", "pod", "db-0", "--force", "--grace-period=0")
        faults.expect_ready(cluster, "db", MEMBERS)
        assert cluster.pods("db")["db-0"]["spec"]["nodeName"] != node
        faults.up(cluster)
        eventually(lambda: not faults.kept_pods(cluster, node), "the old pod is cleared away")
    faults.expect_ready(cluster, "db", MEMBERS)
    cluster.kubectl("uncordon", node)
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)
