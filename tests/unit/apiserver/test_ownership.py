"""managedFields after plain writes; what creation keeps and makes."""

from typing import Any

from tests.unit.apiserver.harness import MAPS, PODS, SETS, Server, configmap, node, pod, statefulset

MAP = f"{MAPS}/a"
CLEARED: tuple[list[Any], ...] = ([], [{}])
JOBS = "/apis/batch/v1/namespaces/default/jobs"


def by(manager: str) -> list[tuple[str, str]]:
    return [("fieldManager", manager)]


def entries(obj: Any) -> dict[str, Any]:
    """The sets by `manager`, or `manager/subresource`."""
    return {
        "/".join(filter(None, (e["manager"], e.get("subresource")))): e["fieldsV1"]
        for e in obj["metadata"].get("managedFields", ())
    }


async def test_a_creator_owns_what_it_sent_and_defaults_but_not_what_admission_adds(
    server: Server,
) -> None:
    made = await server.make(PODS, pod("a", metadata={"labels": {"x": "y"}}), query=by("me"))
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["operation"], entry["apiVersion"]) == ("Update", "v1")
    fields = entry["fieldsV1"]
    assert fields["f:metadata"] == {"f:labels": {".": {}, "f:x": {}}}
    spec = fields["f:spec"]
    assert {"f:containers", "f:restartPolicy", "f:dnsPolicy"} <= set(spec)
    assert not {"f:tolerations", "f:serviceAccountName", "f:priority"} & set(spec)
    assert 'k:{"name":"c"}' in spec["f:containers"]
    assert "." not in spec["f:containers"]
    assert "f:status" not in fields


async def test_a_changed_field_moves_to_the_writer(server: Server) -> None:
    await server.make(MAPS, configmap("a", {"x": "1", "y": "1"}), query=by("one"))
    changed = await server.patch(MAP, {"data": {"x": "2", "z": "3"}}, query=by("two"))
    assert entries(changed.body) == {
        "one": {"f:data": {".": {}, "f:y": {}}},
        "two": {"f:data": {"f:x": {}, "f:z": {}}},
    }
    removed = await server.patch(MAP, {"data": {"y": None}}, query=by("two"))
    assert entries(removed.body)["one"] == {"f:data": {}}


