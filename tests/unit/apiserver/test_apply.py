"""Server-side apply: creating, owning, conflicts, force, removal, status, scale, refusals."""

from typing import Any

import orjson
import pytest

from tests.unit.apiserver.harness import MAPS, PODS, SETS, Server, configmap, pod, statefulset

MAP = f"{MAPS}/a"
WEB = f"{SETS}/web"
LAST = "kubectl.kubernetes.io/last-applied-configuration"


def cm(data: Any, **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", **meta},
        "data": data,
    }


def sts(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web"},
        "spec": spec,
    }


def managers(obj: Any) -> list[tuple[str, str]]:
    return [(e["manager"], e["operation"]) for e in obj["metadata"].get("managedFields", ())]


def owned(obj: Any, manager: str, operation: str = "Apply", subresource: str = "") -> Any:
    for entry in obj["metadata"]["managedFields"]:
        found = (entry["manager"], entry["operation"], entry.get("subresource", ""))
        if found == (manager, operation, subresource):
            return entry["fieldsV1"]
    raise AssertionError(f"{manager} owns nothing: {obj['metadata']['managedFields']}")


async def test_an_apply_makes_what_is_missing(server: Server) -> None:
    made = await server.apply(MAP, cm({"x": "1"}, labels={"l": "v"}))
    assert made.status == 201
    (entry,) = made.body["metadata"]["managedFields"]
    assert entry == {
        "manager": "me",
        "operation": "Apply",
        "apiVersion": "v1",
        "time": "2023-11-14T22:13:20Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:x": {}}, "f:metadata": {"f:labels": {"f:l": {}}}},
    }
    assert (await server.apply(MAP, cm({"x": "1"}, labels={"l": "v"}))).status == 200


async def test_an_apply_that_changes_nothing_is_not_written(server: Server) -> None:
    body = statefulset()
    made = (await server.apply(WEB, body)).body
    before = server.store.revision
    server.clock.time += 60
    assert (await server.apply(WEB, body)).body == made
    assert server.store.revision == before


async def test_defaults_inside_one_piece_are_no_change(server: Server) -> None:
    """A field reference is one value: left out, its apiVersion is filled in."""
    body = statefulset()
    source = {"fieldRef": {"fieldPath": "metadata.name"}}
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "N", "valueFrom": source}]
    made = (await server.apply(WEB, body)).body
    before = server.store.revision
    assert (await server.apply(WEB, body)).body == made
    assert (await server.apply(WEB, body, "other")).status == 200
    assert server.store.revision == before + 1


async def test_applied_fields_go_when_they_are_left_out(server: Server) -> None:
    await server.apply(MAP, cm({"x": "1", "y": "2"}, labels={"l": "v"}))
    await server.patch(MAP, {"data": {"z": "3"}})
    answer = await server.apply(MAP, cm({"x": "1"}))
    assert answer.body["data"] == {"x": "1", "z": "3"}
    assert "labels" not in answer.body["metadata"]
    assert owned(answer.body, "me") == {"f:data": {"f:x": {}}}


async def test_left_out_fields_stay_while_somebody_owns_them(server: Server) -> None:
    await server.apply(MAP, cm({"x": "1", "y": "2"}), "one")
    await server.apply(MAP, cm({"y": "2"}), "two")
    answer = await server.apply(MAP, cm({"x": "1"}), "one")
    assert answer.body["data"] == {"x": "1", "y": "2"}
    assert owned(answer.body, "two") == {"f:data": {"f:y": {}}}
    gone = await server.apply(MAP, cm({}), "two")
    assert gone.body["data"] == {"x": "1"}


async def test_a_conflict_names_the_other_manager(server: Server) -> None:
    await server.make(MAPS, configmap("a"), query=[("fieldManager", "kubectl-edit")])
    before = server.store.revision
    refused = await server.apply(MAP, cm({"a": "2"}))
    assert refused.status == 409
    assert refused.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Apply failed with 1 conflict: conflict with "kubectl-edit" using v1: .data.a',
        "reason": "Conflict",
        "details": {
            "causes": [
                {
                    "reason": "FieldManagerConflict",
                    "message": 'conflict with "kubectl-edit" using v1',
                    "field": ".data.a",
                }
            ]
        },
        "code": 409,
    }
    assert server.store.revision == before


