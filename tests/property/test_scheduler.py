"""Whatever the cluster, placements keep to the rules that filters stand for."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import podrequests
from petset.scheduler.plan import Placement, Unschedulable, plan
from petset.scheduler.plugins.info import SMALL, pod_info
from petset.scheduler.state import State

CPU = st.integers(0, 4)
LABEL = st.sampled_from(["a", "b"])


def _node(name: str, cpu: int, zone: str, *, cordoned: bool) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, "zone": zone}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"unschedulable": cordoned},
        "status": {"allocatable": {"cpu": str(cpu), "memory": "8Gi", "pods": "4"}},
    }


def _pod(index: int, cpu: int, zone: str, *, alone: bool) -> dict[str, Any]:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"alone": "true"}}}
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {
        "metadata": {
            "name": f"p{index}",
            "namespace": "default",
            "uid": f"u{index}",
            "labels": {"alone": "true"} if alone else {},
        },
        "spec": {
            "containers": [{"name": "c", "resources": {"requests": {"cpu": str(cpu)}}}],
            "nodeSelector": {"zone": zone} if zone else {},
            "affinity": {"podAntiAffinity": rule} if alone else {},
        },
    }


NODES = st.lists(st.tuples(CPU, LABEL, st.booleans()), max_size=4)
PODS = st.lists(st.tuples(CPU, st.sampled_from(["", "a", "b"]), st.booleans()), max_size=12)


@settings(max_examples=150, deadline=None)
@given(nodes=NODES, pods=PODS, rng=st.randoms(use_true_random=False))
def test_a_burst_never_breaks_a_rule(
    nodes: list[tuple[int, str, bool]], pods: list[tuple[int, str, bool]], rng: Any
) -> None:
    state = State()
    for i, (cpu, zone, cordoned) in enumerate(nodes):
        state.set_node(f"n{i}", _node(f"n{i}", cpu, zone, cordoned=cordoned))
    for i, (cpu, zone, alone) in enumerate(pods):
        info = pod_info(_pod(i, cpu, zone, alone=alone))
        decision = plan(info, state.world(), rng.randrange)
        again = plan(info, state.world(), lambda _: 0)
        assert isinstance(decision, Placement) is isinstance(again, Placement)
        if isinstance(decision, Placement):
            state.assume(info, decision.node, decision.volumes)
    alone_in: dict[str, int] = {}
    for node in state.world().nodes:
        assert node.requested.get("cpu", 0) <= node.allocatable["cpu"]
        assert len(node.pods) <= 4
        assert not node.pods or not node.node["spec"]["unschedulable"]
        for pod in node.pods:
            assert pod.spec["nodeSelector"].items() <= node.labels.items()
            zone = node.labels["zone"]
            alone_in[zone] = alone_in.get(zone, 0) + ("alone" in pod.labels)
    assert all(count <= 1 for count in alone_in.values())


TOLERATED, REFUSED = "old", "broken"
CLAIMS = {"in-a": "a", "in-b": "b"}
"""Claims by name, and the zone that their volume is bound to."""

HOSTS = st.lists(st.tuples(LABEL, st.sampled_from(["", TOLERATED, REFUSED])), max_size=4)
GUESTS = st.lists(
    st.fixed_dictionaries(
        {
            "port": st.sampled_from([0, 0, 80, 81]),
            "claim": st.sampled_from(["", "", *CLAIMS, "none"]),
            "even": st.booleans(),
            "node": st.sampled_from(["", "", "n0"]),
        }
    ),
    max_size=8,
)


def _host(name: str, zone: str, taint: str) -> dict[str, Any]:
    node = _node(name, 100, zone, cordoned=False)
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    return {**node, "spec": {"taints": taints}}


def _guest(index: int, drawn: dict[str, Any]) -> dict[str, Any]:
    """A pod with a host port, a claim, a place of its own, or one that is to be spread evenly."""
    made = _pod(index, 0, "", alone=False)
    made["metadata"]["labels"] = {"even": "true"} if drawn["even"] else {}
    spec = made["spec"]
    spec["tolerations"] = [{"key": TOLERATED, "operator": "Exists"}]
    if drawn["port"]:
        port = {"containerPort": 1, "hostPort": drawn["port"], "protocol": "TCP"}
        spec["containers"][0]["ports"] = [port]
    if drawn["claim"]:
        claim = {"claimName": drawn["claim"]}
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": claim}]
    if drawn["node"]:
        spec["nodeName"] = drawn["node"]
    if drawn["even"]:
        selector = {"matchLabels": {"even": "true"}}
        rule = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        spec["topologySpreadConstraints"] = [{**rule, "labelSelector": selector}]
    return made


def _volumes(state: State) -> None:
    for name, zone in CLAIMS.items():
        terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}]
        affinity = {"required": {"nodeSelectorTerms": terms}}
        volume = {"metadata": {"name": f"pv-{name}"}, "spec": {"nodeAffinity": affinity}}
        state.volumes.put(f"pv-{name}", volume)
        bound = {"pv.kubernetes.io/bind-completed": "yes"}
        metadata = {"name": name, "namespace": "default", "annotations": bound}
        spec = {"volumeName": f"pv-{name}", "accessModes": ["ReadWriteMany"]}
        state.set_claim(f"default/{name}", {"metadata": metadata, "spec": spec})


@settings(max_examples=150, deadline=None)
@given(hosts=HOSTS, guests=GUESTS, rng=st.randoms(use_true_random=False))
def test_taints_ports_volumes_spread_and_names_of_nodes_are_kept(
    hosts: Sequence[tuple[str, str]], guests: Sequence[dict[str, Any]], rng: Any
) -> None:
    state = State()
    _volumes(state)
    for i, (zone, taint) in enumerate(hosts):
        state.set_node(f"n{i}", _host(f"n{i}", zone, taint))
    zones = {zone for zone, _ in hosts}  # also of nodes that the pods do not tolerate
    even: Counter[str] = Counter(dict.fromkeys(zones, 0))
    for i, drawn in enumerate(guests):
        info = pod_info(_guest(i, drawn))
        decision = plan(info, state.world(), rng.randrange)
        if isinstance(decision, Unschedulable):
            assert decision.filters
            assert not _fits_somewhere(state, drawn, even)
            continue
        node = state.world().nodes.get(decision.node)
        assert node is not None
        assert _fits(node, drawn, even)
        even[node.labels["zone"]] += drawn["even"]
        state.assume(info, decision.node, decision.volumes)


def _fits_somewhere(state: State, drawn: dict[str, Any], even: Counter[str]) -> bool:
    return any(_fits(node, drawn, even) for node in state.world().nodes)


def _fits(node: Any, drawn: dict[str, Any], even: Counter[str]) -> bool:
    """The rules in other words."""
    zone = node.labels["zone"]
    ports = {
        port["hostPort"]
        for pod in node.pods
        for port in pod.spec["containers"][0].get("ports") or ()
    }
    return (
        all(taint["key"] == TOLERATED for taint in node.node["spec"]["taints"])
        and drawn["port"] not in ports
        and (not drawn["claim"] or CLAIMS.get(drawn["claim"]) == zone)
        and (not drawn["node"] or drawn["node"] == node.name)
        and (not drawn["even"] or even[zone] + 1 - min(even.values()) <= 1)
        and len(node.pods) < 4
    )


@settings(max_examples=100, deadline=None)
@given(hosts=HOSTS, guests=GUESTS, seed=st.integers(0, 9))
def test_the_same_world_gives_the_same_place_and_a_placement_taken_back_leaves_no_trace(
    hosts: Sequence[tuple[str, str]], guests: Sequence[dict[str, Any]], seed: int
) -> None:
    state = State()
    _volumes(state)
    for i, (zone, taint) in enumerate(hosts):
        state.set_node(f"n{i}", _host(f"n{i}", zone, taint))
    for i, drawn in enumerate(guests):
        info = pod_info(_guest(i, drawn))
        decision = plan(info, state.world(), lambda count: seed % count)
        if not isinstance(decision, Placement):
            continue
        state.assume(info, decision.node, decision.volumes)
        state.forget(info.uid)
        assert plan(info, state.world(), lambda count: seed % count) == decision
        state.assume(info, decision.node, decision.volumes)


AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "example.com/x"]),
    st.sampled_from(["0", "1", "250m", "1.5", "64Mi", "9E", "1e3", "nonsense"]),
    max_size=3,
)
RESOURCES = st.one_of(st.none(), st.just({}), st.builds(lambda r: {"requests": r}, AMOUNTS))
CONTAINER = st.builds(
    lambda resources, always: (
        {"name": "c", "image": "i", "resources": resources}
        | ({"restartPolicy": "Always"} if always else {})
    ),
    RESOURCES,
    st.booleans(),
)
SPEC = st.fixed_dictionaries(
    {"containers": st.lists(CONTAINER, max_size=3)},
    optional={
        "initContainers": st.lists(CONTAINER, max_size=3),
        "resources": RESOURCES,
        "overhead": AMOUNTS,
    },
)


@settings(max_examples=300, deadline=None)
@given(spec=SPEC)
def test_what_is_remembered_of_requests_is_what_the_spec_asks_for(spec: dict[str, Any]) -> None:
    info = pod_info({"metadata": {"name": "p", "uid": "u"}, "spec": spec})
    assert info.requests == podrequests.requests_of(spec)
    assert info.usage == podrequests.requests_of(spec, least=SMALL)
