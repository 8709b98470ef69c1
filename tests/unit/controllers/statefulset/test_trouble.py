"""Why a pod is not Ready: one stable word and message for each reason."""

from typing import Any

import pytest

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.statefulset import trouble

NOW = 1_700_000_000.0


def pod(phase: str = "Running", **status: Any) -> MutableObj:
    created = meta.format_time(NOW - 100)
    metadata = {"name": "web-0", "creationTimestamp": created}
    return {"metadata": metadata, "status": {"phase": phase, **status}}


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "db", "state": state, **more}]}


def waiting(reason: str) -> dict[str, Any]:
    return container({"waiting": {"reason": reason}})


def ready(status: str, ago: float) -> dict[str, Any]:
    since = meta.format_time(NOW - ago)
    return {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": since}]}


ENDED, WELL = {"terminated": {"exitCode": 1}}, {"terminated": {"exitCode": 0}}
STARTING = {"waiting": {"reason": "ContainerCreating"}}
UNFIT = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 ..."}
UNBOUND = {**UNFIT, "message": "0/3 ...: pod has unbound immediate PersistentVolumeClaims."}
GOING = {**UNFIT, "message": '0/3 ...: persistentvolumeclaim "data-web-0" is being deleted.'}


@pytest.mark.parametrize(
    ("status", "reason", "hopeless"),
    [
        (waiting("ErrImagePull"), "ImagePullBackOff", True),
        (waiting("ImagePullBackOff"), "ImagePullBackOff", True),
        (waiting("CreateContainerConfigError"), "CreateContainerConfigError", True),
        (waiting("CrashLoopBackOff"), "CrashLoopBackOff", True),
        (waiting("ContainerCreating"), "PodNotReady", False),
        (container(ENDED), "CrashLoopBackOff", True),
        (container(WELL), "PodNotReady", False),
        (container({"running": {}}, lastState=ENDED), "CrashLoopBackOff", True),
        (container({"running": {}}, lastState=WELL), "PodNotReady", False),
        (container(STARTING, lastState=ENDED), "CrashLoopBackOff", True),
        (container(STARTING, lastState=WELL), "PodNotReady", False),
        (container({"running": {}}, lastState=ENDED, ready=True), "PodNotReady", False),
        ({"conditions": [UNFIT]}, "Unschedulable", True),
        ({"conditions": [UNBOUND]}, "WaitingForClaims", False),
        ({"conditions": [GOING]}, "WaitingForClaims", False),
        ({}, "PodNotReady", False),
    ],
)
def test_a_reason_and_whether_waiting_will_help(
    status: dict[str, Any], reason: str, hopeless: bool
) -> None:
    seen = trouble.of_pod(pod(**status))
    assert seen is not None
    assert (seen.reason, seen.hopeless) == (reason, hopeless)
    assert "web-0" in seen.message


def test_what_fails_to_start_an_init_container_is_told() -> None:
    status = {"initContainerStatuses": [{"name": "init", "state": ENDED}]}
    seen = trouble.of_pod(pod("Pending", **status))
    assert seen is not None
    assert seen.message == "Pod web-0 is not Ready: container init: CrashLoopBackOff"


@pytest.mark.parametrize(("started", "probe"), [(False, "startup"), (True, "readiness")])
def test_a_probe_that_does_not_succeed_is_told_when_that_takes_too_long(
    started: bool, probe: str
) -> None:
    seen = trouble.of_pod(pod(**container({"running": {}}, ready=False, started=started)))
    assert seen is not None
    assert seen.message == "Pod web-0 is not Ready"
    told = f"Pod web-0 is not Ready: container db runs, its {probe} probe does not succeed"
    assert trouble.overdue(seen).message == told
    assert trouble.overdue(trouble.overdue(seen)).message == told


def test_what_the_scheduler_says_of_claims_is_told_when_that_takes_too_long() -> None:
    seen = trouble.of_pod(pod("Pending", conditions=[GOING]))
    assert seen is not None
    assert seen.message == "Pod web-0 waits for its claims"
    told = f'{seen.message}: 0/3 ...: persistentvolumeclaim "data-web-0" is being deleted'
    assert trouble.overdue(seen).message == told


def test_a_ready_pod_has_none_and_an_ended_one_is_replaced_anyway() -> None:
    assert trouble.of_pod(pod(**ready("True", 5))) is None
    seen = trouble.of_pod(pod("Failed"))
    assert seen is not None
    assert (seen.reason, seen.hopeless) == ("PodFailed", False)


def test_time_counts_from_when_it_ceased_to_be_ready_or_was_made() -> None:
    lost, new = trouble.of_pod(pod(**ready("False", 50))), trouble.of_pod(pod())
    assert lost is not None
    assert new is not None
    assert (lost.since, new.since) == (NOW - 50, NOW - 100)
    assert not trouble.is_late(lost, 60, NOW)
    assert trouble.is_late(new, 60, NOW)
    assert trouble.next_look([lost, new], 60, NOW) == 10
    assert trouble.next_look([new], 60, NOW) is None


def test_a_pod_that_is_going_has_a_minute_beyond_its_grace_period() -> None:
    going = pod(**ready("True", 5))
    going["metadata"]["deletionTimestamp"] = meta.format_time(NOW + 30)
    seen = trouble.of_pod(going)
    assert seen is not None
    assert seen.reason == "PodTerminating"
    assert trouble.next_look([seen], 600, NOW) == 90


def test_a_pod_that_was_ready_when_its_node_fell_silent_names_it() -> None:
    told = ready("False", 5)
    told["conditions"][0]["reason"] = "NodeNotReady"
    seen = trouble.of_pod({**pod(**told), "spec": {"nodeName": "node-7"}})
    assert seen is not None
    assert (seen.reason, seen.hopeless) == ("PodNotReady", False)
    assert seen.message == "Pod web-0 is not Ready: node node-7 is silent"


def test_a_pod_whose_node_is_silent_names_it_when_that_takes_too_long() -> None:
    going = pod(**ready("False", 5))
    going["metadata"]["deletionTimestamp"] = meta.format_time(NOW)
    going["spec"] = {"nodeName": "node-7"}
    seen = trouble.of_pod(going)
    assert seen is not None
    told = "Pod web-0 is being deleted: node node-7 does not confirm its end"
    assert (seen.message, trouble.overdue(seen).message) == ("Pod web-0 is being deleted", told)
    assert trouble.is_late(seen, 600, NOW + 90)


def test_the_scheduler_says_why_a_pod_fits_on_no_node() -> None:
    words = "0/3 nodes are available: 3 Insufficient cpu."
    seen = trouble.of_pod(pod(conditions=[{**UNFIT, "message": words}]))
    assert seen is not None
    assert seen.message == (
        "Pod web-0 fits on no node: 0/3 nodes are available: 3 Insufficient cpu"
    )