async def test_a_put_moves_only_what_differs(server: Server) -> None:
    made = await server.make(SETS, statefulset(), query=by("one"))
    made["spec"]["replicas"] = 7
    answer = await server.ask("PUT", f"{SETS}/web", made, query=by("two"))
    assert entries(answer.body)["two"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in entries(answer.body)["one"]["f:spec"]


async def test_writes_of_status_have_entries_of_their_own(server: Server) -> None:
    await server.make(SETS, statefulset(), query=by("one"))
    path = f"{SETS}/web/status"
    await server.patch(path, {"status": {"replicas": 1}}, query=by("one"))
    scaled = await server.patch(f"{SETS}/web/scale", {"spec": {"replicas": 4}}, query=by("hpa"))
    assert scaled.status == 200
    found = entries((await server.get(f"{SETS}/web")).body)
    assert found["one/status"] == {"f:status": {"f:replicas": {}}}
    assert found["hpa/scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:status" not in found["one"]


async def test_times_follow_the_writes_and_alone_are_no_change(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"), query=by("one"))
    server.clock.time += 60
    same = await server.patch(MAP, {"data": {"a": "1"}}, query=by("one"))
    assert same.body == made
    older = [{**made["metadata"]["managedFields"][0], "time": "2001-01-01T00:00:00Z"}]
    timed = await server.patch(MAP, {"metadata": {"managedFields": older}}, query=by("one"))
    assert timed.body == made
    later = await server.patch(MAP, {"data": {"b": "1"}}, query=by("one"))
    assert later.body["metadata"]["managedFields"][0]["time"] == "2023-11-14T22:14:20Z"


async def test_the_eleventh_updater_sends_the_oldest_to_ancient_changes(server: Server) -> None:
    await server.make(MAPS, configmap("a", {"k0": "v"}), query=by("m0"))
    for index in range(1, 11):
        server.clock.time += 1
        await server.patch(MAP, {"data": {f"k{index}": "v"}}, query=by(f"m{index}"))
    found = entries((await server.get(MAP)).body)
    assert set(found) == {"ancient-changes", *(f"m{i}" for i in range(2, 11))}
    assert found["ancient-changes"] == {"f:data": {".": {}, "f:k0": {}, "f:k1": {}}}
    server.clock.time += 1
    answer = await server.patch(MAP, {"data": {"k11": "v"}}, query=by("m11"))
    assert len(answer.body["metadata"]["managedFields"]) == 10
    assert "f:k2" in entries(answer.body)["ancient-changes"]["f:data"]


async def test_clients_may_edit_the_entries(server: Server) -> None:
    """kubectl moves fields from client-side to server-side apply by a JSON patch."""
    made = await server.make(MAPS, configmap("a"), query=by("old"))
    entry = {**made["metadata"]["managedFields"][0], "manager": "new", "operation": "Apply"}
    version = made["metadata"]["resourceVersion"]
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [entry]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]
    moved = await server.patch(MAP, patch, "json")
    assert moved.body["metadata"]["managedFields"] == [entry]
    assert moved.body["metadata"]["resourceVersion"] != version
    stale = await server.patch(MAP, patch, "json")
    assert stale.status == 409


async def test_entries_that_make_no_sense_are_passed_over(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"), query=by("old"))
    kept = made["metadata"]["managedFields"]
    bad: list[Any] = [
        [{"manager": "x", "operation": "Update"}],
        [{**kept[0], "fieldsV1": {"data": {}}}],
        [{**kept[0], "fieldsV1": {"f:data": 1}}],
        [{**kept[0], "fieldsV1": {"k:nope": {}}}],
        None,
    ]
    for sent in bad:
        answer = await server.patch(MAP, {"metadata": {"managedFields": sent}})
        assert answer.body == made, sent
    odd = [{**kept[0], "operation": "Guess"}]
    refused = await server.patch(MAP, {"metadata": {"managedFields": odd}})
    assert refused.status == 422
    assert refused.body["details"]["causes"][0]["field"] == "metadata.managedFields[0].operation"


async def test_an_empty_list_clears_the_entries(server: Server) -> None:
    for number, sent in enumerate(CLEARED):
        name = f"m{number}"
        made = await server.make(MAPS, configmap(name), query=by("one"))
        made["metadata"]["managedFields"] = sent
        answer = await server.ask("PUT", f"{MAPS}/{name}", made, query=by("two"))
        assert "managedFields" not in answer.body["metadata"]
        assert answer.body["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


async def test_a_restored_object_keeps_its_owners(server: Server) -> None:
    made = await server.make(MAPS, configmap("a", {"x": "1"}), query=by("one"))
    await server.ask("DELETE", MAP)
    for key in ("uid", "resourceVersion", "creationTimestamp"):
        del made["metadata"][key]
    again = await server.make(MAPS, made, query=by("restore"))
    assert set(entries(again)) == {"one", "restore"}


async def test_subresources_cannot_change_the_entries(server: Server) -> None:
    made = await server.make(SETS, statefulset(), query=by("one"))
    patch = {"metadata": {"managedFields": [{}]}, "status": {"replicas": 1}}
    answer = await server.patch(f"{SETS}/web/status", patch, query=by("two"))
    assert entries(answer.body)["one"] == entries(made)["one"]


async def test_bindings_belong_to_nobody(server: Server) -> None:
    made = await server.make(PODS, pod("a"), query=by("one"))
    binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}
    await server.make(f"{PODS}/a/binding", binding, query=by("scheduler"))
    found = (await server.get(f"{PODS}/a")).body
    assert found["spec"]["nodeName"] == "n1"
    assert entries(found) == entries(made)


async def test_generated_names_are_there_before_defaults(server: Server) -> None:
    template = {"metadata": {}, "spec": pod()["spec"] | {"restartPolicy": "Never"}}
    job = await server.make(
        JOBS, {"metadata": {"generateName": "j-"}, "spec": {"template": template}}
    )
    name = job["metadata"]["name"]
    assert name.startswith("j-")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["batch.kubernetes.io/job-name"] == name
    made = await server.make("/api/v1/namespaces", {"metadata": {"generateName": "n-"}})
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": made["metadata"]["name"]}
    fields = made["metadata"]["managedFields"][0]["fieldsV1"]
    assert "f:generateName" in fields["f:metadata"]


async def test_a_node_keeps_the_status_it_comes_with(server: Server) -> None:
    body = {**node("n1"), "status": {"capacity": {"cpu": "4"}}}
    made = await server.make("/api/v1/nodes", body, query=by("agent"))
    assert made["status"]["capacity"] == {"cpu": "4"}
    assert "f:status" not in entries(made).get("agent", {})


async def test_a_pod_keeps_its_quality_of_service(server: Server) -> None:
    made = await server.make(PODS, pod("a"))
    assert made["status"]["qosClass"] == "BestEffort"
    made["status"] = {"phase": "Running"}
    answer = await server.ask("PUT", f"{PODS}/a/status", made)
    assert answer.body["status"] == {"phase": "Running", "qosClass": "BestEffort"}
    without = {key: value for key, value in answer.body.items() if key != "status"}
    bare = await server.ask("PUT", f"{PODS}/a/status", without)
    assert bare.body["status"] == {"qosClass": "BestEffort"}
