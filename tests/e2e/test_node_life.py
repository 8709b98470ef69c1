"""Pods on a real node: life, restarts, probes, end; and what survives the agent."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from petset.api.meta import Obj
from petset.node import kernel
from petset.node.runtime import teardown
from tests.e2e.node_box import (
    Box,
    box,
    eventually,
    is_ready,
    needs_machine,
    pod_of,
    restarts,
    state_of,
)

pytestmark = needs_machine


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


def waiting(pod: Obj, name: str = "c") -> str:
    return str((state_of(pod, name).get("waiting") or {}).get("reason") or "")


async def test_pod_runs_gets_an_address_and_goes(here: Box) -> None:
    await here.create(pod_of("web-0", "echo hello; exec sleep 1000"))
    pod = await here.until("web-0", is_ready)
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"].startswith("10.")
    assert pod["status"]["qosClass"] == "BestEffort"
    assert "running" in state_of(pod)
    await eventually(lambda: here.log(pod) == "hello")
    await here.client.delete("pods", "web-0", "default")
    await here.gone("web-0")
    assert not kernel.mounts_below(here.run / "n0" / "c")
    await here.told("web-0", "Killing")
    reasons = [reason for reason, _ in await here.events("web-0")]
    assert reasons == ["Pulled", "Created", "Started", "Killing"]


async def test_a_program_that_is_not_listening_yet_is_asked_again(here: Box) -> None:
    script = "mkfifo /tmp/go; read x < /tmp/go; trap 'exit 0' TERM; sleep 1000 & wait"
    await here.create(pod_of("p", script, terminationGracePeriodSeconds=600))
    await here.until("p", is_ready)
    record = next(r for r in teardown._records(here.state / "nodes/n0"))
    gate = Path(f"/proc/{record.pid}/root/tmp/go")
    await eventually(gate.is_fifo)
    await here.client.delete("pods", "p", "default")
    await here.told("p", "Killing")
    await asyncio.to_thread(gate.write_text, "\n")
    await here.gone("p")


async def test_object_goes_only_after_the_container(here: Box) -> None:
    script = "trap 'sleep 0.7; echo done; exit 0' TERM; sleep 1000 & wait"
    await here.create(pod_of("p", script, terminationGracePeriodSeconds=20))
    pod = await here.until("p", is_ready)
    record = next(r for r in teardown._records(here.state / "nodes/n0"))
    await here.client.delete("pods", "p", "default")
    await here.gone("p")
    assert not kernel.is_alive(record.pid, record.ticks)
    kept = here.state / "nodes/n0/pods" / pod["metadata"]["uid"]
    await eventually(lambda: not kept.exists())
    assert not Path(record.run.log_path).exists()


async def test_ended_container_is_restarted_at_once_then_later(here: Box) -> None:
    await here.create(pod_of("p", "exit 4"))
    pod = await here.until("p", lambda p: waiting(p) == "CrashLoopBackOff")
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 4
    assert status["lastState"]["terminated"]["reason"] == "Error"
    message = status["state"]["waiting"]["message"]
    uid = pod["metadata"]["uid"]
    assert message == f"back-off 10s restarting failed container=c pod=p_default({uid})"
    assert pod["status"]["phase"] == "Running"


async def test_pod_that_ends_well_succeeds(here: Box) -> None:
    await here.create(pod_of("p", "echo -n bye > /dev/termination-log", restartPolicy="Never"))
    pod = await here.until("p", lambda p: p["status"]["phase"] == "Succeeded")
    ended = state_of(pod)["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (0, "Completed", "bye")
    assert pod["status"]["podIP"]


async def test_init_containers_run_first_and_sidecars_stay(here: Box) -> None:
    mounts = [{"name": "w", "mountPath": "/w"}]
    init: list[dict[str, object]] = [
        {"name": "one", "image": "busybox", "command": ["sh", "-c", "echo 1 > /w/f"]},
        {
            "name": "side",
            "image": "busybox",
            "command": ["sleep", "1000"],
            "restartPolicy": "Always",
        },
    ]
    for spec in init:
        spec["volumeMounts"] = mounts
    await here.create(
        pod_of(
            "p",
            "cat /w/f",
            restartPolicy="Never",
            initContainers=init,
            volumes=[{"name": "w", "emptyDir": {"medium": "Memory"}}],
            container={"volumeMounts": [{"name": "w", "mountPath": "/w"}]},
        )
    )
    pod = await here.until("p", lambda p: p["status"]["phase"] == "Succeeded")
    assert here.log(pod) == "1"
    states = {s["name"]: s for s in pod["status"]["initContainerStatuses"]}
    assert states["one"]["state"]["terminated"]["exitCode"] == 0


async def test_missing_image_waits_and_heals(here: Box) -> None:
    await here.create(pod_of("p", container={"image": "nosuch"}))
    pod = await here.until("p", lambda p: waiting(p) == "ErrImagePull")
    assert pod["status"]["phase"] == "Pending"
    pod = await here.until("p", lambda p: waiting(p) == "ImagePullBackOff")
    assert 'Back-off pulling image "nosuch"' in state_of(pod)["waiting"]["message"]
    here.images.known.add("nosuch")
    await here.until("p", is_ready)


async def test_readiness_liveness_and_hooks(here: Box) -> None:
    container = {
        "readinessProbe": {"exec": {"command": ["test", "-e", "/w/ready"]}, "periodSeconds": 1},
        "livenessProbe": {
            "exec": {"command": ["test", "!", "-e", "/w/bad"]},
            "periodSeconds": 1,
            "timeoutSeconds": 20,
            "failureThreshold": 1,
        },
        "lifecycle": {"postStart": {"exec": {"command": ["touch", "/w/ready"]}}},
        "volumeMounts": [{"name": "w", "mountPath": "/w"}],
    }
    await here.create(pod_of("p", container=container, volumes=[{"name": "w", "emptyDir": {}}]))
    pod = await here.until("p", is_ready)
    agent = here.agents["n0"][0]
    run = agent.runtime.runs(pod["metadata"]["uid"])[-1]
    await agent.runtime.run_in(
        run.id, ["sh", "-c", "rm -f /w/ready; mv /w/ready /w/bad; touch /w/bad"], 10
    )
    pod = await here.until("p", lambda p: restarts(p) == 1)
    await here.told("p", "Unhealthy")
    await here.told("p", "Killing")
    events = await here.events("p")
    assert ("Killing", "Container c failed liveness probe, will be restarted") in events


async def test_http_probe_makes_ready(here: Box) -> None:
    probe = {"httpGet": {"path": "/index.html", "port": "web"}, "periodSeconds": 1}
    script = "sleep 0.3; echo ok > /index.html; exec httpd -f -p 8080 -h /"
    container = {
        "readinessProbe": probe,
        "ports": [{"name": "web", "containerPort": 8080}],
    }
    await here.create(pod_of("p", script, container=container))
    await here.until("p", is_ready)


async def test_memory_limit_kills_and_is_told(here: Box) -> None:
    container = {"resources": {"limits": {"memory": "16Mi"}}}
    script = "exec dd if=/dev/zero of=/dev/null bs=64M count=1"
    await here.create(pod_of("p", script, container=container, restartPolicy="Never"))
    pod = await here.until("p", lambda p: p["status"]["phase"] == "Failed")
    ended = state_of(pod)["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


async def test_successor_of_a_killed_agent_adopts(here: Box) -> None:
    await here.create(pod_of("p"))
    before = await here.until("p", is_ready)
    record = teardown._records(here.state / "nodes/n0")[0]
    await here.stop()
    await here.start()
    pod = await here.until("p", is_ready)
    assert kernel.is_alive(record.pid, record.ticks)
    assert pod["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    os.kill(record.pid, signal.SIGKILL)
    pod = await here.until("p", lambda p: restarts(p) == 1 and is_ready(p))
    assert pod["status"]["podIP"] == before["status"]["podIP"]
    last = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 137


async def test_exit_while_no_agent_lives_is_told_by_the_next(here: Box) -> None:
    script = "while test ! -e /tmp/go; do sleep 0.02; done; exit 9"
    await here.create(pod_of("p", script, restartPolicy="Never"))
    await here.until("p", is_ready)
    record = teardown._records(here.state / "nodes/n0")[0]
    await here.stop()
    Path(f"/proc/{record.pid}/root/tmp/go").touch()
    teardown._wait_gone([(record.conmon_pid, record.conmon_ticks)])
    await here.start()
    pod = await here.until("p", lambda p: p["status"]["phase"] == "Failed")
    assert state_of(pod)["terminated"]["exitCode"] == 9


async def test_pod_deleted_while_no_agent_lives_is_stopped(here: Box) -> None:
    await here.create(pod_of("p"))
    await here.until("p", is_ready)
    record = teardown._records(here.state / "nodes/n0")[0]
    await here.stop()
    await here.client.delete("pods", "p", "default", grace_s=0)
    assert await here.pod("p") is None
    assert kernel.is_alive(record.pid, record.ticks)
    await here.start()
    await eventually(lambda: not kernel.is_alive(record.pid, record.ticks))
    await eventually(lambda: not list((here.state / "nodes/n0/pods").iterdir()))


async def test_destroy_leaves_nothing_and_may_be_repeated(here: Box) -> None:
    await here.create(pod_of("p", volumes=[{"name": "w", "emptyDir": {"medium": "Memory"}}]))
    await here.until("p", is_ready)
    record = teardown._records(here.state / "nodes/n0")[0]
    await here.stop()
    for _ in range(2):
        teardown.destroy_node(here.run / "n0", here.state / "nodes/n0")
    assert not kernel.is_alive(record.pid, record.ticks)
    assert not kernel.mounts_below(here.run)
    assert not kernel.mounts_below(here.state)
    assert not (here.run / "n0").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/petset/{here.name}"))
    await eventually(lambda: not Path(f"/sys/class/net/{here.network.port(0)}").exists())


async def test_host_port_taken_twice_is_refused(here: Box) -> None:
    ports = {"ports": [{"containerPort": 80, "hostPort": 8080}]}
    await here.create(pod_of("a", container=ports))
    await here.until("a", is_ready)
    await here.create(pod_of("b", container=ports))
    pod = await here.until("b", lambda p: p["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "NodePorts"


async def test_unsupported_feature_is_named(here: Box) -> None:
    await here.create(pod_of("p", shareProcessNamespace=True))
    pod = await here.until("p", lambda p: waiting(p) == "CreateContainerConfigError")
    assert "shareProcessNamespace" in state_of(pod)["waiting"]["message"]
    await here.client.delete("pods", "p", "default")
    await here.gone("p")
