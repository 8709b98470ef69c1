"""Disks that are full: refusals are clear, nothing acknowledged is lost, and it heals by itself."""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from petset.cli import paths
from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually


class OnDisk(Cluster):
    """A cluster whose state lies on small disks."""

    state_dir: Path

    @property
    def where(self) -> paths.Paths:
        return paths.of(self.name, self.state_dir)

    @property
    def words(self) -> list[str]:
        return ["--name", self.name, "--data-dir", str(self.state_dir)]

    def up(self) -> None:
        self.petset("up", *self.words, "--kubeconfig", str(self.config))


@contextmanager
def cluster_on(part: str, size: str, directory: Path) -> Iterator[OnDisk]:
    """A cluster of which one part of the state lies on a small disk of its own."""
    made = OnDisk(f"t{uuid.uuid4().hex[:8]}", directory / "kubeconfig")
    made.state_dir = directory / "state"
    disk = made.state_dir / part
    try:
        made.up()
        made.petset("down", *made.words)
        disk.rename(directory / "moved")
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
        shutil.copytree(directory / "moved", disk, dirs_exist_ok=True)
        made.up()
        yield made
    finally:
        made.petset("down", *made.words, check=False)
        subprocess.run(["umount", "-l", disk], check=False, capture_output=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill what is left of a disk, to the last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb") as opened:
        try:
            while True:
                os.write(opened.fileno(), bytes(1 << 16))
        except OSError:
            pass
        try:
            while True:
                os.write(opened.fileno(), b"0")
        except OSError:
            pass
    try:
        yield
    finally:
        ballast.unlink()


def create(cluster: Cluster, name: str) -> str:
    """Create a large ConfigMap; what kubectl says."""
    words = ["create", "cm", name, f"--from-literal=x={'y' * 100_000}"]
    return cluster.kubectl(*words, check=False)


def test_full_disk_of_the_server_refuses_writes_and_heals(tmp_path: Path) -> None:
    with cluster_on("server", "8m", tmp_path) as cluster:
        cluster.kubectl("apply", "-f", "-", stdin=faults.member_set(replicas=1))
        faults.expect_ready(cluster, "db", ["db-0"])
        before = faults.identity(cluster.pods("db"))
        with full(cluster.state_dir / "server"):
            made = 0
            told = create(cluster, f"c{made}")
            while "created" in told:
                made += 1
                told = create(cluster, f"c{made}")
            refusal = "the write could not be made durable"
            assert refusal in told
            assert "disk is full" in told
            names = {c["metadata"]["name"] for c in cluster.json("get", "cm")["items"]}
            assert {f"c{n}" for n in range(made)} <= names
            assert f"c{made}" not in names
            again = create(cluster, "again")
            assert refusal in again
        eventually(
            lambda: "created" in create(cluster, "later"),
            "a write after space was freed",
        )
        faults.kill_process(cluster, "server")
        cluster.up()
        names = {c["metadata"]["name"] for c in cluster.json("get", "cm")["items"]}
        assert {f"c{n}" for n in range(made)} | {"later"} <= names
        assert f"c{made}" not in names
        assert faults.identity(cluster.pods("db")) == before


def test_full_disk_of_a_node_holds_up_new_pods_until_there_is_space(tmp_path: Path) -> None:
    with cluster_on("nodes", "8m", tmp_path) as cluster:
        script = "while :; do echo tick; sleep 0.01; done"
        cluster.kubectl("apply", "-f", "-", stdin=faults.pod_json("old", script))
        faults.expect_ready(cluster, "old", ["old"])
        record = faults.record_of(cluster, cluster.pods("old")["old"])
        with faults.observed(cluster):
            with full(cluster.state_dir / "nodes"):
                cluster.kubectl("apply", "-f", "-", stdin=faults.pod_json("new", "sleep 9999"))
                os.kill(record["pid"], signal.SIGKILL)
                eventually(lambda: not faults.lives(record), "the old container is dead")
                eventually(lambda: says_full(cluster), "the trouble is told")
                assert not cluster.ready("new")
            faults.expect_ready(cluster, "new", ["new"])
            faults.expect_ready(cluster, "old", ["old"])
        assert faults.restarts(cluster, "old") >= 1
        cluster.kubectl("delete", "pod", "old", "new", "--grace-period=1")
        faults.expect_no_traces(cluster)


def says_full(cluster: Cluster) -> bool:
    events = cluster.json("get", "events")["items"]
    return any("No space left on device" in event["message"] for event in events)
