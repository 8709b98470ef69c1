"""Nodes that are drained or declared out of service, and pods that a node refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually

MEMBERS = ["db-0", "db-1"]
OUT = "node.kubernetes.io/out-of-service"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 3)


def apply(cluster: Cluster, manifest: Any) -> None:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    cluster.kubectl("apply", "-f", "-", stdin=text)


def members(cluster: Cluster, **spec: Any) -> dict[str, Any]:
    """Two members on two nodes, Ready; the pods by name."""
    manifest = json.loads(faults.member_set(replicas=2, policy="Parallel"))
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app": "db"}},
    }
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    manifest["spec"]["template"]["spec"].update({"affinity": apart, **spec})
    apply(cluster, manifest)
    faults.expect_ready(cluster, "db", MEMBERS)
    for member in MEMBERS:
        faults.noted(cluster, member, 1)
    return cluster.pods("db")


def phase(cluster: Cluster, name: str) -> tuple[str, str, str]:
    status = cluster.json("get", "pod", name)["status"]
    return status.get("phase", ""), status.get("reason", ""), status.get("message", "")


def test_a_drain_waits_for_the_budget_and_the_member_moves_with_its_data(cluster: Cluster) -> None:
    before = members(cluster)
    node = before["db-1"]["spec"]["nodeName"]
    cluster.kubectl("create", "pdb", "db", "--selector=app=db", "--min-available=2")
    eventually(lambda: budget(cluster).get("expectedPods") == 2, "the budget knows its pods")
    drain = ("drain", node, "--ignore-daemonsets", "--force")
    refused = cluster.kubectl(*drain, "--timeout=2s", check=False)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
    assert cluster.pods("db")["db-1"]["metadata"]["uid"] == before["db-1"]["metadata"]["uid"]
    cluster.kubectl("patch", "pdb", "db", "-p", '{"spec":{"minAvailable":1}}')
    with faults.observed(cluster):
        cluster.kubectl(*drain, "--timeout=60s")
        faults.expect_ready(cluster, "db", MEMBERS)
    assert cluster.pods("db")["db-1"]["spec"]["nodeName"] != node
    faults.noted(cluster, "db-1", 2)
    cluster.kubectl("uncordon", node)
    cluster.kubectl("delete", "pdb", "db")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def budget(cluster: Cluster) -> Any:
    return cluster.json("get", "pdb", "db").get("status", {})


def test_a_lost_node_that_is_declared_out_of_service_gives_its_member_up(cluster: Cluster) -> None:
    before = members(cluster)
    node = before["db-1"]["spec"]["nodeName"]
    cluster.petset("node", "kill", node, "--name", cluster.name)
    cluster.kubectl("cordon", node)
    cluster.kubectl("delete", "pod", "db-1", "--wait=false")
    silent = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
    told = json.dumps({"status": {"conditions": [silent]}})  # no wait for the lease to run out
    cluster.kubectl("patch", "node", node, "--subresource=status", "-p", told)
    assert not is_ready(cluster, node)
    assert cluster.pods("db")["db-1"]["metadata"]["uid"] == before["db-1"]["metadata"]["uid"]
    cluster.kubectl("taint", "node", node, f"{OUT}=nodeshutdown:NoExecute")
    faults.expect_ready(cluster, "db", MEMBERS)
    assert cluster.pods("db")["db-1"]["spec"]["nodeName"] != node
    faults.up(cluster)
    eventually(lambda: is_ready(cluster, node), f"{node} Ready", 60)
    eventually(lambda: not faults.kept_pods(cluster, node), "the old pod is cleared away")
    cluster.kubectl("taint", "node", node, f"{OUT}-")
    cluster.kubectl("uncordon", node)
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def is_ready(cluster: Cluster, node: str) -> bool:
    conditions = cluster.json("get", "node", node)["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_a_member_whose_port_is_taken_fails_and_is_made_anew_until_it_is_free(
    cluster: Cluster,
) -> None:
    node = faults.node_names(cluster)[0]
    port: Any = {"ports": [{"containerPort": 80, "hostPort": 18080}]}
    apply(cluster, faults.pod_json("holder", "sleep 9999", nodeName=node, container=port))
    faults.expect_ready(cluster, "holder", ["holder"])
    manifest = json.loads(faults.member_set("own", 1, **port))
    manifest["spec"]["template"]["spec"]["nodeName"] = node
    apply(cluster, manifest)

    def refused() -> bool:
        listed = cluster.json("get", "events", "--field-selector", "involvedObject.name=own-0")
        return any(
            e["reason"] == "NodePorts"
            and e["message"]
            == "Predicate NodePorts failed: node(s) didn't have free ports "
            "for the requested pod ports"
            for e in listed["items"]
        )

    eventually(refused, "own-0 is refused")
    assert not cluster.ready("own")
    cluster.kubectl("delete", "pod", "holder")
    faults.expect_ready(cluster, "own", ["own-0"])
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_a_node_refuses_what_it_has_no_room_or_no_labels_for(cluster: Cluster) -> None:
    node = faults.node_names(cluster)[0]
    huge = {"resources": {"requests": {"cpu": "1000"}}}
    apply(cluster, faults.pod_json("huge", "sleep 9", nodeName=node, container=huge))
    picky: Any = {"nodeName": node, "nodeSelector": {"petset.dev/test": "none"}}
    apply(cluster, faults.pod_json("picky", "sleep 9", **picky))
    eventually(lambda: phase(cluster, "huge")[:2] == ("Failed", "OutOfcpu"), "huge is refused")
    eventually(
        lambda: phase(cluster, "picky")[:2] == ("Failed", "NodeAffinity"), "picky is refused"
    )
    assert phase(cluster, "huge")[2].startswith(
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: "
    )
    assert "OutOfcpu" in cluster.kubectl("get", "pods")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_a_node_that_is_stopped_lets_its_member_end_and_gives_it_to_another(
    cluster: Cluster,
) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "sleep 1; echo hook >>/data/log"]}}}
    manifest = json.loads(faults.member_set("slow", 1, grace_s=10))
    template = manifest["spec"]["template"]["spec"]
    template["containers"][0]["lifecycle"] = hook
    apply(cluster, manifest)
    faults.expect_ready(cluster, "slow", ["slow-0"])
    faults.noted(cluster, "slow-0", 1)
    node = cluster.pods("slow")["slow-0"]["spec"]["nodeName"]
    with faults.observed(cluster):
        told = cluster.petset("node", "stop", node, "--name", cluster.name)
        assert "its pods have ended" in told
        ready = cluster.json("get", "node", node)["status"]["conditions"]
        assert any(c["message"] == "node is shutting down" for c in ready)
        faults.expect_ready(cluster, "slow", ["slow-0"])
    assert cluster.pods("slow")["slow-0"]["spec"]["nodeName"] != node
    lines = faults.noted(cluster, "slow-0", 3)
    assert [line.split()[0] for line in lines] == ["up", "hook", "up"]
    faults.up(cluster)
    eventually(lambda: is_ready(cluster, node), f"{node} Ready")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)
