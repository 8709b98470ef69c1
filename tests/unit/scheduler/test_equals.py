"""Which pods may take a node that an earlier pod has found equally good."""

from petset.scheduler.plan import Placement, plan
from petset.scheduler.plugins.info import SOFT
from petset.scheduler.plugins.types import ZONE
from petset.scheduler.plugins.volumes import Choice
from petset.scheduler.state import State
from tests.unit.scheduler.objects import asking, info, make_node, make_pod, owned


def test_a_pod_with_wishes_about_others_does_not_share_the_look_of_one_without() -> None:
    state = State()
    for i in range(120):
        state.set_node(f"n{i:03}", make_node(f"n{i:03}"))
    cache = info(make_pod("cache", labels={"app": "cache"}, containers=asking("1")))
    state.assume(cache, "n070", Choice())
    app = {"matchLabels": {"app": "cache"}}
    wish = {"topologyKey": "kubernetes.io/hostname", "labelSelector": app}
    near = {"podAffinity": {SOFT: [{"weight": 100, "podAffinityTerm": wish}]}}
    found = []
    for name, affinity in (("a", {}), ("b", near)):
        pod = info(owned(make_pod(name, containers=asking("1m"), affinity=affinity), "web"))
        decision = plan(pod, state.world(), lambda _: 0)
        assert isinstance(decision, Placement)
        state.assume(pod, decision.node, decision.volumes)
        found.append(decision.node)
    assert found[0] != "n070"
    assert found[1] == "n070"


def test_in_a_cluster_of_one_zone_pods_share_a_look() -> None:
    state = State()
    for i in range(120):
        state.set_node(f"n{i:03}", make_node(f"n{i:03}", labels={ZONE: "z"}))
    looks = []
    for i in range(10):
        pod = info(owned(make_pod(f"p{i}", containers=asking("1m")), "web"))
        decision = plan(pod, state.world(), lambda _: 0)
        assert isinstance(decision, Placement)
        state.assume(pod, decision.node, decision.volumes)
        looks.append(decision)
    assert [bool(d.looked_at) for d in looks] == [True] + [False] * 9
    assert len({d.node for d in looks}) == 10
