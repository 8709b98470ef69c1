"""Things that hang, refuse to end, or come late."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from petset.cli import process
from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually, kubectl_path
from tests.e2e.faults import reasons


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 1)


def apply_pod(cluster: Cluster, name: str, script: str, **spec: Any) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=faults.pod_json(name, script, **spec))


def delete_and_time(cluster: Cluster, name: str) -> float:
    """Seconds that a pod's deletion takes; its main process is dead before its object goes."""
    record = faults.record_of(cluster, cluster.pods(name)[name])
    main = process.Process(record["pid"], record["ticks"])
    began = time.monotonic()
    cluster.kubectl("delete", "pod", name)
    assert not main.alive
    return time.monotonic() - began


def waiting(cluster: Cluster, name: str) -> str:
    statuses = cluster.pods(name)[name].get("status", {}).get("containerStatuses") or [{}]
    found: str = (statuses[0].get("state", {}).get("waiting") or {}).get("reason", "")
    return found


def test_pre_stop_longer_than_the_grace_is_cut_off(cluster: Cluster) -> None:
    hook = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "600"]}}}}
    apply_pod(cluster, "hook", "sleep 9999", grace_s=1, container=hook)
    faults.expect_ready(cluster, "hook", ["hook"])
    assert 1 <= delete_and_time(cluster, "hook") < 20
    eventually(lambda: "FailedPreStopHook" in reasons(cluster, "hook"), "it is told")
    faults.expect_no_traces(cluster)


def test_container_deaf_to_the_stop_signal_is_killed_after_its_grace(cluster: Cluster) -> None:
    apply_pod(cluster, "deaf", "trap '' TERM; while :; do sleep 1; done", grace_s=2)
    faults.expect_ready(cluster, "deaf", ["deaf"])
    assert 2 <= delete_and_time(cluster, "deaf") < 20
    faults.expect_no_traces(cluster)


def test_second_deletion_shortens_the_grace(cluster: Cluster) -> None:
    apply_pod(cluster, "patient", "trap '' TERM; while :; do sleep 1; done", grace_s=600)
    faults.expect_ready(cluster, "patient", ["patient"])
    cluster.kubectl("delete", "pod", "patient", "--wait=false")
    cluster.kubectl("delete", "pod", "patient", "--grace-period=1")
    faults.expect_no_traces(cluster)


def test_image_that_appears_later_heals_the_pod(cluster: Cluster, tmp_path: Path) -> None:
    name = f"late-{cluster.name}"
    apply_pod(cluster, "late", "sleep 9999", container={"image": name, "imagePullPolicy": "Never"})
    eventually(lambda: waiting(cluster, "late") == "ErrImageNeverPull", "no such image")
    try:
        faults.image_archive(tmp_path / "late.tar", f"docker.io/library/{name}:latest")
        cluster.petset("image", "load", str(tmp_path / "late.tar"))
        faults.expect_ready(cluster, "late", ["late"])
        assert faults.restarts(cluster, "late") == 0
    finally:
        cluster.petset("image", "rm", name, check=False)
    cluster.kubectl("delete", "pod", "late")


def test_claim_that_comes_late_heals_the_pod(cluster: Cluster) -> None:
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "late"}}]
    mounts = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}
    apply_pod(cluster, "claims", "touch /d/x; sleep 9999", volumes=volumes, container=mounts)
    eventually(lambda: "FailedScheduling" in reasons(cluster, "claims"), "no such claim")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "late"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(claim))
    faults.expect_ready(cluster, "claims", ["claims"])
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_config_map_that_comes_late_heals_volume_and_environment(cluster: Cluster) -> None:
    volumes = [{"name": "d", "configMap": {"name": "late"}}]
    mounts = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}
    env = {"env": [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "k"}}}]}
    apply_pod(cluster, "mounts", "cat /d/k; sleep 9999", volumes=volumes, container=mounts)
    apply_pod(cluster, "reads", 'echo "$K"; sleep 9999', container=env)
    eventually(lambda: waiting(cluster, "reads") == "CreateContainerConfigError", "no such key")
    eventually(lambda: "FailedMount" in reasons(cluster, "mounts"), "no such ConfigMap")
    cluster.kubectl("create", "cm", "late", "--from-literal=k=found")
    for name in ("mounts", "reads"):
        faults.expect_ready(cluster, name, [name])
        eventually(
            lambda n=name: cluster.kubectl("logs", n).strip() == "found",  # type: ignore[misc]
            f"what {name} found, in its log",
        )
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_probe_that_hangs_counts_as_failed_and_leaves_nothing_running(cluster: Cluster) -> None:
    probe = {
        "exec": {"command": ["sleep", "600"]},
        "periodSeconds": 1,
        "timeoutSeconds": 1,
        "failureThreshold": 1,
    }
    script = "trap 'exit 0' TERM; sleep 9999 & wait"
    apply_pod(cluster, "hung", script, container={"livenessProbe": probe})
    eventually(lambda: faults.restarts(cluster, "hung") >= 1, "restarted by its probe")
    eventually(lambda: "Unhealthy" in reasons(cluster, "hung"), "it is told")
    cluster.kubectl("delete", "pod", "hung")
    faults.expect_no_traces(cluster)


def test_readiness_probe_that_hangs_keeps_the_pod_unready_and_running(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["sleep", "600"]}, "periodSeconds": 1, "timeoutSeconds": 1}
    apply_pod(cluster, "unready", "sleep 9999", container={"readinessProbe": probe})
    eventually(lambda: "Unhealthy" in reasons(cluster, "unready"), "the probe timed out")
    record = faults.record_of(cluster, cluster.pods("unready")["unready"])
    assert len(faults.processes_in(record)) <= 2  # the program and at most the present try
    assert not cluster.ready("unready")
    assert faults.restarts(cluster, "unready") == 0
    cluster.kubectl("delete", "pod", "unready", "--grace-period=1")
    faults.expect_no_traces(cluster)


@pytest.mark.parametrize("victim", ["container", "agent", "server"])
def test_exec_ends_when_what_carries_it_is_killed(cluster: Cluster, victim: str) -> None:
    apply_pod(cluster, "shell", "sleep 9999")
    faults.expect_ready(cluster, "shell", ["shell"])
    record = faults.record_of(cluster, cluster.pods("shell")["shell"])
    words = ["exec", "shell", "--", "sh", "-c", "echo in; sleep 600"]
    child = subprocess.Popen(
        [kubectl_path(), "--kubeconfig", str(cluster.config), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"in\n"
        if victim == "container":
            main = process.Process(record["pid"], record["ticks"])
            process.send([main], signal.SIGKILL)
        else:
            faults.kill_process(cluster, {"agent": "agent-node-1"}.get(victim, victim))
        assert child.wait(timeout=30) != 0
    finally:
        child.kill()
        child.communicate()
    faults.up(cluster)
    faults.expect_ready(cluster, "shell", ["shell"])
    cluster.kubectl("delete", "pod", "shell", "--grace-period=1")
    faults.expect_no_traces(cluster)
