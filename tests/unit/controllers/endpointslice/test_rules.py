"""Which endpoints a Service has, and how they are told, rule by rule."""

from typing import Any

import pytest

from petset.api import meta
from petset.controllers.endpointslice import endpoint, legacy, slices
from petset.controllers.endpointslice.plan import Observed, plan
from petset.reconcile.actions import Create, Delete, Update

NOW = 1_700_000_000.0
HEADLESS = "service.kubernetes.io/headless"
LABELS = {"app": "db"}


def service(labels: Any = None, **spec: Any) -> Any:
    ports = [{"name": "sql", "port": 5432, "protocol": "TCP"}]
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "db", "namespace": "default", "uid": "s1", "labels": labels or {}},
        "spec": {"clusterIP": "10.96.0.9", "selector": LABELS, "ports": ports, **spec},
    }


def pod(name: str = "db-0", *, ready: bool = True, status: Any = None, **spec: Any) -> Any:
    own = {"name": name, "namespace": "default", "uid": f"u-{name}", "labels": LABELS}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": own,
        "spec": {"containers": [{"name": "c"}], **spec},
        "status": {
            "phase": "Running",
            "podIP": "10.128.0.5",
            "conditions": conditions,
            **(status or {}),
        },
    }


def leaving(one: Any) -> Any:
    return {**one, "metadata": {**one["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def seen(one: Any, *pods: Any, stored: Any = (), old: Any = None, zones: Any = None) -> Observed:
    return Observed(one, tuple(pods), tuple(stored), old, zones or {})


def made(one: Any, *pods: Any, **more: Any) -> tuple[list[Any], Any]:
    """The new slices and the new Endpoints object of a Service that had none."""
    actions = plan(seen(one, *pods, **more), NOW).actions
    created = [a.obj for a in actions if isinstance(a, Create)]
    found = [o for o in created if o["kind"] == "EndpointSlice"]
    (endpoints,) = (o for o in created if o["kind"] == "Endpoints")
    return found, endpoints


def told(one: Any, *pods: Any, **more: Any) -> list[Any]:
    return [e for s in made(one, *pods, **more)[0] for e in s["endpoints"]]


# -- which pods ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        pod(status={"podIP": ""}),
        pod(status={"phase": "Failed"}),
        pod(status={"phase": "Succeeded"}),
        {**pod(), "metadata": {**pod()["metadata"], "labels": {"app": "x"}}},
    ],
)
def test_pods_without_address_at_their_end_or_not_selected_are_no_endpoints(one: Any) -> None:
    (only,), endpoints = made(service(), one)
    assert only["endpoints"] == []
    assert "subsets" not in endpoints


@pytest.mark.parametrize(
    ("one", "published", "ready", "serving", "terminating"),
    [
        (pod(), False, True, True, False),
        (pod(ready=False), False, False, False, False),
        (pod(ready=False), True, True, False, False),
        (leaving(pod()), False, False, True, True),
        (leaving(pod()), True, True, True, True),
        (leaving(pod(ready=False)), False, False, False, True),
        (leaving(pod(ready=False)), True, True, False, True),
    ],
)
def test_conditions(one: Any, published: Any, ready: Any, serving: Any, terminating: Any) -> None:
    (found,) = told(service(publishNotReadyAddresses=published), one)
    wanted = {"ready": ready, "serving": serving, "terminating": terminating}
    assert found["conditions"] == wanted


@pytest.mark.parametrize(
    ("one", "published", "where"),
    [
        (pod(), False, "addresses"),
        (pod(ready=False), False, "notReadyAddresses"),
        (pod(ready=False), True, "addresses"),
        (leaving(pod()), False, ""),
        (leaving(pod()), True, "addresses"),
    ],
)
def test_the_older_object_leaves_out_pods_that_go(one: Any, published: Any, where: str) -> None:
    _, endpoints = made(service(publishNotReadyAddresses=published), one)
    subsets = endpoints.get("subsets", [])
    assert [k for s in subsets for k in s if k.lower().endswith("addresses")] == (
        [where] if where else []
    )


def test_a_service_without_selector_is_left_alone() -> None:
    nobody: tuple[Any, ...] = (None, {})
    for selector in nobody:
        assert plan(seen(service(selector=selector), pod()), NOW).actions == ()


def test_a_service_that_becomes_an_alias_loses_what_is_ours() -> None:
    (first,), endpoints = made(service(), pod())
    named = {**first, "metadata": {**first["metadata"], "name": "db-x", "uid": "e1"}}
    foreign = {**named, "metadata": {**named["metadata"], "name": "db-y", "labels": {}}}
    alias = service(type="ExternalName", clusterIP="")
    actions = plan(seen(alias, pod(), stored=(named, foreign), old=endpoints), NOW).actions
    gone = [(a.resource, a.name) for a in actions if isinstance(a, Delete)]
    assert gone == [(slices.RESOURCE, "db-x"), (legacy.RESOURCE, "db")]
    mine = {**endpoints, "metadata": {**endpoints["metadata"], "labels": {}}}
    assert plan(seen(alias, pod(), old=mine), NOW).actions == ()


# -- what is told of one ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "hostname"),
    [
        ({"hostname": "db-0", "subdomain": "db"}, "db-0"),
        ({"hostname": "db-0", "subdomain": "other"}, ""),
        ({"hostname": "db-0"}, ""),
        ({"subdomain": "db"}, ""),
    ],
)
def test_a_hostname_is_told_below_the_service_that_the_pod_names(spec: Any, hostname: str) -> None:
    (found,), endpoints = made(service(), pod(**spec))
    assert found["endpoints"][0].get("hostname", "") == hostname
    assert endpoints["subsets"][0]["addresses"][0].get("hostname", "") == hostname


