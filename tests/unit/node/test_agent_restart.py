"""What a restart of the machine or of the agent alone does to pods."""

import asyncio
import gc
import shutil
from pathlib import Path

import pytest

from petset.api import meta
from petset.testing.runtime import Behaviour
from tests.unit.node.rig import Rig, count, played, ready


def test_a_lost_machine_starts_its_pods_again(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.create()
        await here.until(ready)
        await here.stop()
        here.machine.end_all()
        await here.start()
        pod = await here.until(lambda pod: count(pod) == 1 and ready(pod))
        assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
        told = {e["reason"]: e for e in await here.events("Pod")}
        words = "Pod sandbox changed, it will be killed and re-created."
        assert told["SandboxChanged"]["message"] == words
        assert told["SandboxChanged"]["count"] == 1

    played(tmp_path, story)


def test_a_lost_machine_runs_init_containers_again(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["i"] = Behaviour(exit_after_s=0.1)
        await here.create(initContainers=[{"name": "i", "image": "x"}])
        await here.until(ready)
        await here.stop()
        here.machine.end_all()
        here.scripts["i"] = Behaviour(exit_after_s=5.0)
        await here.start()
        pod = await here.until(lambda pod: pod["status"]["phase"] == "Pending")
        assert not meta.is_condition_true(pod, "Initialized")
        assert here.running() == ["i"]
        pod = await here.until(lambda pod: count(pod) == 1 and ready(pod))
        assert pod["status"]["initContainerStatuses"][0]["restartCount"] == 1
        assert meta.is_condition_true(pod, "Initialized")

    played(tmp_path, story)


def test_a_new_agent_does_not_run_init_containers_again(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        here.scripts["i"] = Behaviour(exit_after_s=0.1)
        await here.create(initContainers=[{"name": "i", "image": "x"}])
        before = await here.until(ready)
        await here.stop()
        await here.start()
        await asyncio.sleep(30)
        assert await here.until(ready) == before
        assert len(here.machine.runs) == 2
        assert "SandboxChanged" not in {e["reason"] for e in await here.events("Pod")}

    played(tmp_path, story)


ENDED = {"status": {"phase": "Failed", "reason": "Gone", "message": "its node was away"}}
"""As pod GC tells it, which then deletes the pod, unless it dies in between."""


def test_a_pod_that_was_told_to_have_failed_by_another_hand_is_ended(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await here.create()
        await here.until(ready)
        await here.client.patch("pods", "p", ENDED, "default", subresource="status")
        pod = await here.until(lambda pod: not ready(pod))
        assert here.running() == []
        assert pod["status"]["phase"] == "Failed"
        assert pod["status"]["reason"] == "Gone"
        assert "terminated" in pod["status"]["containerStatuses"][0]["state"]

    played(tmp_path, story)


def test_a_pod_that_failed_while_its_node_was_away_is_ready_no_more(tmp_path: Path) -> None:
    """Seed 621779: the node was lost, with its records, and came back under its name."""

    async def story(here: Rig) -> None:
        await here.create()
        await here.until(ready)
        await here.stop()
        here.machine.end_all()
        here.machine.runs.clear()
        shutil.rmtree(here.root / "run")
        shutil.rmtree(here.root / "state")
        await here.client.patch("pods", "p", ENDED, "default", subresource="status")
        await here.start()
        pod = await here.until(lambda pod: not ready(pod))
        assert pod["status"]["phase"] == "Failed"
        assert here.running() == []
        await asyncio.sleep(60)
        assert await here.pod() == pod

    played(tmp_path, story)


@pytest.mark.parametrize("turns", range(10))
def test_an_agent_that_ends_while_pods_come_leaves_them_to_the_next(
    tmp_path: Path, turns: int
) -> None:
    """Its informers end some turns of the loop later than it does itself."""

    async def story(here: Rig) -> None:
        coming = [asyncio.ensure_future(here.create(f"p{i}")) for i in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await here.stop()
        await asyncio.gather(*coming)
        await here.start()
        for number in range(5):
            await here.until(ready, f"p{number}")

    played(tmp_path, story)
    gc.collect()  # a worker that was made and never begun would be told of now
