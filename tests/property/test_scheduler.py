"""Whatever the cluster, placements keep to the rules that filters stand for."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.scheduler.plan import Placement, plan
from petset.scheduler.plugins.info import pod_info
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
