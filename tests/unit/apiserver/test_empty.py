"""What is empty is not stored, as upstream forgets it; who names it in an apply still owns it."""

from typing import Any

import orjson
import pytest

from petset.apiserver import objects
from tests.unit.apiserver.harness import MAPS, PODS, SETS, Server, configmap, pod, statefulset
from tests.unit.apiserver.minimal import BODIES
from tests.unit.apiserver.test_apply import owned, sts

WEB = f"{SETS}/web"


def bare() -> dict[str, Any]:
    """A StatefulSet whose template says nothing in many words."""
    obj = statefulset()
    obj["spec"]["minReadySeconds"] = 0
    spec = obj["spec"]["template"]["spec"]
    spec |= {"hostNetwork": False, "nodeSelector": {}, "imagePullSecrets": [], "hostname": ""}
    spec["containers"][0] |= {"env": [], "stdin": False, "command": []}
    return obj


async def test_what_is_created_empty_is_stored_without(server: Server) -> None:
    made = await server.make(SETS, bare())
    await server.ask("DELETE", WEB)
    assert made["spec"] == (await server.make(SETS, statefulset()))["spec"]
    made = await server.make(MAPS, {**configmap("m"), "data": {}, "binaryData": {}})
    assert "data" not in made
    assert "binaryData" not in made
    assert "labels" not in made["metadata"]


async def test_naming_what_is_unset_anyway_is_no_change(server: Server) -> None:
    made = await server.make(SETS, statefulset())
    put = {**bare(), "metadata": made["metadata"]}
    assert (await server.ask("PUT", WEB, put)).body == made
    template = {"spec": bare()["spec"]["template"]["spec"]}
    patched = await server.patch(WEB, {"spec": {"minReadySeconds": 0, "template": template}})
    assert patched.body == made


async def test_emptying_by_a_patch_leaves_nothing_behind(server: Server) -> None:
    await server.make(PODS, {**pod("p"), "metadata": {"name": "p", "labels": {"a": "b"}}})
    patched = await server.patch(f"{PODS}/p", {"metadata": {"labels": {"a": None}}})
    assert "labels" not in patched.body["metadata"]


async def test_an_applier_owns_what_it_names_empty(server: Server) -> None:
    config = sts(**bare()["spec"])
    made = await server.apply(WEB, config)
    spec = made.body["spec"]["template"]["spec"]
    assert "nodeSelector" not in spec
    assert "env" not in spec["containers"][0]
    mine = owned(made.body, "me")["f:spec"]["f:template"]["f:spec"]
    assert mine["f:nodeSelector"] == {}
    assert mine["f:containers"]['k:{"name":"c"}']["f:stdin"] == {}
    again = await server.apply(WEB, config)
    assert again.body == made.body


async def test_an_object_of_older_rules_gets_no_new_generation_when_it_is_tidied(
    server: Server,
) -> None:
    made = await server.make(SETS, statefulset())
    old = {**made, "spec": {**made["spec"], "minReadySeconds": 0, "volumeClaimTemplates": []}}
    item = server.store.head("statefulsets.apps/default/web")
    assert item is not None
    await server.store.put(item.key, objects.maker(old), expect=item.revision)
    patched = await server.patch(WEB, {"metadata": {"labels": {"a": "b"}}})
    assert patched.status == 200, orjson.dumps(patched.body)
    assert patched.body["spec"] == made["spec"]
    assert patched.body["metadata"]["generation"] == made["metadata"]["generation"]


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("apis/apps/v1/namespaces/default/deployments", "deployments.apps", {}),
        ("apis/batch/v1/namespaces/default/jobs", "jobs.batch", {}),
        (
            "apis/networking.k8s.io/v1/namespaces/default/ingresses",
            "ingresses.networking.k8s.io",
            {"loadBalancer": {}},
        ),
        (
            "apis/storage.k8s.io/v1/volumeattachments",
            "volumeattachments.storage.k8s.io",
            {"attached": False},
        ),
        (
            "apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            "horizontalpodautoscalers.autoscaling",
            {"desiredReplicas": 0},
        ),
    ],
)
async def test_a_new_object_has_a_status_if_an_empty_one(
    server: Server, path: str, kind: str, status: Any
) -> None:
    body = {**BODIES[kind], "metadata": {"name": "a"}, "status": {"conditions": []}}
    made = await server.make(f"/{path}", body)
    assert made["status"] == status


async def test_an_event_has_a_source_if_an_empty_one(server: Server) -> None:
    body = {"metadata": {"name": "a"}, "involvedObject": {"namespace": "default"}}
    assert (await server.make("/api/v1/namespaces/default/events", body))["source"] == {}
