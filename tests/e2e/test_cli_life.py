"""Clusters through their days: started again, killed, grown, stopped, side by side."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from petset.cli import process
from tests.e2e.cli_box import PETSET, Box, box, listening
from tests.e2e.conftest import ROOT, eventually, is_ready

WEB = ROOT / "examples" / "01-web" / "web.yaml"
DATA = "/usr/share/nginx/html/data"

POLITE = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: polite}}
spec:
  terminationGracePeriodSeconds: 600
  containers:
  - name: main
    image: nginx
    command: [sh, -c, "trap 'sleep SLEEP; echo done > /data/NAME; exit 0' TERM QUIT;
      while :; do sleep 0.1; done"]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, hostPath: {path: DATA}}]
"""


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Box]:
    with box(tmp_path) as made:
        yield made


def pods(cluster: Box) -> dict[str, Any]:
    found: Any = cluster.json("pods")
    return {p["metadata"]["name"]: p for p in found["items"]}


def web_is_ready(cluster: Box, replicas: int = 3) -> bool:
    found = pods(cluster)
    return len(found) == replicas and all(is_ready(p) for p in found.values())


def start_web(cluster: Box) -> None:
    cluster.run("apply", "-f", str(WEB))
    eventually(lambda: web_is_ready(cluster), "three members Ready", 90)


def container_ids(cluster: Box) -> dict[str, str]:
    return {n: p["status"]["containerStatuses"][0]["containerID"] for n, p in pods(cluster).items()}


def test_up_again_is_harmless_and_adds_nodes(one: Box) -> None:
    one.run("up")
    before = one.pids()
    again = one.run("up")
    assert "already running" in again.out
    assert one.pids() == before
    one.run("up", "--nodes", "3")
    assert {**before}.items() <= one.pids().items()
    assert set(one.pids()) == {"server", "agent-node-1", "agent-node-2", "agent-node-3"}
    assert one.run("get", "nodes").out.count(" Ready ") == 3
    one.run("up", "--nodes", "1")
    assert len(one.pids()) == 4
    one.run("down")
    one.assert_gone()


def test_killed_node_comes_back_with_its_pod_and_its_volume(one: Box) -> None:
    one.run("up", "--nodes", "2")
    start_web(one)
    victim = pods(one)["web-1"]
    node = victim["spec"]["nodeName"]
    one.shell("web-1", f"echo kept > {DATA}/note")
    one.run("node kill", node)
    assert f"agent-{node}" not in one.pids()
    assert pods(one)["web-1"]["metadata"]["uid"] == victim["metadata"]["uid"]
    one.run("up")
    eventually(lambda: web_is_ready(one), "web-1 Ready again")
    after = pods(one)["web-1"]
    assert after["metadata"]["uid"] == victim["metadata"]["uid"]
    assert after["spec"]["nodeName"] == node
    assert after["status"]["containerStatuses"][0]["restartCount"] == 1
    assert one.shell("web-1", f"cat {DATA}/note") == "kept"
    one.run("down", "--delete-data")
    one.assert_gone()


def test_up_registers_a_node_again_that_was_deleted_from_the_api(one: Box) -> None:
    one.run("up")
    start_web(one)
    before = container_ids(one)
    one.run("delete", "node", "node-1")
    assert "node-1: not in the API" in one.run("status", ok=False).out
    assert "node node-1 ready" in one.run("up").out
    assert "node-1: Ready, agent running" in one.run("status").out
    assert container_ids(one) == before, "its pods went on, as it was back soon enough"
    one.run("down", "--delete-data")
    one.assert_gone()


def test_stopped_cluster_comes_back_with_pods_and_data(one: Box) -> None:
    one.run("up", "--nodes", "2")
    start_web(one)
    for name in pods(one):
        one.shell(name, f"echo {name} > {DATA}/note")
    before = pods(one)
    one.run("down")
    one.assert_gone()
    one.run("up")
    eventually(
        lambda: web_is_ready(one) and not container_ids(one).items() & _ids(before).items(),
        "three members Ready again",
        90,
    )
    for name, pod in pods(one).items():
        assert pod["metadata"]["uid"] == before[name]["metadata"]["uid"]
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
        assert one.shell(name, f"cat {DATA}/note") == name
    one.run("down", "--delete-data")
    one.assert_gone()
    assert not one.where.state.exists()


