"""Deleting: grace, finalizers, propagation, preconditions, collections, namespaces."""

import pytest

from petset.apiserver.expire import Expiry
from tests.unit.apiserver.harness import (
    EPOCH,
    MAPS,
    PODS,
    SETS,
    Server,
    configmap,
    pod,
    statefulset,
)


async def bound(server: Server, name: str = "a", **meta: object) -> None:
    await server.make(PODS, pod(name, spec={"nodeName": "n1"}, metadata=meta))


async def test_an_object_goes_at_once_and_a_status_says_so(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"))
    answer = await server.ask("DELETE", f"{MAPS}/a")
    assert answer.status == 200
    assert answer.body["status"] == "Success"
    uid = made["metadata"]["uid"]
    assert answer.body["details"] == {"name": "a", "kind": "configmaps", "uid": uid}
    assert (await server.get(f"{MAPS}/a")).status == 404
    again = await server.ask("DELETE", f"{MAPS}/a")
    assert again.status == 404


async def test_a_bound_pod_gets_its_grace(server: Server) -> None:
    await bound(server)
    answer = await server.ask("DELETE", f"{PODS}/a")
    meta = answer.body["metadata"]
    assert meta["deletionGracePeriodSeconds"] == 30
    assert meta["deletionTimestamp"] == "2023-11-14T22:13:50Z"
    assert meta["generation"] == 2
    longer = await server.ask("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 60})
    assert longer.body["metadata"]["deletionGracePeriodSeconds"] == 30
    shorter = await server.ask("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 5})
    assert shorter.body["metadata"]["deletionGracePeriodSeconds"] == 5
    assert shorter.body["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:25Z"
    last = await server.ask("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 0})
    assert last.status == 200
    assert (await server.get(f"{PODS}/a")).status == 404


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_finished_pod_needs_no_grace(server: Server, phase: str) -> None:
    await bound(server)
    await server.patch(f"{PODS}/a/status", {"status": {"phase": phase}})
    await server.ask("DELETE", f"{PODS}/a")
    assert (await server.get(f"{PODS}/a")).status == 404


async def test_a_pod_without_node_needs_no_grace(server: Server) -> None:
    await server.make(PODS, pod("a"))
    answer = await server.ask("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 99})
    assert answer.body["kind"] == "Pod"
    assert (await server.get(f"{PODS}/a")).status == 404


async def test_a_negative_grace_is_one_second(server: Server) -> None:
    await bound(server)
    answer = await server.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=-1")
    assert answer.body["metadata"]["deletionGracePeriodSeconds"] == 1


async def test_finalizers_hold_an_object_until_they_are_gone(server: Server) -> None:
    await server.make(MAPS, configmap("a", finalizers=["example.com/x"]))
    answer = await server.ask("DELETE", f"{MAPS}/a")
    meta = answer.body["metadata"]
    assert (meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"]) == (
        "2023-11-14T22:13:20Z",
        0,
    )
    more = {"metadata": {"finalizers": ["example.com/x", "example.com/y"]}}
    refused = await server.patch(f"{MAPS}/a", more)
    assert refused.status == 422
    assert (
        "no new finalizers can be added if the object is being deleted" in (refused.body["message"])
    )
    last = await server.patch(f"{MAPS}/a", {"metadata": {"finalizers": None}})
    assert last.status == 200
    assert (await server.get(f"{MAPS}/a")).status == 404


async def test_a_pod_waits_for_both_grace_and_finalizers(server: Server) -> None:
    await bound(server, finalizers=["example.com/x"])
    await server.ask("DELETE", f"{PODS}/a")
    await server.patch(f"{PODS}/a", {"metadata": {"finalizers": None}})
    assert (await server.get(f"{PODS}/a")).status == 200
    await server.ask("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 0})
    assert (await server.get(f"{PODS}/a")).status == 404
    await bound(server, "b", finalizers=["example.com/x"])
    await server.ask("DELETE", f"{PODS}/b", {"gracePeriodSeconds": 0})
    assert (await server.get(f"{PODS}/b")).status == 200
    await server.patch(f"{PODS}/b", {"metadata": {"finalizers": None}})
    assert (await server.get(f"{PODS}/b")).status == 404


@pytest.mark.parametrize(
    ("options", "finalizers"),
    [
        ({"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        ({"propagationPolicy": "Orphan"}, ["orphan"]),
        ({"orphanDependents": True}, ["orphan"]),
    ],
)
async def test_propagation_is_told_by_finalizers(
    server: Server, options: object, finalizers: list[str]
) -> None:
    await server.make(SETS, statefulset())
    answer = await server.ask("DELETE", f"{SETS}/web", options)
    assert answer.body["metadata"]["finalizers"] == finalizers
    assert answer.body["metadata"]["generation"] == 2
    background = await server.ask("DELETE", f"{SETS}/web", {"propagationPolicy": "Background"})
    assert background.body["status"] == "Success"


async def test_controllers_that_orphan_by_default(server: Server) -> None:
    path = "/api/v1/namespaces/default/replicationcontrollers"
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    await server.make(path, {"metadata": {"name": "r"}, "spec": {"template": template}})
    answer = await server.ask("DELETE", f"{path}/r")
    assert answer.body["metadata"]["finalizers"] == ["orphan"]


async def test_preconditions_guard(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"))
    other = await server.ask("DELETE", f"{MAPS}/a", {"preconditions": {"uid": "other"}})
    assert other.status == 409
    assert (
        "the UID in the precondition (other) does not match the UID in record"
        in (other.body["message"])
    )
    stale = await server.ask("DELETE", f"{MAPS}/a", {"preconditions": {"resourceVersion": "1"}})
    assert stale.status == 409
    mine = {"preconditions": {"uid": made["metadata"]["uid"]}}
    assert (await server.ask("DELETE", f"{MAPS}/a", mine)).status == 200


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"propagationPolicy": "Odd"}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ({"gracePeriodSeconds": "x"}, 400),
        ({"kind": "Pod"}, 400),
        ({"dryRun": ["Some"]}, 422),
        (b"{", 400),
    ],
)
async def test_bad_options(server: Server, options: object, code: int) -> None:
    await server.make(MAPS, configmap("a"))
    assert (await server.ask("DELETE", f"{MAPS}/a", options)).status == code
    assert (await server.get(f"{MAPS}/a")).status == 200


async def test_dry_run_in_body_and_query(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    assert (await server.ask("DELETE", f"{MAPS}/a", {"dryRun": ["All"]})).status == 200
    assert (await server.ask("DELETE", f"{MAPS}/a?dryRun=All")).status == 200
    assert (await server.get(f"{MAPS}/a")).status == 200


async def test_collections_are_deleted_by_selector(server: Server) -> None:
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        await server.make(MAPS, configmap(name, labels={"tier": tier}))
    answer = await server.ask("DELETE", f"{MAPS}?labelSelector=tier=x")
    assert answer.body["kind"] == "ConfigMapList"
    assert [i["metadata"]["name"] for i in answer.body["items"]] == ["a", "b"]
    left = (await server.get(MAPS)).body["items"]
    assert [i["metadata"]["name"] for i in left] == ["c"]
    everywhere = await server.ask("DELETE", "/api/v1/configmaps")
    assert everywhere.status == 405


async def test_a_namespace_goes_when_its_finalizers_do(server: Server) -> None:
    path = "/api/v1/namespaces"
    await server.make(path, {"metadata": {"name": "n"}})
    answer = await server.ask("DELETE", f"{path}/n")
    assert answer.body["status"]["phase"] == "Terminating"
    assert answer.body["spec"]["finalizers"] == ["kubernetes"]
    again = await server.ask("DELETE", f"{path}/n")
    assert again.body["metadata"] == answer.body["metadata"]
    still = await server.patch(f"{path}/n", {"spec": {"finalizers": []}})
    assert still.body["spec"]["finalizers"] == ["kubernetes"]
    body = {**answer.body, "spec": {}}
    final = await server.ask("PUT", f"{path}/n/finalize", body)
    assert final.status == 200
    assert (await server.get(f"{path}/n")).status == 404


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public", "kube-node-lease"])
async def test_the_systems_namespaces_stay(server: Server, name: str) -> None:
    answer = await server.ask("DELETE", f"/api/v1/namespaces/{name}")
    assert answer.status == 403
    assert answer.body["message"] == (
        f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    )


async def test_old_events_expire(server: Server) -> None:
    events = "/api/v1/namespaces/default/events"
    about = {"kind": "Pod", "name": "a", "namespace": "default"}
    stamps = {"old": "2023-11-14T20:00:00Z", "new": "2023-11-14T22:00:00Z"}
    for name, stamp in stamps.items():
        event = {"metadata": {"name": name}, "involvedObject": about, "lastTimestamp": stamp}
        await server.make(events, event)
    expiry = Expiry(server.store)
    # Neither is older than its own creation: an hour later both stay, the day after none does.
    assert await expiry.sweep(EPOCH - 3600) == 0
    assert await expiry.sweep(EPOCH + 86_400) == 2
    assert (await server.get(events)).body["items"] == []
