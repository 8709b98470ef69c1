"""Deletion: whole namespaces, sets without their pods, pods by force."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually

MEMBERS = ["db-0", "db-1"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 2)


def test_namespace_goes_with_everything_in_it(cluster: Cluster) -> None:
    cluster.kubectl("create", "ns", "doomed")
    doomed = ["-n", "doomed"]
    cluster.kubectl("apply", *doomed, "-f", "-", stdin=faults.member_set(replicas=2))
    cluster.kubectl("apply", *doomed, "-f", "-", stdin=faults.pod_json("one", "sleep 9999"))
    cluster.kubectl("create", *doomed, "cm", "words", "--from-literal=a=b")
    cluster.kubectl("create", *doomed, "secret", "generic", "key", "--from-literal=a=b")
    cluster.kubectl("create", *doomed, "service", "clusterip", "db", "--tcp=80")
    for pod in (*MEMBERS, "one"):
        eventually(
            lambda p=pod: "True" in ready_of(cluster, p),  # type: ignore[misc]
            f"{pod} Ready",
        )
    with faults.observed(cluster):
        cluster.kubectl("delete", "ns", "doomed", "--wait=false")
        faults.kill_process(cluster, "server")  # in the middle of it
        faults.up(cluster)
        eventually(lambda: "doomed" not in cluster.kubectl("get", "ns"), "the namespace is gone")
    eventually(lambda: not cluster.json("get", "pv")["items"], "the volumes are gone, too")
    faults.expect_no_traces(cluster)


def ready_of(cluster: Cluster, pod: str) -> str:
    path = "{.status.conditions[?(@.type=='Ready')].status}"
    return cluster.kubectl("get", "-n", "doomed", "pod", pod, "-o", f"jsonpath={path}", check=False)


def test_orphaned_pods_run_on_and_are_adopted_again(cluster: Cluster) -> None:
    manifest = faults.member_set(replicas=2)
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    faults.expect_ready(cluster, "db", MEMBERS)
    before = faults.identity(cluster.pods("db"))
    with faults.observed(cluster):
        cluster.kubectl("delete", "sts", "db", "--cascade=orphan")
        assert not any("ownerReferences" in p["metadata"] for p in cluster.pods("db").values())
        cluster.kubectl("apply", "-f", "-", stdin=manifest)
        owner = cluster.json("get", "sts", "db")["metadata"]["uid"]
        eventually(lambda: owners(cluster) == {owner}, "adopted")
        assert faults.identity(cluster.pods("db")) == before
        cluster.kubectl("scale", "sts/db", "--replicas=1")
        eventually(lambda: list(cluster.pods("db")) == ["db-0"], "scaled down")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def owners(cluster: Cluster) -> set[str]:
    pods = cluster.pods("db").values()
    return {o["uid"] for p in pods for o in p["metadata"].get("ownerReferences", [])}


def test_force_deletion_frees_the_name_and_the_old_container_goes(cluster: Cluster) -> None:
    script = "trap '' TERM; while :; do sleep 1; done"
    manifest = faults.member_set(replicas=1, script=script, grace_s=600)
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    faults.expect_ready(cluster, "db", ["db-0"])
    pod = cluster.pods("db")["db-0"]
    record = faults.record_of(cluster, pod)
    with faults.observed(cluster) as watched:
        cluster.kubectl("delete", "pod", "db-0", "--force", "--grace-period=0")
        eventually(lambda: not faults.lives(record), "the old container is dead")
        faults.expect_ready(cluster, "db", ["db-0"])
    assert len(watched.seen["default/db-0"]) == 2
    assert cluster.pods("db")["db-0"]["metadata"]["uid"] != pod["metadata"]["uid"]
    cluster.kubectl("delete", "sts", "db")
    cluster.kubectl("delete", "pod", "db-0", "--force", "--grace-period=0", "--ignore-not-found")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_pod_with_a_finalizer_stops_and_stays_in_the_api(cluster: Cluster) -> None:
    manifest = json.loads(faults.pod_json("held", "sleep 9999"))
    manifest["metadata"]["finalizers"] = ["example.com/hold"]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    faults.expect_ready(cluster, "held", ["held"])
    record = faults.record_of(cluster, cluster.pods("held")["held"])
    cluster.kubectl("delete", "pod", "held", "--wait=false", "--grace-period=1")
    eventually(lambda: not faults.lives(record), "the container is dead")
    for name in ["server", *faults.agents(cluster)]:
        faults.kill_process(cluster, name)
    faults.up(cluster)
    assert "held" in cluster.pods("held")
    cluster.kubectl(
        "patch", "pod", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
    eventually(lambda: not cluster.pods("held"), "gone once it is let go")
    faults.expect_no_traces(cluster)
