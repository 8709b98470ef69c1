from typing import Any

import pytest

from petset.proxy.nftables import pieces, present, update, whole
from petset.proxy.rules import PortRule, Target, datagram_places, health_checks, port_rules

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


@pytest.mark.parametrize("label", ["service-proxy-name", "headless"])
def test_what_is_labelled_for_others_is_left_out(label: str) -> None:
    labels = {f"service.kubernetes.io/{label}": "x"}
    one, part = service(), slice_of(endpoint("10.128.0.9"))
    part["metadata"] = {"labels": labels}
    (rule,) = rules(one, part)
    assert rule.every == ()
    one["metadata"]["labels"] = labels
    assert rules(one, slice_of(endpoint("10.128.0.9"))) == []


def test_local_policies_keep_to_the_node() -> None:
    slices = slice_of(endpoint("10.128.0.9", "n1"), endpoint("10.128.1.9", "n2"))
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    (inside,) = rules(service(internalTrafficPolicy="Local"), slices)
    (outside,) = rules(service(externalTrafficPolicy="Local", ports=ports), slices)
    assert addresses(inside.targets) == ["10.128.0.9"]
    assert addresses(outside.targets) == ["10.128.0.9", "10.128.1.9"]
    assert addresses(outside.near) == ["10.128.0.9"]
    assert addresses(inside.every) == ["10.128.0.9", "10.128.1.9"]


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


def test_places_without_an_endpoint_here_drop_and_without_any_refuse() -> None:
    far = slice_of(endpoint("10.128.1.9", "n2"))
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    policies = {"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"}
    one = service(type="NodePort", ports=ports, externalIPs=["192.0.2.7"], **policies)
    made = pieces(rules(one, far), "10.128.0.0/16")
    assert made.elements["dropped"] == ["10.96.0.20 . tcp . 80", "192.0.2.7 . tcp . 80"]
    assert made.elements["dropped_ports"] == ["tcp . 30080"]
    assert made.chains["ext/default/web/http"] == [
        "ip saddr 10.128.0.0/16 goto all/default/web/http",
        "fib saddr type local ct mark set ct mark | 0x4000",
        "fib saddr type local goto all/default/web/http",
    ]
    empty = pieces(rules(one))
    assert empty.elements["refused"] == made.elements["dropped"]
    assert empty.elements["refused_ports"] == ["tcp . 30080"]
    assert not empty.elements["dropped"]


def test_an_outside_address_belongs_to_the_first_service_that_names_it() -> None:
    one = service("a", clusterIP="10.96.0.20", externalIPs=["192.0.2.7", "10.96.0.21"])
    two = service("b", clusterIP="10.96.0.21", externalIPs=["192.0.2.7", "fd00::1"])
    ends = {f"default/{name}": [slice_of(endpoint("10.128.0.9"))] for name in "ab"}
    made = pieces(port_rules([one, two], ends, "n1"))
    assert made.elements["svc"] == [
        "10.96.0.20 . tcp . 80 : goto svc/default/a/http",
        "192.0.2.7 . tcp . 80 : goto ext/default/a/http",
        "10.96.0.21 . tcp . 80 : goto svc/default/b/http",
    ]


def test_a_balancers_address_is_open_to_its_source_ranges_only() -> None:
    one = service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8", "fd00::/64"])
    proxied = {"ip": "192.0.2.9", "ipMode": "Proxy"}
    one["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}, proxied]}}
    made = pieces(rules(one, slice_of(endpoint("10.128.0.9"))))
    assert made.elements["svc"][1:] == ["192.0.2.8 . tcp . 80 : goto from/default/web/http"]
    assert made.chains["from/default/web/http"] == ["ip saddr 10.0.0.0/8 goto ext/default/web/http"]
    assert made.elements["dropped"] == ["192.0.2.8 . tcp . 80"]


def test_hints_and_distribution_change_nothing() -> None:
    hinted = {**endpoint("10.128.0.9", ready=True), "hints": {"forZones": [{"name": "z"}]}}
    plain = slice_of(endpoint("10.128.0.9", ready=True))
    one = service(trafficDistribution="PreferClose")
    assert rules(one, slice_of(hinted)) == rules(service(), plain)


def test_places_of_udp_are_told_with_their_endpoints() -> None:
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
        {"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080},
    ]
    part = slice_of(endpoint("10.128.0.9"))
    part["ports"] = [{"name": "dns", "port": 5353, "protocol": "UDP"}]
    told = datagram_places(rules(service(ports=ports, externalIPs=["192.0.2.7"]), part))
    target = frozenset({Target("10.128.0.9", 5353)})
    assert told == {
        ("10.96.0.20", 53): target,
        ("192.0.2.7", 53): target,
        ("", 30053): target,
    }


def test_a_health_check_counts_the_ready_endpoints_of_the_node() -> None:
    asked = service(type="LoadBalancer", healthCheckNodePort=30800, externalTrafficPolicy="Local")
    parts = [
        slice_of(endpoint("10.128.0.9"), endpoint("10.128.0.10", ready=True)),
        slice_of(
            endpoint("10.128.0.10"),  # told twice, as one of two ports
            endpoint("10.128.0.11", ready=False, serving=True, terminating=True),
            endpoint("10.128.1.9", "n2"),
        ),
    ]
    found = {n: health_checks([asked], {"default/web": parts}, n) for n in ("n1", "n2", "n3")}
    assert [(c.port, c.namespace, c.name) for (c,) in found.values()] == [
        (30800, "default", "web")
    ] * 3
    assert [c.endpoints for (c,) in found.values()] == [2, 1, 0]
    assert health_checks([service()], {"default/web": parts}, "n1") == []


@pytest.mark.parametrize(
    "listing", ["", "{", "[]", '{"nftables": []}', '{"nftables": [{"table": 1}]}']
)
def test_what_is_no_listing_of_our_table_is_not_kept(listing: str) -> None:
    assert present(listing) is None


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_ports_lead_to_endpoints_of_their_protocol(protocol: str) -> None:
    one = service(ports=[{"name": "http", "port": 80, "protocol": protocol}])
    same = slice_of(endpoint("10.128.0.9"))
    same["ports"] = [{"name": "http", "port": 8080, "protocol": protocol}]
    (rule,) = rules(one, same)
    assert (rule.protocol, rule.targets) == (protocol.lower(), (Target("10.128.0.9", 8080),))
    other = slice_of(endpoint("10.128.0.9"))
    other["ports"] = [{"name": "http", "port": 8080, "protocol": "X"}]
    assert rules(one, other)[0].every == ()


def test_a_port_without_a_number_leads_nowhere() -> None:
    vague = slice_of(endpoint("10.128.0.9"))
    vague["ports"] = [{"name": "http", "protocol": "TCP", "port": None}]
    (rule,) = rules(service(), vague)
    assert rule.every == ()
