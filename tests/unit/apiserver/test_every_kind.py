"""Every kind that discovery lists is stored and served, with schema checks."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from petset.api import registry
from petset.api.resource import Resource
from petset.apiserver.admission.unsupported import REFUSED
from petset.base.http import PeerCertificate
from tests.unit.apiserver.harness import Server
from tests.unit.apiserver.minimal import body_of, path_of

OUTSIDE: Mapping[str, Any] = {
    "identity": None,
    "peer": PeerCertificate("kubernetes-admin", ("system:masters",)),
}
STORED = [
    resource
    for resource in registry.RESOURCES
    if {"create", "list"} <= {*resource.verbs} and resource.id not in REFUSED
]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def _ids(resource: Resource) -> str:
    return f"{resource.id}-{resource.version}"


def _name(resource: Resource, number: int) -> str:
    return f"10.0.0.{number}" if resource.kind == "IPAddress" else f"a{number}"


@pytest.mark.parametrize("resource", STORED, ids=_ids)
async def test_every_kind_is_stored_listed_printed_and_deleted(
    server: Server, resource: Resource
) -> None:
    path, name = path_of(resource), _name(resource, 1)
    made = await server.make(path, {**body_of(resource), "metadata": {"name": name}})
    assert made["kind"] == resource.kind
    assert {"uid", "resourceVersion", "creationTimestamp"} <= {*made["metadata"]}
    assert (await server.get(f"{path}/{name}")).body == made
    listed = (await server.get(path)).body
    assert name in [item["metadata"]["name"] for item in listed["items"]]
    table = (await server.get(f"{path}/{name}", accept=TABLE)).body
    (row,) = table["rows"]
    assert len(row["cells"]) == len(table["columnDefinitions"])
    gone = await server.ask("DELETE", f"{path}/{name}")
    assert gone.status == 200


@pytest.mark.parametrize("resource", STORED, ids=_ids)
async def test_every_kind_tells_of_unknown_and_duplicate_fields(
    server: Server, resource: Resource
) -> None:
    path, usual = path_of(resource), 0
    for number, (mode, code, told) in enumerate(
        [("Ignore", 201, 0), ("Warn", 201, 2), ("Strict", 400, 0)], 1
    ):
        meta = {"name": _name(resource, number)}
        good = orjson.dumps({**body_of(resource), "metadata": {"name": "other"}})
        twice = b',"bogus":1,"metadata":' + orjson.dumps(meta) + b"}"
        query = [("fieldValidation", mode)]
        answer = await server.ask("POST", path, good[:-1] + twice, query=query, **OUTSIDE)
        assert answer.status == code
        warnings = answer.header("Warning")
        if mode == "Ignore":
            usual = len(warnings)
        elif mode == "Warn":
            assert len(warnings) == usual + told
        else:
            words = 'strict decoding error: unknown field "bogus", duplicate field "metadata"'
            assert answer.body["message"].endswith(words)


@pytest.mark.parametrize("resource_id", REFUSED)
async def test_what_is_not_supported_is_refused_by_name(server: Server, resource_id: str) -> None:
    resource = registry.by_id(resource_id)
    body = {**body_of(resource), "metadata": {"name": "a"}}
    answer = await server.ask("POST", path_of(resource), body)
    assert answer.status == 501
    assert resource_id in answer.body["message"]


OLD_ENDPOINTS = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"


async def test_every_request_on_a_deprecated_resource_is_warned(server: Server) -> None:
    path = "/api/v1/namespaces/default/endpoints"
    said = [f'299 - "{OLD_ENDPOINTS}"']
    made = await server.ask("POST", path, {"metadata": {"name": "e"}})
    assert (made.status, made.header("Warning")) == (201, said)
    for method, where in (("GET", path), ("GET", f"{path}/e"), ("DELETE", f"{path}/e")):
        assert (await server.ask(method, where)).header("Warning") == said
    assert (await server.get("/api/v1/componentstatuses")).header("Warning") == [
        '299 - "v1 ComponentStatus is deprecated in v1.19+"'
    ]


async def test_kinds_without_a_spec_count_what_changes(server: Server) -> None:
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    made = await server.make(
        path, {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": []}
    )
    assert made["metadata"]["generation"] == 1
    labelled = await server.patch(f"{path}/s", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.body["metadata"]["generation"] == 1
    changed = await server.patch(f"{path}/s", {"endpoints": [{"addresses": ["10.0.0.1"]}]})
    assert changed.body["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    "resource_id",
    [
        "roles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
        "services",
        "endpoints",
        "limitranges",
        "leases.coordination.k8s.io",
        "events",
    ],
)
async def test_some_kinds_are_made_by_an_update(server: Server, resource_id: str) -> None:
    resource = registry.by_id(resource_id)
    body = {**body_of(resource), "metadata": {"name": "a"}}
    answer = await server.ask("PUT", f"{path_of(resource)}/a", body)
    assert answer.status == 201
    config = await server.ask(
        "PUT", "/api/v1/namespaces/default/configmaps/a", {"metadata": {"name": "a"}}
    )
    assert config.status == 404


@pytest.mark.parametrize(
    "resource_id",
    [
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "csistoragecapacities.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "runtimeclasses.node.k8s.io",
        "flowschemas.flowcontrol.apiserver.k8s.io",
        "leases.coordination.k8s.io",
        "poddisruptionbudgets.policy",
    ],
)
async def test_some_kinds_are_updated_from_a_known_version_only(
    server: Server, resource_id: str
) -> None:
    resource = registry.by_id(resource_id)
    body = {**body_of(resource), "metadata": {"name": "a"}}
    path = path_of(resource)
    await server.make(path, body)
    refused = await server.ask("PUT", f"{path}/a", body)
    (cause,) = refused.body["details"]["causes"]
    assert (refused.status, cause["field"]) == (422, "metadata.resourceVersion")


async def test_an_account_keeps_the_names_of_its_secrets(server: Server) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts"
    secret = {"name": "s", "namespace": "other", "uid": "u"}
    made = await server.make(path, {"metadata": {"name": "a"}, "secrets": [secret]})
    assert made["secrets"] == [{"name": "s"}]
    changed = await server.patch(f"{path}/a", {"secrets": [{**secret, "name": "t"}]})
    assert {"name": "t"} in changed.body["secrets"]


async def test_events_of_the_newer_group_are_judged_more_strictly(server: Server) -> None:
    event = {"metadata": {"name": "a/b"}, "type": "Loud"}
    core = {**event, "metadata": {"name": "A_b"}, "involvedObject": {"namespace": "default"}}
    await server.make("/api/v1/namespaces/default/events", core)
    newer = await server.ask("POST", "/apis/events.k8s.io/v1/namespaces/default/events", event)
    fields = [cause["field"] for cause in newer.body["details"]["causes"]]
    assert fields == ["metadata.name", "eventTime", "type"]
