"""Creating objects: what the server owns, what it adds, what it refuses."""

import pytest

from petset.api import registry
from petset.apiserver.admission import unsupported
from petset.base.http import Identity
from tests.unit.apiserver.harness import (
    ADMIN,
    MAPS,
    PODS,
    SETS,
    Server,
    configmap,
    node,
    pod,
    statefulset,
)


async def test_the_server_owns_identity_and_times(server: Server) -> None:
    mine = {"uid": "x", "creationTimestamp": "2001-01-01T00:00:00Z", "selfLink": "/x"}
    made = await server.make(MAPS, configmap("a", **mine, managedFields=[{"manager": "me"}]))
    meta = made["metadata"]
    assert meta["uid"] != "x"
    assert meta["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert "selfLink" not in meta
    assert [e["manager"] for e in meta["managedFields"]] == ["unknown"]
    assert meta["namespace"] == "default"
    stored = (await server.get(f"{MAPS}/a")).body
    assert stored == made
    assert list(stored)[:3] == ["kind", "apiVersion", "metadata"]


async def test_kind_and_version_come_from_the_url(server: Server) -> None:
    made = await server.make(MAPS, {"metadata": {"name": "a"}})
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"kind": "Pod", "metadata": {"name": "a"}}, 400, "cannot be handled as a ConfigMap"),
        (
            {"apiVersion": "v2", "metadata": {"name": "a"}},
            400,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            {"metadata": {"name": "a", "namespace": "other"}},
            400,
            "the namespace of the provided object does not match the namespace sent",
        ),
        ({"metadata": {}}, 422, "name or generateName is required"),
        ({"metadata": {"name": "Bad_Name"}}, 422, 'metadata.name: Invalid value: "Bad_Name"'),
        ({"metadata": {"name": "a"}, "data": {"k": 1}}, 400, "cannot unmarshal number"),
        (
            {"metadata": {"name": "a", "resourceVersion": "5"}},
            500,
            "resourceVersion should not be set on objects to be created",
        ),
        (b"{", 400, "json parse error"),
        (b"", 400, "unexpected end of JSON input"),
        (b"[]", 400, "cannot unmarshal array"),
    ],
)
async def test_bad_bodies_are_refused(server: Server, body: object, code: int, words: str) -> None:
    answer = await server.ask("POST", MAPS, body)
    assert answer.status == code
    assert words in answer.body["message"]
    assert answer.body["code"] == code


async def test_a_name_that_is_taken(server: Server) -> None:
    await server.make(MAPS, configmap("a"))
    answer = await server.ask("POST", MAPS, configmap("a"))
    assert (answer.status, answer.body["reason"]) == (409, "AlreadyExists")
    assert answer.body["message"] == 'configmaps "a" already exists'
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}


async def test_a_name_of_something_on_its_way_out(server: Server) -> None:
    await server.make(MAPS, configmap("a", finalizers=["example.com/x"]))
    await server.ask("DELETE", f"{MAPS}/a")
    answer = await server.ask("POST", MAPS, configmap("a"))
    assert answer.body["message"] == 'object is being deleted: configmaps "a" already exists'


async def test_generated_names(server: Server) -> None:
    names = {
        (await server.make(MAPS, configmap(generateName="m-")))["metadata"]["name"]
        for _ in range(20)
    }
    assert len(names) == 20
    assert all(name.startswith("m-") and len(name) == 7 for name in names)
    long = await server.make(MAPS, configmap(generateName="x" * 100))
    assert len(long["metadata"]["name"]) == 63


async def test_namespaces_have_to_be_there_and_alive(server: Server) -> None:
    path = "/api/v1/namespaces/nope/configmaps"
    missing = await server.ask("POST", path, configmap("a"))
    assert (missing.status, missing.body["message"]) == (404, 'namespaces "nope" not found')
    await server.make("/api/v1/namespaces", {"metadata": {"name": "going"}})
    await server.ask("DELETE", "/api/v1/namespaces/going")
    path = "/api/v1/namespaces/going/configmaps"
    refused = await server.ask("POST", path, configmap("a"))
    assert refused.status == 403
    assert "because it is being terminated" in refused.body["message"]
    assert refused.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"


async def test_unknown_fields_follow_field_validation(server: Server) -> None:
    body = {"metadata": {"name": "a"}, "spec": {}, "data": {}}
    warned = await server.ask("POST", MAPS, body)
    assert warned.status == 201
    assert warned.header("Warning") == ['299 - "unknown field \\"spec\\""']
    assert "spec" not in warned.body
    strict = await server.ask("POST", f"{MAPS}?fieldValidation=Strict", body)
    assert strict.status == 400
    assert 'strict decoding error: unknown field "spec"' in strict.body["message"]
    body["metadata"] = {"name": "b"}
    ignored = await server.ask("POST", f"{MAPS}?fieldValidation=Ignore", body)
    assert (ignored.status, ignored.header("Warning")) == (201, [])
    odd = await server.ask("POST", f"{MAPS}?fieldValidation=Odd", body)
    assert odd.status == 422


async def test_dry_run_stores_nothing(server: Server) -> None:
    before = server.store.revision
    answer = await server.ask("POST", f"{MAPS}?dryRun=All", configmap("a"))
    assert answer.status == 201
    assert "resourceVersion" not in answer.body["metadata"]
    assert server.store.revision == before
    bad = await server.ask("POST", f"{MAPS}?dryRun=Some", configmap("a"))
    assert bad.status == 422


