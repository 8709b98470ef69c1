"""Services: what an update keeps and drops."""

import copy
from typing import Any

from petset.api.core.v1 import service

Made = dict[str, Any]


def _service(**spec: Any) -> Made:
    spec.setdefault("ports", [{"port": 80}])
    made = {"metadata": {"name": "s"}, "spec": spec}
    service.default(made)
    return made


def _updated(new: Made, old: Made) -> Made:
    new = copy.deepcopy(new)
    service.default(new)
    service.prepare_update(new, old)
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
    assert [f.field for f in service.validate_update(changed, old)] == ["spec.clusterIPs[0]"]


def test_an_address_changed_in_one_spelling_is_refused_by_the_other() -> None:
    old = _service(clusterIP="10.96.0.7")
    new = copy.deepcopy(old)
    new["spec"]["clusterIP"] = "10.96.0.9"
    changed = {"metadata": {"name": "s"}, "spec": _updated(new, old)}
    assert service.validate(changed) == []
    assert [str(fault) for fault in service.validate_update(changed, old)] == [
        'spec.clusterIPs[0]: Invalid value: ["10.96.0.9"]: may not change once set'
    ]


def test_leaving_external_name_frees_the_address() -> None:
    old = _service(type="ExternalName", externalName="a.b")
    new = _service(clusterIP="10.96.0.9")
    assert service.validate_update(new, old) == []


def test_addresses_of_a_balancer_are_checked() -> None:
    bad = {
        "status": {"loadBalancer": {"ingress": [{"ip": "x", "hostname": "A_"}, {"ip": "1.2.3.4"}]}}
    }
    assert [f.field for f in service.validate_status(bad, {})] == [
        "status.loadBalancer.ingress[0].ip",
        "status.loadBalancer.ingress[0].hostname",
    ]


def test_external_addresses_lie_outside_the_machine() -> None:
    made = _service(externalIPs=["127.0.0.1", "0.0.0.0", "9.9.9.9"])
    assert [f.field for f in service.validate(made)] == [
        "spec.externalIPs[0]",
        "spec.externalIPs[1]",
    ]


def test_source_ranges_are_networks() -> None:
    made = _service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8", "10.0.0.0"])
    assert [f.field for f in service.validate(made)] == ["spec.loadBalancerSourceRanges[1]"]