def test_node_zone_and_pod_are_told() -> None:
    (found,) = told(service(), pod(nodeName="n1"), zones={"n1": "z1"})
    assert (found["nodeName"], found["zone"]) == ("n1", "z1")
    wanted = {"kind": "Pod", "namespace": "default", "name": "db-0", "uid": "u-db-0"}
    assert found["targetRef"] == wanted
    (elsewhere,) = told(service(), pod(nodeName="n2"), zones={"n1": "z1"})
    assert "zone" not in elsewhere


def test_one_address_of_each_family_has_slices_of_its_own() -> None:
    both = pod(status={"podIPs": [{"ip": "10.128.0.5"}, {"ip": "fd00::5"}]})
    found, endpoints = made(service(ipFamilies=["IPv4", "IPv6"]), both)
    by_type = {s["addressType"]: [e["addresses"] for e in s["endpoints"]] for s in found}
    assert by_type == {"IPv4": [["10.128.0.5"]], "IPv6": [["fd00::5"]]}
    assert [a["ip"] for s in endpoints["subsets"] for a in s["addresses"]] == ["10.128.0.5"]


# -- ports --------------------------------------------------------------------------------------

WEB = {"name": "web", "containerPort": 8080, "protocol": "TCP"}


@pytest.mark.parametrize(
    ("port", "wanted"),
    [
        ({"port": 80}, [("", "TCP", 80)]),
        ({"port": 80, "targetPort": 8081}, [("", "TCP", 8081)]),
        ({"port": 80, "targetPort": "web"}, [("", "TCP", 8080)]),
        ({"port": 80, "targetPort": "web", "protocol": "UDP"}, []),
        ({"port": 80, "targetPort": "nobody"}, []),
        ({"port": 80, "targetPort": "side"}, [("", "TCP", 9090)]),
        ({"port": 80, "targetPort": "init"}, []),
    ],
)
def test_ports_by_number_and_by_name(port: Any, wanted: Any) -> None:
    side = {"name": "s", "ports": [{"name": "side", "containerPort": 9090, "protocol": "TCP"}]}
    init = {"name": "i", "ports": [{"name": "init", "containerPort": 9091, "protocol": "TCP"}]}
    one = pod(
        containers=[{"name": "c", "ports": [WEB]}],
        initContainers=[{**side, "restartPolicy": "Always"}, init],
    )
    (found,), _ = made(service(ports=[port]), one)
    assert [(p["name"], p["protocol"], p["port"]) for p in found["ports"]] == wanted