def _ids(found: dict[str, Any]) -> dict[str, str]:
    return {n: p["status"]["containerStatuses"][0]["containerID"] for n, p in found.items()}


def test_all_processes_killed_at_once_cost_no_pod(one: Box) -> None:
    one.run("up", "--nodes", "2")
    start_web(one)
    before = container_ids(one)
    for _ in range(2):
        one.kill_all()
        assert not one.pids()
        one.run("status", ok=False)
        one.run("up")
        eventually(lambda: web_is_ready(one), "three members Ready")
        assert container_ids(one) == before
        assert one.shell("web-0", "hostname") == "web-0"
    one.run("down", "--delete-data")
    one.assert_gone()


def test_failed_up_leaves_running_pods_alone(one: Box) -> None:
    one.run("up")
    start_web(one)
    before = container_ids(one)
    one.kill_all()
    text = one.where.cluster_file.read_bytes()
    with listening("127.0.0.1", orjson.loads(text)["port"]):
        one.refused("up", "--nodes", "2")
    assert not one.pids()
    assert one.where.cluster_file.read_bytes() == text
    one.run("up")
    eventually(lambda: web_is_ready(one), "three members Ready")
    assert container_ids(one) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground_starts_again_what_dies_and_stops_all(one: Box, number: int) -> None:
    staying = one.start("up", "--foreground")
    try:
        eventually(lambda: set(one.pids()) == {"server", "agent-node-1"}, "all running")
        eventually(lambda: one.is_well(), "all Ready")
        for name in ("server", "agent-node-1"):
            victim = one.pids()[name]
            process.send([victim], signal.SIGKILL)
            eventually(lambda n=name, v=victim: one.pids().get(n, v) != v, f"{name} again")  # type: ignore[misc]
            eventually(lambda: one.is_well(), "all Ready")
        staying.send_signal(number)
        out, err = staying.communicate(timeout=60)
    finally:
        staying.kill()
    assert staying.returncode == 0, err
    assert "is stopped" in out
    one.assert_gone()
    assert one.where.cluster_file.exists()


def test_foreground_ends_when_another_command_stops_the_cluster(one: Box) -> None:
    staying = one.start("up", "--foreground")
    try:
        eventually(lambda: one.is_well(), "all Ready")
        one.run("down")
        out, _ = staying.communicate(timeout=60)
    finally:
        staying.kill()
    assert "stopped by another command" in out
    one.assert_gone()


def test_clusters_side_by_side_do_not_meet(tmp_path: Path) -> None:
    with box(tmp_path) as a, box(tmp_path) as b:
        for each in (a, b):
            each.run("up")
            each.run("apply", "-f", str(WEB))
        for each in (a, b):
            eventually(lambda each=each: web_is_ready(each), "three members Ready", 90)  # type: ignore[misc]
            each.shell("web-0", f"echo {each.name} > {DATA}/note")
        addresses = [{p["status"]["podIP"] for p in pods(each).values()} for each in (a, b)]
        assert not addresses[0] & addresses[1]
        for each in (a, b):
            host = "web-0.nginx.default.svc.cluster.local"
            page = each.shell(
                "web-1", f"curl -s http://{host}/data/note || wget -qO- http://{host}/data/note"
            )
            assert page == each.name
        before = container_ids(b)
        a.run("down", "--delete-data")
        a.assert_gone()
        assert container_ids(b) == before
        assert b.shell("web-2", "hostname") == "web-2"
        b.run("status")
        b.run("down")
        b.assert_gone()


def test_stopped_cluster_leaves_the_network_of_its_successor_alone(tmp_path: Path) -> None:
    with box(tmp_path) as a, box(tmp_path) as b:
        a.run("up")
        a.run("down")
        description = orjson.loads(a.where.cluster_file.read_bytes())
        b.run("up")
        taken = orjson.loads(b.where.cluster_file.read_bytes())["index"]
        a.where.cluster_file.write_bytes(orjson.dumps({**description, "index": taken}))
        assert "are in use" in a.refused("up")
        a.run("down")
        assert b.is_well()
        assert Path(f"/sys/class/net/ps{taken}").exists()
        a.run("down", "--delete-data")
        assert Path(f"/sys/class/net/ps{taken}").exists()
        b.run("node add")


