"""What a whole agent does."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from petset.api import meta
from petset.api.meta import MutableObj
from petset.client.transport import TransportError
from petset.node.agent import AgentRunningError
from petset.testing.runtime import Behaviour
from tests.unit.node.rig import PORT, Rig, count, played, ready, waiting


def test_the_node_registers_itself(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        node = await here.client.get("nodes", "n1")
        assert meta.is_condition_true(node, "Ready")
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
        assert node["spec"]["podCIDR"] == "10.128.0.0/24"
        assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": "172.29.0.10"}
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"] == "fake://1.0.0"
        await asyncio.sleep(25)
        lease = await here.client.get("leases.coordination.k8s.io", "n1", "kube-node-lease")
        assert lease["spec"]["holderIdentity"] == "n1"
        renewed = meta.parse_time(lease["spec"]["renewTime"])
        assert renewed is not None
        assert here.clock.now() - renewed <= 10

    played(tmp_path, story)


def test_a_pod_runs_and_is_told(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.create()
        pod = await here.until(ready)
        assert pod["status"]["phase"] == "Running"
        assert pod["status"]["podIP"] == "10.128.0.2"
        events = await here.events("Pod")
        assert sorted(e["reason"] for e in events) == ["Created", "Started"]
        assert events[0]["involvedObject"]["fieldPath"] == "spec.containers{c}"
        assert events[0]["source"] == {"component": "kubelet", "host": "n1"}

    played(tmp_path, story)


def test_a_pod_deleted_while_its_container_is_made_is_asked_to_stop_once_it_runs(
    tmp_path: Path,
) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(create_s=5.0)
        await here.create()
        while not here.machine.runs:
            await asyncio.sleep(0.1)
        begun = here.clock.now()
        await here.client.delete("pods", "p", "default")
        await here.gone()
        assert here.clock.now() - begun < 10  # and not the grace period of 30 s

    played(tmp_path, story)


def test_a_container_killed_while_it_is_made_does_not_keep_its_pod(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(create_s=20.0)
        await here.create(terminationGracePeriodSeconds=2)
        while not here.machine.runs:
            await asyncio.sleep(0.1)
        begun = here.clock.now()
        await here.client.delete("pods", "p", "default")
        await here.gone()
        assert here.clock.now() - begun < 30

    played(tmp_path, story)


def test_restarts_come_at_growing_pauses(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(exit_after_s=1.0, exit_code=1)
        await here.create()
        moments = []
        for number in range(6):
            await here.until(lambda pod, n=number: count(pod) == n)  # type: ignore[misc]
            moments.append(here.clock.now())
        pauses = [round(b - a) for a, b in pairwise(moments)]
        assert pauses == [1, 11, 21, 41, 81]

    played(tmp_path, story)


def test_a_pause_before_a_restart_is_told_when_it_begins_and_once(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(exit_after_s=1.0, exit_code=1)
        await here.create()
        for fallen in (2, 3):  # the first restart comes at once
            pod = await here.until(lambda p, n=fallen: waiting(p) and count(p) == n - 1)  # type: ignore[misc]
            assert waiting(pod) == "CrashLoopBackOff"
            await asyncio.sleep(5)  # the pause goes on
            events = (await here.client.list("events", "default")).items
            told = [e["count"] for e in events if e["reason"] == "BackOff"]
            assert told == [fallen - 1]

    played(tmp_path, story)


def test_a_stubborn_container_is_killed_after_the_grace(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(stop_s=None)
        await here.create(terminationGracePeriodSeconds=40)
        await here.until(ready)
        began = here.clock.now()
        await here.client.delete("pods", "p", "default")
        await here.gone()
        assert 40 <= here.clock.now() - began < 41
        assert here.running() == []

    played(tmp_path, story)


def test_a_second_delete_shortens_the_grace(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(stop_s=None)
        await here.create(terminationGracePeriodSeconds=600)
        await here.until(ready)
        began = here.clock.now()
        await here.client.delete("pods", "p", "default")
        await asyncio.sleep(10)
        await here.client.delete("pods", "p", "default", grace_s=5)
        await here.gone()
        assert 15 <= here.clock.now() - began < 16

    played(tmp_path, story)


def test_a_force_deleted_pod_is_stopped_too(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.create()
        await here.until(ready)
        await here.client.delete("pods", "p", "default", grace_s=0)
        await asyncio.sleep(3)
        assert here.running() == []
        assert not here.machine.known

    played(tmp_path, story)


def test_a_pod_of_the_same_name_waits_for_nobody_but_runs_apart(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        first = await here.create()
        await here.until(ready)
        await here.client.delete("pods", "p", "default", grace_s=0)
        second = await here.create()
        await here.until(ready)
        await asyncio.sleep(3)
        assert first["metadata"]["uid"] not in here.machine.known
        assert here.machine.known == {second["metadata"]["uid"]}

    played(tmp_path, story)


def test_a_missing_image_backs_off_and_heals(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.images.missing.add("x")
        await here.create()
        await here.until(lambda pod: waiting(pod) == "ErrImagePull")
        await here.until(lambda pod: waiting(pod) == "ImagePullBackOff")
        here.images.missing.clear()
        await here.until(ready)

    played(tmp_path, story)


def test_a_claim_that_binds_late_is_waited_for(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.volumes.missing.add("data")
        volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
        await here.create(volumes=[volume])
        await asyncio.sleep(30)
        assert here.running() == []
        events = [e["reason"] for e in (await here.client.list("events", "default")).items]
        assert "FailedMount" in events
        here.volumes.missing.clear()
        await here.until(ready)

    played(tmp_path, story)


def test_a_missing_config_map_is_waited_for(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        reference = {"configMapKeyRef": {"name": "cm", "key": "k"}}
        env = [{"name": "K", "valueFrom": reference}]
        await here.create(containers=[{"name": "c", "image": "x", "env": env}])
        await here.until(lambda pod: waiting(pod) == "CreateContainerConfigError")
        config = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "cm"}}
        await here.client.create("configmaps", {**config, "data": {"k": "v"}}, "default")
        await here.until(ready)

    played(tmp_path, story)


def test_the_next_agent_adopts_without_a_restart(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(commands={"probe": 0})
        probe = {"exec": {"command": ["probe"]}, "periodSeconds": 30}
        await here.create(containers=[{"name": "c", "image": "x", "readinessProbe": probe}])
        before = await here.until(ready)
        await here.stop()
        await asyncio.sleep(100)
        await here.start()
        await asyncio.sleep(5)
        after = await here.pod()
        assert after is not None
        assert after["status"] == before["status"]
        assert len(here.machine.runs) == 1

    played(tmp_path, story)


def test_what_the_api_no_longer_has_is_not_started_again(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.create()
        await here.until(ready)
        await here.stop()
        here.machine.end_all()
        await here.client.delete("pods", "p", "default", grace_s=0)
        await here.start()
        await asyncio.sleep(30)
        assert len(here.machine.runs) == 0
        assert not here.machine.sandboxes

    played(tmp_path, story)


def test_a_pod_whose_record_was_lost_is_adopted_all_the_same(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.create()
        await here.until(ready)
        await here.stop()
        (record,) = tmp_path.rglob("pod.json")
        record.write_bytes(b"")
        await here.start()
        await asyncio.sleep(30)
        assert count(await here.until(ready)) == 0
        assert len(here.machine.runs) == 1
        assert record.read_bytes()

    played(tmp_path, story)


def test_a_successor_of_a_force_deleted_pod_waits_for_its_last_container(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(stop_s=None)
        containers = [{"name": "c", "image": "x", "ports": [PORT]}]
        await here.create(terminationGracePeriodSeconds=600, containers=containers)
        old = await here.until(ready)
        await here.client.delete("pods", "p", "default", grace_s=0)
        await here.create(containers=containers)
        await asyncio.sleep(0.5)
        assert [run.pod_uid for run in here.machine.runs.values()] == [meta.uid_of(old)]
        new = await here.until(ready)
        assert {run.pod_uid for run in here.machine.runs.values()} == {meta.uid_of(new)}

    played(tmp_path, story)


def test_a_successor_of_a_force_deleted_pod_waits_for_it_under_the_next_agent_too(
    tmp_path: Path,
) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(stop_s=None)
        await here.create(terminationGracePeriodSeconds=600)
        await here.until(ready)
        await here.client.delete("pods", "p", "default", grace_s=0)
        await here.create()
        await asyncio.sleep(0.5)
        await here.stop()
        await here.start()
        await asyncio.sleep(0.5)
        assert len(here.machine.runs) == 1
        new = await here.until(ready)
        assert {run.pod_uid for run in here.machine.runs.values()} == {meta.uid_of(new)}

    played(tmp_path, story)


def test_a_disk_that_takes_no_records_holds_up_its_pods_and_not_the_agent(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.create()
        await here.until(ready)
        pods = tmp_path / "state" / "pods"
        pods.rename(tmp_path / "aside")
        pods.write_text("in the way")
        await here.create("q")
        await here.until(lambda pod: waiting(pod) != "", "q")
        assert not ready(await here.pod("q") or {})
        pods.unlink()
        (tmp_path / "aside").rename(pods)
        await here.until(ready, "q")
        await asyncio.sleep(10)
        assert len(list(pods.glob("*/pod.json"))) == 2
        assert count(await here.until(ready)) == 0

    played(tmp_path, story)


def test_a_pod_that_has_ended_holds_no_ports(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        containers = [{"name": "c", "image": "x", "ports": [PORT]}]
        here.scripts["c"] = Behaviour(exit_after_s=1.0)
        await here.create("job", containers=containers, restartPolicy="Never")
        await here.until(lambda pod: pod["status"]["phase"] == "Succeeded", "job")
        here.scripts["c"] = Behaviour()
        await here.create("server", containers=containers)
        await here.until(ready, "server")

    played(tmp_path, story)


def test_what_failed_before_is_not_run_again(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["c"] = Behaviour(exit_after_s=0.1, exit_code=2)
        await here.create(restartPolicy="Never")
        await here.until(lambda pod: pod["status"]["phase"] == "Failed")
        await here.stop()
        here.machine.runs.clear()
        here.machine.known.clear()
        await here.start()
        await asyncio.sleep(30)
        assert here.machine.runs == {}
        await here.client.delete("pods", "p", "default")
        await here.gone()

    played(tmp_path, story)


def test_a_deleted_node_is_not_registered_again_while_the_agent_runs(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.client.delete("nodes", "n1")
        await asyncio.sleep(700)
        nodes = await here.client.list("nodes")
        assert nodes.items == []
        await here.stop()
        await here.start()
        assert await here.client.get("nodes", "n1")

    played(tmp_path, story)


def test_no_pod_begins_on_a_node_that_the_api_does_not_know_yet(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.stop()
        await here.client.delete("nodes", "n1")
        await here.create()
        create, known = here.client.create, asyncio.Event()

        async def registering(resource: str, *words: Any, **named: Any) -> MutableObj:
            if resource == "nodes" and not known.is_set():
                raise TransportError("not now")
            return await create(resource, *words, **named)

        here.client.create = registering  # type: ignore[method-assign]
        starting = asyncio.ensure_future(here.start())
        await asyncio.sleep(60)
        assert not here.machine.runs
        known.set()
        await here.until(ready)
        await starting

    played(tmp_path, story)


def test_a_second_agent_of_a_node_is_refused(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        with pytest.raises(AgentRunningError, match="n1 runs already"):
            await here.agent().prepare()

    played(tmp_path, story)


def test_finalizers_hold_the_object_but_not_the_containers(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        pod = await here.create()
        await here.until(ready)
        finalizer = {"metadata": {"finalizers": ["x.example/hold"]}}
        await here.client.patch("pods", "p", finalizer, "default")
        await here.client.delete("pods", "p", "default")
        await asyncio.sleep(60)
        assert here.running() == []
        assert await here.pod() is not None
        await here.client.patch("pods", "p", {"metadata": {"finalizers": None}}, "default")
        await here.gone()
        await asyncio.sleep(3)
        assert pod["metadata"]["uid"] not in here.machine.known

    played(tmp_path, story)


def test_a_node_that_is_stopped_ends_its_pods_and_takes_no_more(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.stop()
        agent = await here.start()
        here.scripts["c"] = Behaviour(stop_s=3.0)
        await here.create("a", terminationGracePeriodSeconds=20)
        await here.until(ready, "a")
        stopping = asyncio.ensure_future(agent.shut_down())
        await asyncio.sleep(1)
        assert here.running() == ["c"]
        assert (await here.until(lambda pod: not ready(pod), "a"))["status"]["phase"] == "Running"
        await here.create("b")
        refused = await here.until(lambda pod: pod["status"]["phase"] == "Failed", "b")
        assert (refused["status"]["reason"], refused["status"]["message"]) == (
            "NodeShutdown",
            "Pod was rejected as the node is shutting down.",
        )
        await asyncio.wait_for(stopping, 60)
        assert here.running() == []
        ended = await here.until(lambda pod: pod["status"]["phase"] == "Failed", "a")
        assert ended["status"]["reason"] == "Terminated"
        node = await here.client.get("nodes", "n1")
        told = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
        assert (told["status"], told["message"]) == ("False", "node is shutting down")

    played(tmp_path, story)


def test_pods_rest_while_the_cluster_is_stopped(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.stop()
        agent = await here.start()
        here.scripts["c"] = Behaviour(stop_s=3.0)
        await here.create("a", terminationGracePeriodSeconds=20)
        before = await here.until(ready, "a")
        resting = asyncio.ensure_future(agent.rest(10))
        await asyncio.sleep(1)
        assert here.running() == ["c"]
        await here.create("b")
        await asyncio.wait_for(resting, 5)
        assert here.running() == []
        await asyncio.sleep(60)
        assert here.running() == []
        assert (await here.pod("a") or {})["status"] == before["status"]
        await here.stop()
        await here.start()
        await here.until(ready, "b")
        after = await here.until(lambda pod: count(pod) == 1 and ready(pod), "a")
        assert after["metadata"]["uid"] == before["metadata"]["uid"]

    played(tmp_path, story)


def test_who_does_not_end_in_time_is_killed_when_the_cluster_stops(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.stop()
        agent = await here.start()
        here.scripts["c"] = Behaviour(stop_s=300.0)
        await here.create(terminationGracePeriodSeconds=600)
        await here.until(ready)
        await asyncio.wait_for(agent.rest(5), 10)
        assert here.running() == []

    played(tmp_path, story)