async def test_several_conflicts_are_listed_by_manager(server: Server) -> None:
    body = statefulset()
    await server.apply(WEB, body, "one")
    await server.patch(WEB, {"spec": {"replicas": 4}}, query=[("fieldManager", "two")])
    body["spec"]["replicas"] = 5
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    refused = await server.apply(WEB, body, "three")
    assert refused.body["message"] == (
        'Apply failed with 2 conflicts: conflicts with "one":\n'
        '- .spec.template.spec.containers[name="c"].image\n'
        'conflicts with "two" using apps/v1:\n'
        "- .spec.replicas"
    )
    assert [c["field"] for c in refused.body["details"]["causes"]] == [
        '.spec.template.spec.containers[name="c"].image',
        ".spec.replicas",
    ]


async def test_force_takes_fields_over(server: Server) -> None:
    await server.apply(MAP, cm({"x": "1", "y": "1"}), "one")
    answer = await server.apply(MAP, cm({"x": "2"}), "two", force=True)
    assert answer.body["data"] == {"x": "2", "y": "1"}
    assert owned(answer.body, "one") == {"f:data": {"f:y": {}}}
    assert owned(answer.body, "two") == {"f:data": {"f:x": {}}}


async def test_equal_values_are_owned_together(server: Server) -> None:
    await server.apply(MAP, cm({"x": "1"}), "one")
    answer = await server.apply(MAP, cm({"x": "1"}), "two")
    assert answer.status == 200
    assert owned(answer.body, "one") == owned(answer.body, "two") == {"f:data": {"f:x": {}}}
    refused = await server.apply(MAP, cm({"x": "2"}), "one")
    assert refused.body["message"].endswith('conflict with "two": .data.x')


async def test_containers_are_owned_one_by_one(server: Server) -> None:
    body = statefulset()
    await server.apply(WEB, body, "one")
    side = {"template": {"spec": {"containers": [{"name": "side", "image": "s"}]}}}
    answer = await server.apply(WEB, sts(**side), "two")
    names = [c["name"] for c in answer.body["spec"]["template"]["spec"]["containers"]]
    assert names == ["c", "side"]
    assert owned(answer.body, "two") == {
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"side"}': {".": {}, "f:image": {}, "f:name": {}},
                    }
                }
            }
        }
    }
    gone = await server.apply(WEB, sts(), "two")
    names = [c["name"] for c in gone.body["spec"]["template"]["spec"]["containers"]]
    assert names == ["c"]


