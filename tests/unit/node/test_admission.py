"""What a node refuses of the pods that are bound to it, and in which words."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from petset.api.meta import Obj
from petset.node import admission
from petset.node.seen import Verdict
from tests.unit.node.pods import pod
from tests.unit.node.rig import Rig, played, ready, waiting

CAPACITY = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi", "pods": "110"}


def node(**spec: Any) -> Any:
    labels = {"kubernetes.io/hostname": "n1", "disk": "ssd"}
    return {
        "metadata": {"name": "n1", "labels": labels},
        "spec": spec,
        "status": {"allocatable": {**CAPACITY, "example.org/gpu": "1"}},
    }


def asking(**requests: str) -> Any:
    named = {key.replace("gpu", "example.org/gpu"): amount for key, amount in requests.items()}
    container = {"name": "c", "image": "x", "resources": {"requests": named}}
    return pod(containers=[container])


@pytest.mark.parametrize(
    ("wanted", "used", "reason", "words"),
    [
        (asking(cpu="2"), {}, "", ""),
        (
            asking(cpu="1500m"),
            {"cpu": 600},
            "OutOfcpu",
            "cpu, requested: 1500, used: 600, capacity",
        ),
        (
            asking(memory="2Gi"),
            {},
            "OutOfmemory",
            "memory, requested: 2147483648, used: 0, capacity: 1073741824",
        ),
        (asking(), {"pods": 110}, "OutOfpods", "pods, requested: 1, used: 110, capacity: 110"),
        (asking(gpu="2"), {}, "OutOfexample.org/gpu", "example.org/gpu, requested: 2, used: 0"),
        (asking(**{"example.org/none": "2"}), {}, "", ""),
        (asking(cpu="0"), {"cpu": 5000}, "", ""),
    ],
)
def test_resources(wanted: Any, used: Any, reason: str, words: str) -> None:
    found = admission.refusal(wanted, node(), used)
    if not reason:
        assert found is None
        return
    assert found is not None
    assert found.reason == reason
    assert found.message.startswith(f"Pod was rejected: Node didn't have enough resource: {words}")


def test_labels_and_taints_and_the_operating_system() -> None:
    assert admission.refusal(pod(nodeSelector={"disk": "ssd"}), node(), {}) is None
    assert admission.refusal(pod(nodeSelector={"disk": "hdd"}), node(), {}) == Verdict(
        "NodeAffinity",
        "Pod was rejected: Predicate NodeAffinity failed: "
        "node(s) didn't match Pod's node affinity/selector",
    )
    leave = node(taints=[{"key": "example.com/leave", "value": "x", "effect": "NoExecute"}])
    assert admission.refusal(pod(), leave, {}) == Verdict(
        "TaintToleration",
        "Pod was rejected: Predicate TaintToleration failed: "
        "node(s) had taints that the pod didn't tolerate",
    )
    for toleration in (
        {"operator": "Exists"},
        {"key": "example.com/leave", "operator": "Exists", "effect": "NoExecute"},
        {"key": "example.com/leave", "value": "x"},
    ):
        assert admission.refusal(pod(tolerations=[toleration]), leave, {}) is None
    other = {"key": "example.com/leave", "value": "y"}
    assert admission.refusal(pod(tolerations=[other]), leave, {}) is not None
    soft = node(taints=[{"key": "k", "effect": "NoSchedule"}])
    assert admission.refusal(pod(), soft, {}) is None
    found = admission.refusal(pod(os={"name": "windows"}), node(), {})
    assert found is not None
    assert found.reason == "PodOSNotSupported"


def failed(found: Obj) -> bool:
    return bool(found["status"]["phase"] == "Failed")


def large(amount: str) -> Any:
    disks = {"example.org/disk": amount}
    return [{"name": "c", "image": "x", "resources": {"requests": disks, "limits": disks}}]


async def offer_disks(here: Rig, count: int) -> None:
    """Give the node a resource of its own, as an administrator does."""
    offered = {"capacity": {"example.org/disk": f"{count}"}}
    change = {"status": {**offered, "allocatable": offered["capacity"]}}
    await here.client.patch("nodes", "n1", change, subresource="status")


def test_a_pod_without_room_fails_and_runs_nothing_and_the_next_one_finds_what_was_freed(
    tmp_path: Path,
) -> None:
    async def story(here: Rig) -> None:
        await offer_disks(here, 3)
        await here.create("a", containers=large("2"))
        await here.until(ready, "a")
        await here.create("b", containers=large("2"))
        rejected = await here.until(failed, "b")
        assert rejected["status"]["reason"] == "OutOfexample.org/disk"
        assert rejected["status"]["message"] == (
            "Pod was rejected: Node didn't have enough resource: example.org/disk, "
            "requested: 2, used: 2, capacity: 3"
        )
        assert len(here.machine.runs) == 1
        events = await here.client.list("events", "default")
        told = {e["reason"]: e["message"] for e in events.items if e["type"] == "Warning"}
        assert told["OutOfexample.org/disk"].startswith("Node didn't have enough resource")
        await here.client.delete("pods", "a", "default")
        await here.gone("a")
        await here.create("c", containers=large("2"))
        await here.until(ready, "c")
        await here.client.delete("pods", "b", "default")
        await here.gone("b")

    played(tmp_path, story)


def test_a_label_that_the_scheduler_saw_first_is_no_reason_to_refuse(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        labelled = {"metadata": {"labels": {"disk": "ssd"}}}
        await asyncio.gather(
            here.client.patch("nodes", "n1", labelled),
            here.create("a", nodeSelector={"disk": "ssd"}),
        )
        await here.until(ready, "a")

    played(tmp_path, story)


def test_what_runs_already_is_not_judged_again(tmp_path: Path) -> None:
    async def story(here: Rig) -> None:
        await offer_disks(here, 3)
        await here.create("a", containers=large("2"))
        before = await here.until(ready, "a")
        await here.stop()
        await offer_disks(here, 1)
        await here.start()
        await asyncio.sleep(30)
        after = await here.until(ready, "a")
        assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
        assert waiting(after) == ""

    played(tmp_path, story)
