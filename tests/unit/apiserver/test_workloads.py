"""Workloads through the whole API: what the server adds, counts, warns about and refuses."""

import copy
from typing import Any

import pytest

from tests.unit.apiserver.harness import PODS, Server, pod

Made = dict[str, Any]
APPS = "/apis/apps/v1/namespaces/default"
BATCH = "/apis/batch/v1/namespaces/default"
CORE = "/api/v1/namespaces/default"
GENERATION = "deprecated.daemonset.template.generation"
OLD = {"beta.kubernetes.io/os": "linux"}


def _template(policy: str = "Always", **spec: Any) -> Made:
    containers = [{"name": "c", "image": "i"}]
    spec = {"restartPolicy": policy, "containers": containers, **spec}
    return {"metadata": {"labels": {"a": "b"}}, "spec": spec}


def _workload(name: str, **spec: Any) -> Made:
    chosen = {"selector": {"matchLabels": {"a": "b"}}, "template": _template(), **spec}
    return {"metadata": {"name": name}, "spec": chosen}


async def test_a_daemon_sets_template_is_counted_whatever_the_client_says(server: Server) -> None:
    path = f"{APPS}/daemonsets"
    made = await server.make(path, _workload("d"))
    assert made["metadata"]["annotations"] == {GENERATION: "1"}
    put = copy.deepcopy(made)
    put["metadata"]["annotations"] = {GENERATION: "7"}
    kept = (await server.ask("PUT", f"{path}/d", put)).body
    assert kept["metadata"]["annotations"] == {GENERATION: "1"}
    image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "j"}]}}}}
    rolled = (await server.patch(f"{path}/d", image, "strategic")).body
    assert rolled["metadata"]["annotations"] == {GENERATION: "2"}
    assert rolled["metadata"]["generation"] == 2


async def test_a_pod_template_counts_its_changes(server: Server) -> None:
    path = f"{CORE}/podtemplates"
    made = await server.make(path, {"metadata": {"name": "t"}, "template": _template()})
    assert made["metadata"]["generation"] == 1
    named = await server.patch(f"{path}/t", {"metadata": {"labels": {"x": "y"}}})
    assert named.body["metadata"]["generation"] == 1
    moved = await server.patch(f"{path}/t", {"template": {"spec": {"nodeName": "n1"}}})
    assert moved.body["metadata"]["generation"] == 2


async def test_templates_are_warned_about_when_they_are_made_and_changed(server: Server) -> None:
    path = f"{APPS}/deployments"
    odd = _workload("d", template=_template(nodeSelector=OLD))
    made = await server.ask("POST", path, odd)
    told = made.header("Warning")
    assert len(told) == 1
    assert "spec.template.spec.nodeSelector[beta.kubernetes.io/os]" in told[0]
    scaled = await server.patch(f"{path}/d", {"spec": {"replicas": 3}})
    assert scaled.header("Warning") == told
    labelled = await server.patch(f"{path}/d", {"metadata": {"labels": {"x": "y"}}})
    assert labelled.header("Warning") == []


async def test_a_pod_is_warned_about_once(server: Server) -> None:
    made = await server.ask("POST", PODS, pod("p", spec={"nodeSelector": OLD}))
    assert len(made.header("Warning")) == 1
    labelled = await server.patch(f"{PODS}/p", {"metadata": {"labels": {"x": "y"}}})
    assert (labelled.status, labelled.header("Warning")) == (200, [])


async def test_who_deletes_a_job_is_told_that_its_pods_stay(server: Server) -> None:
    path = f"{BATCH}/jobs"
    for name in ("a", "b"):
        spec = {"template": _template("Never")}
        await server.make(path, {"metadata": {"name": name}, "spec": spec})
    silent = await server.ask("DELETE", f"{path}/a", {"propagationPolicy": "Background"})
    assert silent.header("Warning") == []
    told = await server.ask("DELETE", f"{path}/b")
    assert told.header("Warning")[0].startswith('299 - "child pods are preserved by default')
    assert told.body["metadata"]["finalizers"] == ["orphan"]


async def test_a_jobs_status_goes_forward_only(server: Server) -> None:
    path = f"{BATCH}/jobs"
    await server.make(path, {"metadata": {"name": "j"}, "spec": {"template": _template("Never")}})
    start = {"status": {"startTime": "2023-11-14T22:13:20Z", "succeeded": 1}}
    assert (await server.patch(f"{path}/j/status", start)).status == 200
    back = await server.patch(f"{path}/j/status", {"status": {"succeeded": 0}})
    assert back.status == 422
    assert back.body["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: 0: cannot decrease the succeeded counter",
            "field": "status.succeeded",
        }
    ]


@pytest.mark.parametrize("part", ["resize", "ephemeralcontainers"])
async def test_parts_of_pods_that_are_not_there_yet_are_refused_by_name(
    server: Server, part: str
) -> None:
    await server.make(PODS, pod("p"))
    answer = await server.patch(f"{PODS}/p/{part}", {"spec": {}})
    assert answer.status == 501
    assert f"pods/{part}" in answer.body["message"]


async def test_an_impossible_scale_is_refused(server: Server) -> None:
    path = f"{APPS}/replicasets"
    await server.make(path, _workload("r"))
    answer = await server.patch(f"{path}/r/scale", {"spec": {"replicas": -1}})
    assert answer.status == 422
    assert answer.body["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: -1: must be greater than or equal to 0",
            "field": "spec.replicas",
        }
    ]
    good = await server.patch(f"{path}/r/scale", {"spec": {"replicas": 4}})
    assert good.body["spec"]["replicas"] == 4