async def test_ports_are_found_by_their_protocol_too(server: Server) -> None:
    body = statefulset()
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]
    made = await server.apply(WEB, body)
    ports = made.body["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert [p["protocol"] for p in ports] == ["TCP", "UDP"]
    container["ports"] = [{"containerPort": 53, "protocol": "UDP"}]
    answer = await server.apply(WEB, body)
    ports = answer.body["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert ports == [{"containerPort": 53, "protocol": "UDP"}]


async def test_what_nobody_tracked_belongs_to_before_first_apply(server: Server) -> None:
    made = await server.make(MAPS, configmap("a"))
    cleared = await server.patch(MAP, {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in cleared.body["metadata"]
    plain = await server.patch(MAP, {"data": {"b": "2"}})
    assert "managedFields" not in plain.body["metadata"]
    answer = await server.apply(MAP, cm({"c": "3"}))
    assert managers(answer.body) == [("me", "Apply"), ("before-first-apply", "Update")]
    assert owned(answer.body, "before-first-apply", "Update") == {
        "f:data": {".": {}, "f:a": {}, "f:b": {}}
    }
    assert made["metadata"]["uid"] == answer.body["metadata"]["uid"]


async def test_status_is_applied_on_its_own(server: Server) -> None:
    body = {**statefulset(), "status": {"replicas": 9}}
    made = (await server.apply(WEB, body)).body
    assert made["status"]["replicas"] == 0
    assert "f:status" not in owned(made, "me")
    status = {**sts(replicas=7), "status": {"replicas": 1}}
    answer = (await server.apply(f"{WEB}/status", status, "node")).body
    assert (answer["status"]["replicas"], answer["spec"]["replicas"]) == (1, 2)
    assert owned(answer, "node", "Apply", "status") == {"f:status": {"f:replicas": {}}}
    refused = await server.apply(f"{WEB}/status", {**sts(), "status": {"replicas": 2}}, "other")
    assert refused.body["message"] == (
        'Apply failed with 1 conflict: conflict with "node" with subresource "status": '
        ".status.replicas"
    )
    assert (await server.apply(f"{SETS}/nope/status", sts())).status == 404


async def test_scale_is_applied(server: Server) -> None:
    await server.apply(WEB, statefulset(), "one")
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web"},
        "spec": {"replicas": 5},
    }
    refused = await server.apply(f"{WEB}/scale", scale, "hpa")
    assert refused.status == 409
    assert refused.body["details"]["causes"][0]["field"] == ".spec.replicas"
    answer = await server.apply(f"{WEB}/scale", scale, "hpa", force=True)
    assert (answer.body["kind"], answer.body["spec"]) == ("Scale", {"replicas": 5})
    parent = (await server.get(WEB)).body
    assert parent["spec"]["replicas"] == 5
    assert owned(parent, "hpa", "Apply", "scale") == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owned(parent, "one")["f:spec"]


async def test_managers_have_names(server: Server) -> None:
    nobody = await server.apply(MAP, cm({}), "")
    assert nobody.status == 422
    assert "fieldManager: Required value: is required for apply patch" in nobody.body["message"]
    long = await server.apply(MAP, cm({}), "x" * 129)
    assert "fieldManager: Too long: may not be more than 128 bytes" in long.body["message"]
    odd = await server.apply(MAP, cm({}), "a\x07")
    assert "should only contain printable characters" in odd.body["message"]
    await server.make(MAPS, configmap("a"), user_agent="curl/8.1 (linux)")
    made = (await server.get(MAP)).body
    assert managers(made) == [("curl", "Update")]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({**cm({}), "kind": "Secret"}, 400, "invalid object type: /v1, Kind=Secret"),
        ({"data": {}}, 400, "invalid object type: /, Kind="),
        (
            {**cm({}), "apiVersion": "v2"},
            400,
            "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1",
        ),
        (cm({}, managedFields=[]), 400, "metadata.managedFields must be nil"),
        (
            {**cm({}), "spec": {}},
            500,
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .spec: field not "
            "declared in schema",
        ),
        (
            cm({"x": 1}),
            500,
            ".data.x: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (cm({}, name="b"), 400, "the name of the object (b) does not match the name on the URL"),
        (cm({}, namespace="x"), 400, "the namespace of the provided object does not match"),
        (b"a: [", 400, "error decoding YAML: error converting YAML to JSON: yaml:"),
        (cm({}, uid="u"), 409, "uid mismatch: the provided object specified uid u, and no"),
        (cm({}, resourceVersion="5"), 409, "the object has been modified"),
    ],
)
async def test_bad_configurations(server: Server, body: object, code: int, words: str) -> None:
    answer = await server.apply(MAP, body)
    assert (answer.status, words in answer.body["message"]) == (code, True), answer.body
    assert (await server.get(MAP)).status == 404


async def test_preconditions(server: Server) -> None:
    made = (await server.apply(MAP, cm({"x": "1"}))).body
    version = made["metadata"]["resourceVersion"]
    later = await server.apply(MAP, cm({"x": "2"}, resourceVersion=version))
    assert later.status == 200
    stale = await server.apply(MAP, cm({"x": "3"}, resourceVersion=version))
    assert stale.status == 409
    assert "the object has been modified" in stale.body["message"]
    other = await server.apply(MAP, cm({"x": "3"}, uid="other"))
    assert other.status == 409


async def test_yaml_and_fields_twice(server: Server) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata: {x: '1'}\n"
    assert (await server.apply(MAP, text)).body["data"] == {"x": "1"}


async def test_dry_run_stores_nothing(server: Server) -> None:
    dry = [("dryRun", "All")]
    made = await server.apply(MAP, cm({"x": "1"}), query=dry)
    assert (made.status, made.body["data"]) == (201, {"x": "1"})
    assert (await server.get(MAP)).status == 404
    await server.apply(MAP, cm({"x": "1"}))
    changed = await server.apply(MAP, cm({"x": "2"}), query=dry)
    assert changed.body["data"] == {"x": "2"}
    assert (await server.get(MAP)).body["data"] == {"x": "1"}


async def test_an_invalid_result_is_refused(server: Server) -> None:
    await server.apply(WEB, statefulset())
    refused = await server.apply(WEB, sts(serviceName="other"), "two", force=True)
    assert refused.status == 422
    assert "updates to statefulset spec" in refused.body["message"]


async def test_kubectl_takes_over_what_it_applied_as_a_client(server: Server) -> None:
    applied = cm({"a": "1", "b": "1"}, annotations={})
    text = orjson.dumps(applied).decode()
    first = configmap("a", {"a": "1", "b": "1"}, annotations={LAST: text})
    await server.make(MAPS, first, query=[("fieldManager", "kubectl-client-side-apply")])
    answer = await server.apply(MAP, cm({"a": "2"}), "kubectl")
    assert answer.status == 200
    annotation = answer.body["metadata"]["annotations"][LAST]
    assert annotation.endswith("\n")
    assert orjson.loads(annotation) == cm({"a": "2"})
    again = server.store.revision
    await server.apply(MAP, cm({"a": "2"}), "kubectl")
    assert server.store.revision == again
    refused = await server.apply(MAP, cm({"a": "3"}), "someone")
    assert refused.body["message"].endswith('conflict with "kubectl": .data.a')
    edited = [("fieldManager", "kubectl-edit")]
    await server.patch(MAP, {"data": {"b": "9"}}, query=edited)
    conflict = await server.apply(MAP, cm({"b": "5"}), "kubectl")
    assert conflict.body["message"].endswith('conflict with "kubectl-edit" using v1: .data.b')


async def test_both_versions_of_a_kind_share_owners(server: Server) -> None:
    base = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers/h"
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
    old = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50},
    }
    made = await server.apply(base.format("v1"), old, "one")
    assert made.status == 201
    new: dict[str, Any] = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 4},
    }
    refused = await server.apply(base.format("v2"), new, "two")
    assert refused.body["message"].endswith('conflict with "one": .spec.maxReplicas')
    answer = await server.apply(base.format("v2"), new, "two", force=True)
    assert answer.body["spec"]["maxReplicas"] == 4
    assert "f:maxReplicas" not in owned(answer.body, "one")["f:spec"]
    new["spec"]["scaleTargetRef"] = target
    moved = await server.apply(base.format("v2"), new, "one")
    assert (await server.get(base.format("v1"))).body["spec"].get(
        "targetCPUUtilizationPercentage"
    ) != 50, "what is named no more goes, in whichever version it was named"
    entries = moved.body["metadata"]["managedFields"]
    assert [e["apiVersion"] for e in entries] == ["autoscaling/v2", "autoscaling/v2"]


async def test_pods_can_be_applied(server: Server) -> None:
    body = pod("p")
    made = await server.apply(f"{PODS}/p", body)
    assert made.body["status"]["phase"] == "Pending"
    body["spec"]["containers"][0]["image"] = "nginx:2"
    body["metadata"]["labels"] = {"a": "b"}
    answer = await server.apply(f"{PODS}/p", body)
    assert answer.body["spec"]["containers"][0]["image"] == "nginx:2"
    tolerations = [{"key": "k", "operator": "Exists"}, *made.body["spec"]["tolerations"]]
    more = pod("p", spec={"tolerations": tolerations})
    del more["spec"]["containers"]
    assert (await server.apply(f"{PODS}/p", more, "two")).status == 200
