"""Field selectors: which fields each kind can be selected by, and what others are told."""

import pytest

from petset.api import registry
from petset.api.resource import Resource
from tests.unit.apiserver.harness import PODS, Server, pod

INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
FIELDS = {
    "pods": (
        "spec.nodeName",
        "spec.host",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    "events": (
        *(f"involvedObject.{field}" for field in INVOLVED),
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "events.events.k8s.io": (
        *(f"regarding.{field}" for field in INVOLVED),
        "reason",
        "reportingController",
        "type",
    ),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicationcontrollers": ("status.replicas",),
    "replicasets.apps": ("status.replicas",),
    "jobs.batch": ("status.successful",),
    "certificatesigningrequests.certificates.k8s.io": ("spec.signerName",),
}
"""By resource, beside metadata.name and metadata.namespace."""
LISTED = [r for r in registry.RESOURCES if {"list", "watch"} <= set(r.verbs)]


def refusal(resource: Resource) -> str:
    if resource.id == "jobs.batch":
        return 'field label "spec.odd" not supported for Job'
    if resource.id in FIELDS:
        return "field label not supported: spec.odd"
    known = '"metadata.name", "metadata.namespace"'
    return f'"spec.odd" is not a known field selector: only {known}'


@pytest.mark.parametrize("resource", LISTED, ids=lambda r: r.id + "/" + r.version)
async def test_the_fields_of_every_kind(server: Server, resource: Resource) -> None:
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    path = f"{root}/{resource.plural}"
    fields = ["metadata.name", *FIELDS.get(resource.id, ())]
    for field in fields:
        selector = [("fieldSelector", f"{field}=no-such,metadata.name=x")]
        answer = await server.get(path, query=selector)
        assert (answer.status, answer.body.get("items")) == (200, []), field
    for verb in ("", "1"):
        query = [("fieldSelector", "spec.odd=x"), ("watch", verb)]
        answer = await server.get(path, query=query)
        assert (answer.status, answer.body["message"]) == (400, refusal(resource))


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", ["a"]),
        ("metadata.name!=a", ["b"]),
        ("metadata.name==a,metadata.namespace=default", ["a"]),
        ("metadata.namespace=other", []),
        ("spec.nodeName=", ["b"]),
        ("spec.nodeName=n1", ["a"]),
        ("spec.host=n1", ["a"]),
        ("spec.nodeName!=n1,status.phase=Pending", ["b"]),
        ("spec.hostNetwork=false", ["a", "b"]),
        ("spec.restartPolicy=Always,metadata.name=b", ["b"]),
        ("metadata.name=a,metadata.name=b", []),
        ("spec.schedulerName=a\\,b", []),
    ],
)
async def test_terms_are_all_to_be_met(server: Server, selector: str, names: list[str]) -> None:
    await server.make(PODS, pod("a", spec={"nodeName": "n1"}))
    await server.make(PODS, pod("b"))
    answer = await server.get(PODS, query=[("fieldSelector", selector)])
    assert [item["metadata"]["name"] for item in answer.body["items"]] == names
    gone = await server.ask("DELETE", PODS, query=[("fieldSelector", selector)])
    assert [item["metadata"]["name"] for item in gone.body["items"]] == names
