"""Volumes made by hand, released ones, and claims for one pod."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually
from tests.e2e.faults import reasons

WRITE = "echo here >>/data/log; sleep 9999"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 2)


def apply(cluster: Cluster, manifest: Any) -> None:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    cluster.kubectl("apply", "-f", "-", stdin=text)


def claim(name: str, mode: str = "ReadWriteOnce", **spec: Any) -> dict[str, Any]:
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def volume(name: str, path: Path, **spec: Any) -> dict[str, Any]:
    spec = {
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(path), "type": "DirectoryOrCreate"},
        **spec,
    }
    kind = {"apiVersion": "v1", "kind": "PersistentVolume"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def start(cluster: Cluster, name: str, claim_name: str, script: str = WRITE) -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    apply(cluster, faults.pod_json(name, script, volumes=volumes, container=mounts))


def phase(cluster: Cluster, kind: str, name: str) -> str:
    return str(cluster.json("get", kind, name).get("status", {}).get("phase", ""))


def test_a_volume_made_by_hand_keeps_its_data_through_release_and_a_new_claim(
    cluster: Cluster, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    reference = {"namespace": "default", "name": "first"}
    apply(cluster, volume("hand", disk, claimRef=reference))
    apply(cluster, claim("first"))  # of the default class: that the volume names it is enough
    start(cluster, "one", "first")
    faults.expect_ready(cluster, "one", ["one"])
    eventually((disk / "log").exists, "what the first has written")
    assert cluster.json("get", "pvc", "first")["spec"]["volumeName"] == "hand"
    cluster.kubectl("delete", "pvc", "first", "--wait=false")
    assert "Terminating" in cluster.kubectl("get", "pvc", "first")
    cluster.kubectl("delete", "pod", "one")
    eventually(lambda: phase(cluster, "pv", "hand") == "Released", "hand Released")
    apply(cluster, claim("second", volumeName="hand", storageClassName=""))
    eventually(lambda: "FailedBinding" in reasons(cluster, "second"), "second waits")
    cluster.kubectl("patch", "pv", "hand", "-p", '{"spec":{"claimRef":null}}')
    eventually(lambda: phase(cluster, "pvc", "second") == "Bound", "second Bound")
    start(cluster, "two", "second")
    faults.expect_ready(cluster, "two", ["two"])
    eventually(lambda: (disk / "log").read_text() == "here\nhere\n", "what both have written")
    cluster.kubectl("delete", "pv", "hand", "--wait=false")
    assert phase(cluster, "pv", "hand") == "Bound"
    cluster.kubectl("delete", "pod/two", "pvc/second")
    eventually(lambda: not cluster.json("get", "pv")["items"], "hand is gone")
    assert (disk / "log").exists()
    faults.expect_no_traces(cluster)


def test_a_claim_for_one_pod_is_handed_on(cluster: Cluster) -> None:
    apply(cluster, claim("single", "ReadWriteOncePod"))
    start(cluster, "one", "single")
    faults.expect_ready(cluster, "one", ["one"])
    start(cluster, "two", "single")

    def refused() -> bool:
        conditions = cluster.json("get", "pod", "two")["status"].get("conditions", [])
        return any(
            "2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod "
            "access mode" in c.get("message", "")
            for c in conditions
        )

    eventually(refused, "two waits")
    cluster.kubectl("delete", "pod", "one")
    faults.expect_ready(cluster, "two", ["two"])
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_claims_and_data_outlive_a_set_that_is_scaled_down_and_deleted(cluster: Cluster) -> None:
    manifest = faults.member_set("db", 2, policy="Parallel")
    apply(cluster, manifest)
    faults.expect_ready(cluster, "db", ["db-0", "db-1"])
    for name in ("db-0", "db-1"):
        faults.noted(cluster, name, 1)
    cluster.kubectl("scale", "sts", "db", "--replicas=1")
    eventually(lambda: sorted(cluster.pods("db")) == ["db-0"], "db-1 is gone")
    cluster.kubectl("delete", "sts", "db")
    eventually(lambda: not cluster.pods("db"), "db-0 is gone")
    kept = {c["metadata"]["name"] for c in cluster.json("get", "pvc")["items"]}
    assert kept == {"data-db-0", "data-db-1"}
    apply(cluster, manifest)
    faults.expect_ready(cluster, "db", ["db-0", "db-1"])
    for name in ("db-0", "db-1"):
        faults.noted(cluster, name, 2)
    cluster.kubectl(
        "patch", "pvc", "data-db-0", "-p", '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}'
    )
    eventually(lambda: capacity(cluster, "data-db-0") == "2Gi", "data-db-0 has grown")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def capacity(cluster: Cluster, name: str) -> str:
    status = cluster.json("get", "pvc", name)["status"]
    return str(status["capacity"]["storage"])


def test_a_provisioner_that_fails_on_a_node_leaves_the_choice_to_the_scheduler(
    cluster: Cluster,
) -> None:
    blocked = cluster.where.volumes
    cluster.kubectl("get", "storageclass", "standard", "local")
    shutil.rmtree(blocked, ignore_errors=True)  # nothing is in it, and it is made when needed
    blocked.write_text("in the way")
    apply(cluster, claim("late", storageClassName="local"))
    start(cluster, "one", "late")
    eventually(lambda: "ProvisioningFailed" in reasons(cluster, "late"), "provisioning fails")
    blocked.unlink()
    faults.expect_ready(cluster, "one", ["one"])
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)
