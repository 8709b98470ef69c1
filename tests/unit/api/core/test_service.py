"""Services: what an update keeps and drops."""

import copy
from typing import Any

from petset.api.core.v1 import service, servicefamily, serviceupdate

Made = dict[str, Any]


def _service(**spec: Any) -> Made:
    spec.setdefault("ports", [{"port": 80}])
    made = {"metadata": {"name": "s"}, "spec": spec}
    service.default(made)
    return made


def _updated(new: Made, old: Made) -> Made:
    new = copy.deepcopy(new)
    service.default(new)
    serviceupdate.prepare_update(new, old)
    spec: Made = new["spec"]
    return spec


def test_cluster_and_node_ports_survive_a_replace_that_leaves_them_out() -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    old = _service(type="NodePort", clusterIP="10.96.0.7", ports=ports)
    spec = _updated(_service(type="NodePort", ports=[{"port": 80}, {"port": 81, "name": "b"}]), old)
    assert spec["clusterIPs"] == ["10.96.0.7"]
    assert [p.get("nodePort") for p in spec["ports"]] == [30080, None]


def test_node_ports_go_with_the_type() -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    old = _service(type="NodePort", clusterIP="10.96.0.7", ports=ports)
    new = copy.deepcopy(old)
    new["spec"]["type"] = "ClusterIP"
    spec = _updated(new, old)
    assert "nodePort" not in spec["ports"][0]
    assert "externalTrafficPolicy" not in spec
    assert service.validate({"spec": spec}) == []


def test_a_headless_service_stays_headless() -> None:
    old = _service(clusterIP="None")
    assert _updated(_service(), old)["clusterIP"] == "None"
    changed = _service(clusterIP="10.96.0.9")
    assert [f.field for f in serviceupdate.validate_update(changed, old)] == ["spec.clusterIPs[0]"]


def test_an_address_changed_in_one_spelling_is_refused_by_the_other() -> None:
    old = _service(clusterIP="10.96.0.7")
    new = copy.deepcopy(old)
    new["spec"]["clusterIP"] = "10.96.0.9"
    changed = {"metadata": {"name": "s"}, "spec": _updated(new, old)}
    assert service.validate(changed) == []
    assert [str(fault) for fault in serviceupdate.validate_update(changed, old)] == [
        'spec.clusterIPs[0]: Invalid value: ["10.96.0.9"]: may not change once set'
    ]


def test_leaving_external_name_frees_the_address() -> None:
    old = _service(type="ExternalName", externalName="a.b")
    new = _service(clusterIP="10.96.0.9")
    assert serviceupdate.validate_update(new, old) == []


def test_addresses_of_a_balancer_are_checked() -> None:
    ingress = [{"ip": "x", "hostname": "A_"}, {"ip": "1.2.3.4"}, {"hostname": "1.2.3.4"}]
    bad = {"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": ingress}}}
    assert [f.field for f in service.validate_status(bad, {})] == [
        "status.loadBalancer.ingress[0].ip",
        "status.loadBalancer.ingress[0].hostname",
        "status.loadBalancer.ingress[2].hostname",
    ]
    bad["spec"] = {"type": "NodePort"}
    (fault,) = service.validate_status(bad, {})
    assert fault.message == "Forbidden: may only be used when `spec.type` is 'LoadBalancer'"


def test_external_addresses_lie_outside_the_machine() -> None:
    made = _service(externalIPs=["127.0.0.1", "0.0.0.0", "9.9.9.9"])
    assert [f.field for f in service.validate(made)] == [
        "spec.externalIPs[0]",
        "spec.externalIPs[1]",
    ]


def test_source_ranges_are_networks() -> None:
    made = _service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8", "10.0.0.0"])
    assert [f.field for f in service.validate(made)] == ["spec.LoadBalancerSourceRanges[1]"]


def _faults(made: Made) -> list[str]:
    return [str(fault) for fault in service.validate(made)]