def test_pods_whose_port_of_a_name_differs_are_in_slices_apart() -> None:
    other = {**WEB, "containerPort": 9090}
    pods = [
        pod("a", containers=[{"name": "c", "ports": [WEB]}]),
        pod("b", containers=[{"name": "c", "ports": [other]}]),
    ]
    found, endpoints = made(service(ports=[{"port": 80, "targetPort": "web"}]), *pods)
    by_port = {
        s["ports"][0]["port"]: [e["targetRef"]["name"] for e in s["endpoints"]] for s in found
    }
    assert by_port == {8080: ["a"], 9090: ["b"]}
    assert [s["ports"][0]["port"] for s in endpoints["subsets"]] == [8080, 9090]


def test_a_headless_service_without_ports_has_endpoints_without_ports() -> None:
    (found,), endpoints = made(service(clusterIP="None", ports=[]), pod())
    assert found["ports"] == []
    assert len(found["endpoints"]) == 1
    (subset,) = endpoints["subsets"]
    assert "ports" not in subset


def test_the_protocol_of_the_application_is_told() -> None:
    (found,), endpoints = made(service(ports=[{"port": 80, "appProtocol": "h2c"}]), pod())
    assert found["ports"][0]["appProtocol"] == "h2c"
    assert endpoints["subsets"][0]["ports"][0]["appProtocol"] == "h2c"


