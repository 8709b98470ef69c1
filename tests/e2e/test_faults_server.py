"""SIGKILL of the server at any moment: what was acknowledged is there, and all converges."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from petset.api.errors import StatusError
from petset.cli import state, thin
from petset.client.client import Client
from petset.client.transport import TransportError
from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually

SEED = 20261121
MEMBERS = ["db-0", "db-1", "db-2"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from faults.module_cluster(tmp_path_factory, 2)


class Writer:
    """Creates, changes and deletes ConfigMaps as fast as it can, and notes what was acknowledged.

    A write whose answer never came may or may not have happened: such a name is left alone.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.there: dict[str, str] = {}
        self.gone: set[str] = set()
        self.failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        known = state.load(self.cluster.where)
        assert known is not None
        client = thin.connect_to(self.cluster.where, known)
        try:
            number = 0
            while not self._stop.is_set():
                number += 1
                try:
                    await self._one(client, f"cm-{number}", number)
                except (TransportError, StatusError):
                    self.failures += 1
                    await asyncio.sleep(0.01)
        finally:
            await client.close()

    async def _one(self, client: Client, name: str, number: int) -> None:
        body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}}
        made = await client.create("configmaps", {**body, "data": {"n": "0"}}, "default")
        self.there[name] = made["data"]["n"]
        if number % 3 == 1:
            del self.there[name]
            await client.patch("configmaps", name, {"data": {"n": str(number)}}, "default")
            self.there[name] = str(number)
        elif number % 3 == 2:
            del self.there[name]
            await client.delete("configmaps", name, "default")
            self.gone.add(name)


def kill_server(cluster: Cluster, after_s: float) -> None:
    time.sleep(after_s)  # the moment of the fault
    faults.kill_process(cluster, "server")


def test_acknowledged_writes_survive_the_server(cluster: Cluster) -> None:
    rng = faults.seeded(SEED)
    with Writer(cluster) as writer:
        for _ in range(4):
            before = len(writer.there)
            eventually(lambda n=before: len(writer.there) > n + 20, "writes acknowledged")  # type: ignore[misc]
            kill_server(cluster, rng.random() * 0.2)
            faults.up(cluster)
    listed = cluster.json("get", "cm")["items"]
    found = {c["metadata"]["name"]: c.get("data", {}).get("n") for c in listed}
    assert {n: found.get(n) for n in writer.there} == writer.there
    assert not writer.gone & found.keys()
    assert writer.failures


def test_server_killed_during_apply_scale_roll_and_delete(cluster: Cluster) -> None:
    rng = faults.seeded(SEED + 1)
    manifest = faults.member_set()
    with faults.observed(cluster):
        cluster.kubectl("apply", "-f", "-", stdin=manifest)
        kill_server(cluster, rng.random() * 0.3)
        faults.up(cluster)
        faults.expect_ready(cluster, "db", MEMBERS)
        faults.roll(cluster, "db")
        kill_server(cluster, rng.random() * 0.5)
        faults.up(cluster)
        cluster.kubectl("rollout", "status", "sts/db", "--timeout=60s")
        cluster.kubectl("scale", "sts/db", "--replicas=1")
        kill_server(cluster, rng.random() * 0.2)
        faults.up(cluster)
        faults.expect_ready(cluster, "db", MEMBERS[:1])
        cluster.kubectl("delete", "sts", "db", "--wait=false")
        kill_server(cluster, rng.random() * 0.1)
        faults.up(cluster)
        eventually(lambda: not cluster.pods("db"), "no pod left")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)


def test_a_container_that_ends_while_the_server_is_away_is_told_afterwards(
    cluster: Cluster,
) -> None:
    script = "while [ ! -e /go ]; do sleep 0.02; done; exit 3"
    manifest = faults.pod_json("once", script, restartPolicy="Never")
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    faults.expect_ready(cluster, "once", ["once"])
    record = faults.record_of(cluster, cluster.pods("once")["once"])
    faults.kill_process(cluster, "server")
    faults.touch_in(record, "/go")
    eventually(lambda: not faults.lives(record), "the container has ended")
    faults.up(cluster)

    def told() -> bool:
        pod = cluster.pods("once")["once"]
        ended = faults.container_status(pod)["state"].get("terminated") or {}
        return pod["status"]["phase"] == "Failed" and ended.get("exitCode") == 3

    eventually(told, "exit code 3 told")
    cluster.kubectl("delete", "pod", "once")


def test_server_and_agents_killed_together_leave_pods_alone(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=faults.member_set())
    faults.expect_ready(cluster, "db", MEMBERS)
    before = faults.identity(cluster.pods("db"))
    with faults.observed(cluster):
        for name in ["server", *faults.agents(cluster)]:
            faults.kill_process(cluster, name)
        faults.up(cluster)
        assert faults.identity(cluster.pods("db")) == before
    faults.expect_ready(cluster, "db", MEMBERS)
    cluster.kubectl("exec", "db-1", "--", "true")
    faults.delete_all(cluster)
    faults.expect_no_traces(cluster)