def test_members_of_a_balancer_are_for_balancers_only() -> None:
    spec = {
        "allocateLoadBalancerNodePorts": True,
        "loadBalancerClass": "a/b",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "healthCheckNodePort": 30000,
    }
    only = "Forbidden: may only be used when `type` is 'LoadBalancer'"
    assert _faults(_service(**spec)) == [
        f"spec.LoadBalancerSourceRanges: {only}",
        f"spec.allocateLoadBalancerNodePorts: {only}",
        f"spec.loadBalancerClass: {only}",
        "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is "
        "'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    ]
    local = _service(type="LoadBalancer", externalTrafficPolicy="Local", **spec)
    assert _faults(local) == []


def test_external_addresses_make_a_service_external() -> None:
    made = _service(externalIPs=["9.9.9.9"])
    assert made["spec"]["externalTrafficPolicy"] == "Cluster"
    assert _faults(_service(externalTrafficPolicy="Local")) == [
        'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for '
        "externally-accessible services"
    ]


def test_a_node_port_stands_once_for_each_protocol() -> None:
    def port(name: str, protocol: str, number: int) -> Made:
        return {"name": name, "port": number, "protocol": protocol, "nodePort": 30053}

    both = [port("a", "TCP", 53), port("b", "UDP", 53)]
    assert _faults(_service(type="NodePort", ports=both)) == []
    twice = [*both, port("c", "TCP", 54)]
    assert _faults(_service(type="NodePort", ports=twice)) == [
        "spec.ports[2].nodePort: Duplicate value: 30053"
    ]


def test_addresses_are_one_of_each_family_in_the_order_of_the_families() -> None:
    same = _service(clusterIPs=["10.96.0.7", "10.96.0.8"])
    assert "may specify no more than one IP for each IP family" in _faults(same)[0]
    wrong = _service(clusterIP="fd00::7", ipFamilies=["IPv4"])
    assert _faults(wrong) == [
        'spec.clusterIPs[0]: Invalid value: "fd00::7": expected an IPv4 value as indicated by '
        "`ipFamilies[0]`"
    ]


def test_an_external_name_has_no_addresses_or_families() -> None:
    made = _service(
        type="ExternalName", externalName="a.b", clusterIP="10.0.0.1", ipFamilies=["IPv4"]
    )
    words = "Forbidden: may not be set for ExternalName services"
    assert _faults(made) == [f"spec.clusterIPs: {words}", f"spec.ipFamilies: {words}"]


def test_the_stickiness_of_clients_has_bounds() -> None:
    config = {"clientIP": {"timeoutSeconds": 90000}}
    made = _service(sessionAffinity="ClientIP", sessionAffinityConfig=config)
    assert _faults(made)[0].endswith("must be greater than 0 and less than 86400")


def test_what_a_balancer_was_given_goes_with_its_type() -> None:
    old = _service(
        type="LoadBalancer",
        clusterIP="10.96.0.7",
        ports=[{"port": 80, "nodePort": 30080}],
        externalTrafficPolicy="Local",
        healthCheckNodePort=30081,
        loadBalancerClass="a/b",
    )
    old["status"] = {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}]}}
    new = copy.deepcopy(old)
    new["spec"]["type"] = "ClusterIP"
    service.default(new)
    serviceupdate.prepare_update(new, old)
    assert _faults(new) == []
    kept = {"type", "clusterIP", "clusterIPs", "ports", "sessionAffinity", "internalTrafficPolicy"}
    assert set(new["spec"]) == kept
    assert new["status"] == {"loadBalancer": {}}
    replaced = _service(type="LoadBalancer", externalTrafficPolicy="Local", loadBalancerClass="a/b")
    assert _updated(replaced, old)["healthCheckNodePort"] == 30081


def test_class_and_health_port_of_a_balancer_stay() -> None:
    spec: Made = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    old = _service(**spec, loadBalancerClass="a/b", healthCheckNodePort=30081)
    new = _service(**spec, loadBalancerClass="a/c", healthCheckNodePort=30082)
    assert [str(f) for f in serviceupdate.validate_update(new, old)] == [
        'spec.loadBalancerClass: Invalid value: "a/c": may not change once set',
        "spec.healthCheckNodePort: Forbidden: field is immutable",
    ]


def _settled(**spec: Any) -> tuple[object, object, list[str]]:
    faults = servicefamily.settle(spec)
    return spec["ipFamilyPolicy"], spec["ipFamilies"], [str(f) for f in faults]


def test_families_are_settled_for_a_cluster_of_ipv4() -> None:
    assert _settled(clusterIP="None", selector={"a": "b"}) == ("SingleStack", ["IPv4"], [])
    assert _settled(ipFamilyPolicy="PreferDualStack") == ("PreferDualStack", ["IPv4"], [])
    both = ["IPv4", "IPv6"]
    assert _settled(clusterIP="None") == ("RequireDualStack", both, [])
    assert _settled(clusterIP="None", ipFamilyPolicy="SingleStack")[1] == ["IPv4"]


def test_families_that_are_not_served_are_refused() -> None:
    assert _settled(ipFamilyPolicy="RequireDualStack")[2] == [
        'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured '
        "for dual-stack services"
    ]
    assert _settled(ipFamilies=["IPv6"])[2] == [
        'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'
    ]
    assert _settled(clusterIP="fd00::7", clusterIPs=["fd00::7"])[2] == [
        'spec.clusterIPs[0]: Invalid value: ["fd00::7"]: IPv6 is not configured on this cluster'
    ]
    assert _settled(ipFamilies=["IPv4", "IPv6"])[2] == [
        "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or "
        "'PreferDualStack' when multiple IP families are specified"
    ]


def test_members_that_do_nothing_are_warned_about() -> None:
    made = _service(
        clusterIP="None", externalIPs=["9.9.9.9"], sessionAffinity="ClientIP", externalName="a.b"
    )
    assert service.warnings(made) == [
        'spec.externalName is ignored when spec.type is not "ExternalName"',
        "spec.externalIPs is ignored for headless services",
        "spec.SessionAffinity is ignored for headless services",
    ]
    assert service.warnings(_service()) == []
