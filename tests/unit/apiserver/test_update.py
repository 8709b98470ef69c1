"""Replacing and patching: preconditions, generation, no-ops, status on its own, scale."""

import asyncio

import pytest

from tests.unit.apiserver.harness import (
    MAPS,
    PODS,
    SETS,
    Server,
    configmap,
    pod,
    statefulset,
)


async def test_put_replaces_and_counts_the_spec(server: Server) -> None:
    made = await server.make(SETS, statefulset())
    made["spec"]["replicas"] = 5
    answer = await server.ask("PUT", f"{SETS}/web", made)
    assert (answer.status, answer.body["metadata"]["generation"]) == (200, 2)
    relabelled = {**answer.body, "metadata": {**answer.body["metadata"], "labels": {"x": "y"}}}
    again = await server.ask("PUT", f"{SETS}/web", relabelled)
    assert again.body["metadata"]["generation"] == 2
    assert again.body["metadata"]["labels"] == {"x": "y"}


async def test_put_of_an_old_state_conflicts(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"))
    await server.patch(f"{MAPS}/a", {"data": {"b": "2"}})
    answer = await server.ask("PUT", f"{MAPS}/a", made)
    assert answer.status == 409
    assert answer.body["message"].startswith(
        'Operation cannot be fulfilled on configmaps "a": the object has been modified'
    )


async def test_put_without_version_is_unconditional_where_allowed(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    answer = await server.ask("PUT", f"{MAPS}/a", configmap("a", {"z": "9"}))
    assert answer.body["data"] == {"z": "9"}
    await server.make(
        "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
        {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {}}},
    )
    answer = await server.ask(
        "PUT",
        "/apis/policy/v1/namespaces/default/poddisruptionbudgets/b",
        {"metadata": {"name": "b"}, "spec": {"minAvailable": 2, "selector": {}}},
    )
    assert answer.status == 422
    assert "must be specified for an update" in answer.body["message"]


async def test_a_change_of_nothing_is_not_written(server: Server) -> None:
    made = await server.make(SETS, statefulset())
    before = server.store.revision
    assert (await server.ask("PUT", f"{SETS}/web", made)).body == made
    assert (await server.patch(f"{SETS}/web", {"spec": {"replicas": 2}})).body == made
    assert (await server.patch(f"{SETS}/web", {"metadata": {"labels": {}}})).status == 200
    assert server.store.revision == before


async def test_put_checks_name_uid_and_presence(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"))
    renamed = await server.ask("PUT", f"{MAPS}/a", configmap("b"))
    assert renamed.body["message"] == (
        "the name of the object (b) does not match the name on the URL (a)"
    )
    other = {**made, "metadata": {**made["metadata"], "uid": "other"}}
    refused = await server.ask("PUT", f"{MAPS}/a", other)
    assert refused.status == 409
    assert "Precondition failed: UID in precondition: other" in refused.body["message"]
    missing = await server.ask("PUT", f"{MAPS}/zz", configmap("zz"))
    assert missing.status == 404


async def test_some_kinds_are_made_by_put(server: Server) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    answer = await server.ask("PUT", f"{path}/l", {"metadata": {"name": "l"}, "spec": {}})
    assert answer.status == 201
    assert (await server.get(f"{path}/l")).status == 200


async def test_what_the_server_owns_cannot_be_changed(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"))
    patch = {
        "metadata": {
            "creationTimestamp": "2001-01-01T00:00:00Z",
            "deletionTimestamp": "2001-01-01T00:00:00Z",
            "generation": 7,
            "labels": {"x": "y"},
        }
    }
    meta = (await server.patch(f"{MAPS}/a", patch)).body["metadata"]
    assert meta["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert "deletionTimestamp" not in meta
    assert "generation" not in meta


async def test_status_and_spec_are_written_apart(server: Server) -> None:
    made = await server.make(SETS, statefulset())
    change = {"spec": {"replicas": 9}, "status": {"replicas": 4}, "metadata": {"labels": None}}
    answer = await server.patch(f"{SETS}/web/status", change)
    assert answer.body["status"]["replicas"] == 4
    assert answer.body["spec"]["replicas"] == 2
    assert answer.body["metadata"]["labels"] == made["metadata"]["labels"]
    assert answer.body["metadata"]["generation"] == 1
    main = await server.patch(f"{SETS}/web", {"status": {"replicas": 1}, "spec": {"replicas": 3}})
    assert main.body["status"]["replicas"] == 4
    assert main.body["spec"]["replicas"] == 3


async def test_immutable_fields_are_named(server: Server) -> None:
    await server.make(SETS, statefulset())
    refused = await server.patch(f"{SETS}/web", {"spec": {"serviceName": "other"}})
    assert refused.status == 422
    assert "updates to statefulset spec for fields other than" in refused.body["message"]


@pytest.mark.parametrize(
    ("kind", "patch", "code"),
    [
        ("json", [{"op": "test", "path": "/data/a", "value": "no"}], 422),
        ("json", [{"op": "remove", "path": "/data/none"}], 422),
        ("json", {"op": "add"}, 400),
        ("merge", [1], 400),
        ("merge", {"data": {"a": 1}}, 422),
        ("strategic", {"data": {"$patch": "odd"}}, 400),
    ],
)
async def test_patches_that_fail(server: Server, kind: str, patch: object, code: int) -> None:
    await server.make(MAPS, configmap("a"))
    before = server.store.revision
    answer = await server.patch(f"{MAPS}/a", patch, kind)
    assert answer.status == code
    assert server.store.revision == before


async def test_patches_that_work(server: Server) -> None:
    await server.make(MAPS, configmap("a", {"a": "1", "b": "2"}))
    await server.patch(f"{MAPS}/a", [{"op": "replace", "path": "/data/a", "value": "9"}], "json")
    await server.patch(f"{MAPS}/a", {"data": {"b": None, "c": "3"}}, "merge")
    found = await server.patch(f"{MAPS}/a", {"data": {"d": "4"}}, "strategic")
    assert found.body["data"] == {"a": "9", "c": "3", "d": "4"}


async def test_a_version_inside_a_patch_is_a_precondition(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"))
    version = made["metadata"]["resourceVersion"]
    good = await server.patch(
        f"{MAPS}/a", {"metadata": {"resourceVersion": version}, "data": {"x": "1"}}
    )
    assert good.status == 200
    stale = await server.patch(
        f"{MAPS}/a", {"metadata": {"resourceVersion": version}, "data": {"x": "2"}}
    )
    assert (stale.status, stale.body["reason"]) == (409, "Conflict")


async def test_patches_at_the_same_time_all_count(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    answers = await asyncio.gather(
        *(server.patch(f"{MAPS}/a", {"data": {f"k{n}": "1"}}) for n in range(20))
    )
    assert {a.status for a in answers} == {200}
    data = (await server.get(f"{MAPS}/a")).body["data"]
    assert {f"k{n}" for n in range(20)} <= set(data)


async def test_unknown_fields_in_patches(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    strict = await server.patch(f"{MAPS}/a?fieldValidation=Strict", {"spec": {"x": 1}})
    assert strict.status == 422
    assert strict.body["details"]["causes"][0]["field"] == "patch"
    warned = await server.patch(f"{MAPS}/a", {"spec": {"x": 1}})
    assert warned.header("Warning") == ['299 - "unknown field \\"spec\\""']


async def test_unknown_patch_types_and_force_where_it_means_nothing_are_refused(
    server: Server,
) -> None:
    await server.make(MAPS, configmap("a"))
    odd = await server.ask("PATCH", f"{MAPS}/a", b"{}", content_type="text/plain")
    assert odd.status == 415
    forced = await server.patch(f"{MAPS}/a?force=true", {})
    assert forced.status == 422


async def test_scale_reads_and_writes_the_replicas(server: Server) -> None:
    await server.make(SETS, statefulset())
    scale = (await server.get(f"{SETS}/web/scale")).body
    assert scale["kind"] == "Scale"
    assert (scale["spec"], scale["status"]) == (
        {"replicas": 2},
        {"replicas": 0, "selector": "app=web"},
    )
    patched = await server.patch(f"{SETS}/web/scale", {"spec": {"replicas": 4}})
    assert patched.body["spec"]["replicas"] == 4
    parent = (await server.get(f"{SETS}/web")).body
    assert (parent["spec"]["replicas"], parent["metadata"]["generation"]) == (4, 2)
    stale = await server.ask("PUT", f"{SETS}/web/scale", {**scale, "spec": {"replicas": 1}})
    assert stale.status == 409
    del scale["metadata"]["resourceVersion"]
    put = await server.ask("PUT", f"{SETS}/web/scale", {**scale, "spec": {"replicas": 1}})
    assert (put.status, put.body["spec"]["replicas"]) == (200, 1)
    negative = await server.patch(f"{SETS}/web/scale", {"spec": {"replicas": -1}})
    assert negative.status == 422


async def test_binding_gives_a_pod_its_node_once(server: Server) -> None:
    made = await server.make(PODS, pod("a"))
    binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}
    answer = await server.ask("POST", f"{PODS}/a/binding", binding)
    assert (answer.status, answer.body["status"]) == (201, "Success")
    bound = (await server.get(f"{PODS}/a")).body
    assert bound["spec"]["nodeName"] == "n1"
    conditions = {c["type"]: c["status"] for c in bound["status"]["conditions"]}
    assert conditions["PodScheduled"] == "True"
    again = await server.ask("POST", f"{PODS}/a/binding", binding)
    assert again.status == 409
    assert 'pod a is already assigned to node "n1"' in again.body["message"]
    await server.make(PODS, pod("b"))
    wrong = {"metadata": {"name": "b", "uid": made["metadata"]["uid"]}, "target": {"name": "n1"}}
    assert (await server.ask("POST", f"{PODS}/b/binding", wrong)).status == 409
    collection = "/api/v1/namespaces/default/bindings"
    other = {"metadata": {"name": "b"}, "target": {"name": "n2"}}
    assert (await server.ask("POST", collection, other)).status == 201
    nowhere = {"metadata": {"name": "b"}, "target": {"kind": "Node"}}
    assert (await server.ask("POST", f"{PODS}/b/binding", nowhere)).status == 422


async def test_claims_grow_only_when_bound_and_allowed(server: Server) -> None:
    path = "/api/v1/namespaces/default/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await server.make(path, {"metadata": {"name": "c"}, "spec": spec})
    grow = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    refused = await server.patch(f"{path}/c", grow)
    assert refused.status in (403, 422)
    await server.patch(f"{path}/c", {"spec": {"volumeName": "v"}})
    await server.patch(f"{path}/c/status", {"status": {"phase": "Bound"}})
    assert (await server.patch(f"{path}/c", grow)).status == 200


async def test_events_are_served_in_both_groups(server: Server) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "reason": "Started",
        "message": "hello",
        "type": "Normal",
    }
    await server.make("/api/v1/namespaces/default/events", event)
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    newer = (await server.get(f"{path}/e")).body
    assert (newer["apiVersion"], newer["note"]) == ("events.k8s.io/v1", "hello")
    assert newer["regarding"]["name"] == "a"
    listed = await server.get(f"{path}?fieldSelector=regarding.name%3Da".replace("%3D", "="))
    assert [item["note"] for item in listed.body["items"]] == ["hello"]
    refused = await server.patch(f"{path}/e", {"note": "bye"})
    assert [cause["field"] for cause in refused.body["details"]["causes"]] == ["message"]
    patched = await server.patch(f"{path}/e", {"metadata": {"labels": {"a": "b"}}})
    assert patched.body["note"] == "hello"
    older = "/api/v1/namespaces/default/events/e"
    assert (await server.patch(older, {"message": "bye"})).body["metadata"]["labels"] == {"a": "b"}
    async with server.watching(path) as ear:
        (first,) = await ear.until(1)
        assert first["object"]["note"] == "bye"