def test_containers_get_their_signal_and_time_to_end(one: Box) -> None:
    one.run("up")
    place = one.directory / "data"
    place.mkdir()
    for name, wait in (("quick", "0.3"), ("other", "0.5"), ("slow", "300")):
        text = POLITE.replace("NAME", name).replace("SLEEP", wait).replace("DATA", str(place))
        (one.directory / f"{name}.yaml").write_text(text)
        one.run("apply", "-f", str(one.directory / f"{name}.yaml"))
    eventually(lambda: web_is_ready(one), "three pods Ready", 90)
    one.run("down", "--timeout", "3")
    one.assert_gone()
    assert sorted(p.name for p in place.iterdir()) == ["other", "quick"]


HOOKED = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: polite}}
spec:
  terminationGracePeriodSeconds: 600
  initContainers:
  - name: beside
    image: nginx
    restartPolicy: Always
    command: [sh, -c, "trap 'echo beside >> /data/NAME; exit 0' TERM QUIT;
      while :; do sleep 0.1; done"]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: main
    image: nginx
    command: [sh, -c, "trap 'echo signal >> /data/NAME; exit 0' TERM QUIT;
      echo begin >> /data/NAME; while :; do sleep 0.1; done"]
    lifecycle:
      preStop: {exec: {command: [sh, -c, "sleep HOOK; echo hook >> /data/NAME"]}}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, hostPath: {path: DATA}}]
"""


def test_down_runs_hooks_and_pods_go_on_afterwards(one: Box) -> None:
    one.run("up")
    place = one.directory / "data"
    place.mkdir()
    for name, hook in (("quick", "0.3"), ("endless", "300")):
        text = HOOKED.replace("NAME", name).replace("HOOK", hook).replace("DATA", str(place))
        (one.directory / f"{name}.yaml").write_text(text)
        one.run("apply", "-f", str(one.directory / f"{name}.yaml"))
    eventually(lambda: web_is_ready(one, 2), "both pods Ready", 90)
    before = {name: pod["metadata"]["uid"] for name, pod in pods(one).items()}
    said = one.run("down", "--timeout", "3").out
    one.assert_gone()
    assert "waiting for default/endless to end (up to 3 s)" in said
    assert (place / "quick").read_text().split() == ["begin", "hook", "signal", "beside"]
    assert (place / "endless").read_text().split()[:2] == ["begin", "signal"]
    one.run("up")
    eventually(lambda: (place / "quick").read_text().split()[-1] == "begin", "it goes on")
    eventually(lambda: web_is_ready(one, 2), "both pods Ready again", 90)
    assert {name: pod["metadata"]["uid"] for name, pod in pods(one).items()} == before


def test_down_works_when_the_state_directory_is_gone(one: Box) -> None:
    one.run("up")
    start_web(one)
    where = one.where
    for folder in ("server", "pki", "nodes", "logs"):
        subprocess.run(["rm", "-rf", where.state / folder], check=False, capture_output=True)
    where.cluster_file.unlink()
    one.run("down")
    one.assert_gone()
    subprocess.run(["rm", "-rf", where.state], check=True)


def test_lost_machine_comes_back_as_after_a_reboot(one: Box) -> None:
    """Everything in /run is gone, nothing runs: as after a power failure."""
    one.run("up")
    start_web(one)
    one.shell("web-1", f"echo kept > {DATA}/note")
    one.kill_all()
    one.run("node kill", "node-1", ok=False)
    one.run("down", "--timeout", "0")
    one.assert_gone()
    one.run("up")
    eventually(
        lambda: web_is_ready(one) and one.shell("web-1", f"cat {DATA}/note") == "kept", "back"
    )


def test_context_under_sudo_belongs_to_the_caller(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 1234, 1235)
    config = home / ".kube" / "config"
    sudo = {"SUDO_UID": "1234", "SUDO_GID": "1235", "KUBECONFIG": str(config)}
    with box(tmp_path, **sudo) as made:
        running = subprocess.run(
            [*PETSET, "up", "--name", made.name],
            capture_output=True,
            check=False,
            env={**os.environ, **sudo},
        )
        assert running.returncode == 0, running
        for path in (config, config.parent):
            assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
        assert config.stat().st_mode & 0o777 == 0o600
        assert f"petset-{made.name}" in config.read_text()
        made.run("down", "--delete-data")
        assert f"petset-{made.name}" not in config.read_text()
        assert config.stat().st_uid == 1234
