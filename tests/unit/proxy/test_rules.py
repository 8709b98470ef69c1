from typing import Any

from petset.proxy.nftables import pieces, update, whole
from petset.proxy.rules import PortRule, Target, port_rules

Obj = dict[str, Any]


def service(name: str = "web", **spec: Any) -> Obj:
    spec.setdefault("ports", [{"name": "http", "port": 80, "protocol": "TCP"}])
    spec.setdefault("clusterIP", "10.96.0.20")
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def endpoint(address: str, node: str = "n1", **conditions: Any) -> Obj:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def slice_of(*endpoints: Obj, port: int = 8080) -> Obj:
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    return {"addressType": "IPv4", "endpoints": list(endpoints), "ports": ports}


def rules(one: Obj, *slices: Obj, node: str = "n1") -> list[PortRule]:
    return port_rules([one], {f"default/{one['metadata']['name']}": slices}, node)


def addresses(targets: tuple[Target, ...]) -> list[str]:
    return [t.address for t in targets]


def test_ready_endpoints_are_targets_in_address_order() -> None:
    (rule,) = rules(
        service(),
        slice_of(endpoint("10.128.0.10", ready=True), endpoint("10.128.0.9", ready=True)),
        slice_of(endpoint("10.128.0.11", ready=False, serving=False)),
    )
    assert rule.targets == (Target("10.128.0.9", 8080), Target("10.128.0.10", 8080))


def test_leaving_endpoints_serve_only_while_none_is_ready() -> None:
    leaving = endpoint("10.128.0.9", ready=False, serving=True, terminating=True)
    (alone,) = rules(service(), slice_of(leaving))
    (beside,) = rules(service(), slice_of(leaving, endpoint("10.128.0.10", ready=True)))
    assert addresses(alone.targets) == ["10.128.0.9"]
    assert addresses(beside.targets) == ["10.128.0.10"]


def test_headless_external_and_dns_services_are_left_out() -> None:
    for one in (
        service(clusterIP="None"),
        service(clusterIP=""),
        service(type="ExternalName", externalName="example.org"),
        service(clusterIP="10.96.0.10"),
        service(clusterIP="fd00::1"),
    ):
        assert rules(one, slice_of(endpoint("10.128.0.9"))) == []


def test_a_service_of_another_proxy_is_left_out() -> None:
    one = service()
    one["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "x"}
    assert rules(one, slice_of(endpoint("10.128.0.9"))) == []


def test_local_policies_keep_to_the_node() -> None:
    slices = slice_of(endpoint("10.128.0.9", "n1"), endpoint("10.128.1.9", "n2"))
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    (inside,) = rules(service(internalTrafficPolicy="Local"), slices)
    (outside,) = rules(service(externalTrafficPolicy="Local", ports=ports), slices)
    assert addresses(inside.targets) == ["10.128.0.9"]
    assert addresses(outside.targets) == ["10.128.0.9", "10.128.1.9"]
    assert addresses(outside.node_targets) == ["10.128.0.9"]


def test_a_service_without_endpoints_is_refused() -> None:
    made = pieces(rules(service()))
    assert made.elements["refused"] == ["10.96.0.20 . tcp . 80"]
    assert not made.chains


def test_the_way_from_a_table_to_itself_is_empty() -> None:
    made = pieces(rules(service(), slice_of(endpoint("10.128.0.9"))))
    again = pieces(rules(service(), slice_of(endpoint("10.128.0.9"))))
    assert update(made, again) == ""


def test_a_change_leaves_other_services_alone() -> None:
    def both(*web: str) -> list[PortRule]:
        one, two = service("web"), service("api", clusterIP="10.96.0.21")
        slices = {
            "default/web": [slice_of(*map(endpoint, web))],
            "default/api": [slice_of(endpoint("10.128.0.50"))],
        }
        return port_rules([one, two], slices, "n1")

    text = update(pieces(both("10.128.0.9")), pieces(both("10.128.0.9", "10.128.0.10")))
    assert "svc/default/web/http" in text
    assert "svc/default/api" not in text


def test_affinity_remembers_clients_per_endpoint() -> None:
    config = {"clientIP": {"timeoutSeconds": 60}}
    one = service(sessionAffinity="ClientIP", sessionAffinityConfig=config)
    made = pieces(rules(one, slice_of(endpoint("10.128.0.9"), endpoint("10.128.0.10"))))
    assert made.sets == [
        "svc/default/web/http/10.128.0.9_8080",
        "svc/default/web/http/10.128.0.10_8080",
    ]
    assert "timeout 60s" in whole(made)