async def test_yaml_bodies(server: Server) -> None:
    answer = await server.ask(
        "POST", MAPS, b"metadata: {name: a}\ndata: {k: v}\n", content_type="application/yaml"
    )
    assert answer.status == 201
    refused = await server.ask("POST", MAPS, b"x", content_type="text/csv")
    assert refused.status == 415
    assert "application/json" in refused.body["message"]


async def test_pods_get_what_upstream_gives_them(server: Server) -> None:
    made = await server.make(PODS, pod("a", status={"phase": "Running"}))
    spec = made["spec"]
    assert made["status"]["phase"] == "Pending"
    assert (spec["serviceAccountName"], spec["priority"]) == ("default", 0)
    keys = {t["key"]: t["tolerationSeconds"] for t in spec["tolerations"]}
    assert keys == {
        "node.kubernetes.io/not-ready": 300,
        "node.kubernetes.io/unreachable": 300,
    }


async def test_own_tolerations_stay_as_they_are(server: Server) -> None:
    own = [{"operator": "Exists"}]
    made = await server.make(PODS, pod("a", spec={"tolerations": own}))
    assert made["spec"]["tolerations"] == own


async def test_priority_classes_become_numbers(server: Server) -> None:
    made = await server.make(PODS, pod("a", spec={"priorityClassName": "system-node-critical"}))
    assert made["spec"]["priority"] == 2_000_001_000
    unknown = await server.ask("POST", PODS, pod("b", spec={"priorityClassName": "none"}))
    assert unknown.status == 403
    assert "no PriorityClass with name none was found" in unknown.body["message"]
    fixed = await server.ask("POST", PODS, pod("b", spec={"priority": 5}))
    assert "the integer value of priority (5) must not be provided" in fixed.body["message"]


async def test_token_volumes_are_refused_by_name(server: Server) -> None:
    sources = [{"serviceAccountToken": {"path": "token"}}]
    volume = {"name": "t", "projected": {"sources": sources}}
    refused = await server.ask("POST", PODS, pod("a", spec={"volumes": [volume]}))
    assert refused.status == 501
    assert "projected serviceAccountToken volumes" in refused.body["message"]


async def test_claims_get_class_and_protection(server: Server) -> None:
    claim = {
        "metadata": {"name": "c"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    made = await server.make("/api/v1/namespaces/default/persistentvolumeclaims", claim)
    assert made["spec"]["storageClassName"] == "standard"
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


async def test_new_nodes_take_no_pods_yet(server: Server) -> None:
    made = await server.make("/api/v1/nodes", node())
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert made["spec"]["taints"] == [taint]


async def test_generation_starts_at_one(server: Server) -> None:
    made = await server.make(SETS, {**statefulset(), "status": {"replicas": 9}})
    assert made["metadata"]["generation"] == 1
    assert made["status"]["replicas"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    ],
)
async def test_what_is_not_acted_on_is_refused_by_name(server: Server, path: str) -> None:
    refused = await server.ask("POST", path, {"metadata": {"name": "a.example.com"}})
    assert refused.status == 501
    assert "petset does not support" in refused.body["message"]


async def test_what_is_only_kept_is_told_in_a_warning(server: Server) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
    made = await server.ask("POST", path, {"metadata": {"name": "a"}, "rules": []})
    assert made.status == 201
    words = "petset does not enforce Roles yet: the object is stored, nothing acts on it"
    assert made.header("Warning") == [f'299 - "{words}"']


def test_kinds_that_are_only_kept_exist() -> None:
    for resource_id in (*unsupported.UNUSED, *unsupported.REFUSED):
        assert registry.by_id(resource_id).id == resource_id


async def test_one_default_priority_class(server: Server) -> None:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    await server.make(path, {"metadata": {"name": "a"}, "value": 7, "globalDefault": True})
    again = {"metadata": {"name": "b"}, "value": 8, "globalDefault": True}
    assert (await server.ask("POST", path, again)).status == 403
    assert (await server.make(PODS, pod("p")))["spec"]["priority"] == 7


async def test_impersonated_strangers_may_do_nothing(server: Server) -> None:
    answer = await server.ask("POST", MAPS, configmap("a"), impersonate_user="system:anonymous")
    assert answer.status == 403
    words = 'User "system:anonymous" cannot create resource "configmaps" in API group ""'
    assert words in answer.body["message"]
    plain = Identity("bob", ("system:authenticated",))
    refused = await server.get(MAPS, identity=plain, impersonate_user="alice")
    assert refused.status == 403
    assert 'cannot impersonate resource "users"' in refused.body["message"]
    allowed = await server.get(MAPS, identity=ADMIN, impersonate_user="alice")
    assert allowed.status == 200


CAPTURED = bytes.fromhex(
    "6b387300"
    "0a0f0a02763112094e616d657370616365"
    "121b0a130a03666f6f12001a0022002a0032003800420012001a020a00"
    "1a002200"
)
"""`kubectl create ns foo` of 1.32, as traced (wire reference, appendix A)."""


async def test_typed_clients_send_protobuf(server: Server) -> None:
    media = "application/vnd.kubernetes.protobuf"
    answer = await server.ask("POST", "/api/v1/namespaces", CAPTURED, content_type=media)
    assert answer.status == 201
    assert (await server.get("/api/v1/namespaces/foo")).body["status"] == {"phase": "Active"}
    bad = await server.ask("POST", "/api/v1/namespaces", b"k8s\0\xff", content_type=media)
    assert (bad.status, bad.body["reason"]) == (400, "BadRequest")