def test_nothing_more_is_told_than_there_is() -> None:
    (found,), endpoints = made(service(), pod(nodeName="n1"))
    target = {"kind": "Pod", "namespace": "default", "name": "db-0", "uid": "u-db-0"}
    assert (found["kind"], found["apiVersion"]) == ("EndpointSlice", "discovery.k8s.io/v1")
    assert found["ports"] == [{"name": "sql", "protocol": "TCP", "port": 5432}]
    assert found["endpoints"] == [
        {
            "addresses": ["10.128.0.5"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": target,
            "nodeName": "n1",
        }
    ]
    address = {"ip": "10.128.0.5", "nodeName": "n1", "targetRef": target}
    ports = [{"name": "sql", "port": 5432, "protocol": "TCP"}]
    assert endpoints["subsets"] == [{"addresses": [address], "ports": ports}]
    assert (endpoints["kind"], endpoints["apiVersion"]) == ("Endpoints", "v1")
    resources = [a.resource for a in plan(seen(service(), pod()), NOW).actions]  # type: ignore[union-attr]
    assert resources == ["endpointslices.discovery.k8s.io", "endpoints"]


# -- the objects --------------------------------------------------------------------------------


def test_a_slice_belongs_to_its_service_and_bears_its_labels() -> None:
    (found,), endpoints = made(service({"team": "a"}), pod())
    metadata = found["metadata"]
    assert metadata["generateName"] == "db-"
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Service", "db", "s1")
    assert owner["controller"] is True
    assert metadata["labels"] == {
        "team": "a",
        "kubernetes.io/service-name": "db",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    when = "endpoints.kubernetes.io/last-change-trigger-time"
    assert metadata["annotations"] == {when: meta.format_time(NOW)}
    assert endpoints["metadata"]["name"] == "db"
    assert endpoints["metadata"]["labels"]["team"] == "a"


def test_what_belongs_to_a_headless_service_says_so_and_only_that() -> None:
    (found,), endpoints = made(service(clusterIP="None"), pod())
    assert found["metadata"]["labels"][HEADLESS] == ""
    assert endpoints["metadata"]["labels"][HEADLESS] == ""
    (found,), endpoints = made(service({HEADLESS: "x"}), pod())
    assert HEADLESS not in found["metadata"]["labels"]
    assert HEADLESS not in endpoints["metadata"]["labels"]


def test_a_label_of_the_service_that_changes_comes_to_its_objects() -> None:
    (first,), endpoints = made(service({"team": "a"}), pod())
    first["metadata"] |= {"name": "db-x", "uid": "e1"}
    quiet = plan(seen(service({"team": "a"}), pod(), stored=[first], old=endpoints), NOW)
    assert quiet.actions == ()
    after = plan(seen(service({"team": "b"}), pod(), stored=[first], old=endpoints), NOW)
    changed = [a.obj["metadata"]["labels"]["team"] for a in after.actions if isinstance(a, Update)]
    assert changed == ["b", "b"]


def kept(slice_: Any, name: str) -> Any:
    """A slice as the server keeps it."""
    metadata = {**slice_["metadata"], "name": name, "uid": f"u-{name}"}
    metadata["annotations"] = {**metadata["annotations"], "mine": "x"}
    return {**slice_, "metadata": metadata}


def test_pods_that_go_leave_the_others_in_their_slice() -> None:
    pods = [pod(f"db-{i}", status={"podIP": f"10.128.0.{i}"}) for i in range(3)]
    (first,), _ = made(service(), *pods)
    assert first["metadata"]["namespace"] == "default"
    observed = seen(service(), pods[0], pods[2], stored=[kept(first, "db-x")])
    actions = plan(observed, NOW + 60).actions
    (update,) = [a for a in actions if isinstance(a, Update)]
    assert update.obj["metadata"]["name"] == "db-x"
    assert [e["targetRef"]["name"] for e in update.obj["endpoints"]] == ["db-0", "db-2"]
    when = "endpoints.kubernetes.io/last-change-trigger-time"
    annotations = {"mine": "x", when: meta.format_time(NOW + 60)}
    assert update.obj["metadata"]["annotations"] == annotations


def test_a_slice_that_empties_goes_unless_it_is_the_last_one() -> None:
    ports = [{"port": 80, "targetPort": "web"}]
    other = {**WEB, "containerPort": 9090}
    pods = [
        pod("a", containers=[{"name": "c", "ports": [WEB]}]),
        pod("b", containers=[{"name": "c", "ports": [other]}]),
    ]
    found, endpoints = made(service(ports=ports), *pods)
    stored = [kept(s, f"db-{s['ports'][0]['port']}") for s in found]
    one_left = seen(service(ports=ports), pods[0], stored=stored, old=endpoints)
    gone = [a.name for a in plan(one_left, NOW).actions if isinstance(a, Delete)]
    assert gone == ["db-9090"]
    nobody = plan(seen(service(ports=ports), stored=stored, old=endpoints), NOW).actions
    assert len([a for a in nobody if isinstance(a, Delete)]) == 1
    (empty,) = [a for a in nobody if isinstance(a, Update) and a.resource == slices.RESOURCE]
    assert (empty.obj["endpoints"], empty.obj["ports"]) == ([], [])


def test_more_endpoints_than_one_object_takes() -> None:
    pods = [pod(f"p{i:04}", ready=i >= 10, status={"podIP": f"10.1.{i // 250}.{i % 250}"})
            for i in range(1010)]  # fmt: skip
    found, endpoints = made(service(), *pods)
    assert [len(s["endpoints"]) for s in found] == [100] * 10 + [10]
    (subset,) = endpoints["subsets"]
    assert len(subset["addresses"]) == 1000, "the ready ones first"
    assert "notReadyAddresses" not in subset
    assert endpoints["metadata"]["annotations"][legacy.CAPACITY_ANNOTATION] == "truncated"
    fewer = plan(seen(service(), *pods[10:], stored=(), old=endpoints), NOW).actions
    (update,) = [a for a in fewer if isinstance(a, Update)]
    assert legacy.CAPACITY_ANNOTATION not in update.obj["metadata"]["annotations"]


def test_what_of_a_pod_matters_to_services() -> None:
    plain = endpoint.fingerprint(pod())
    for other in (
        pod(ready=False),
        leaving(pod()),
        pod(nodeName="n2"),
        pod(status={"podIP": "10.128.0.6"}),
        pod(status={"phase": "Failed"}),
    ):
        assert endpoint.fingerprint(other) != plain
    noise = {**pod(), "status": {**pod()["status"], "startTime": "2026-01-01T00:00:00Z"}}
    assert endpoint.fingerprint(noise) == plain
    nowhere = pod(status={"podIP": ""})
    assert endpoint.fingerprint(nowhere) == endpoint.fingerprint({**nowhere, "spec": {}})
