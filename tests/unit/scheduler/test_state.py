from petset.scheduler.plugins.types import HOSTNAME, ZONE, Volumes
from petset.scheduler.plugins.volumes import SELECTED_NODE, Choice
from petset.scheduler.state import State
from tests.unit.scheduler.objects import (
    asking,
    info,
    make_claim,
    make_node,
    make_pod,
    make_volume,
    named,
    owned,
    using,
)


def test_an_assumed_pod_takes_its_room_at_once() -> None:
    state = State()
    state.set_node("n1", make_node("n1"))
    state.assume(info(make_pod("a", containers=asking("1"))), "n1", Choice())
    assert state.world().nodes[0].requested["cpu"] == 1000


def test_a_forgotten_pod_gives_its_room_back() -> None:
    state = State()
    state.set_node("n1", make_node("n1"))
    pod = info(make_pod("a", containers=asking("1"), volumes=using("data")))
    state.assume(pod, "n1", Choice((("v1", "default/data"),)))
    assert state.world().reserved == {"v1": "default/data"}
    state.forget(pod.uid)
    world = state.world()
    assert (world.nodes[0].pods, world.reserved, world.claim_users) == ((), {}, {})


def test_a_pod_seen_on_another_node_than_assumed_moves() -> None:
    state = State()
    for name in ("n1", "n2"):
        state.set_node(name, make_node(name))
    state.assume(info(make_pod("a")), "n1", Choice())
    state.set_pod(make_pod("a", nodeName="n2"))
    assert [len(n.pods) for n in state.world().nodes] == [0, 1]
    assert not state.assumed


def test_finished_pods_take_nothing() -> None:
    state = State()
    state.set_node("n1", make_node("n1"))
    state.set_pod(make_pod("a", nodeName="n1"))
    state.set_pod({**make_pod("a", nodeName="n1"), "status": {"phase": "Succeeded"}})
    assert state.world().nodes[0].pods == ()


def test_a_chosen_node_shows_on_the_claim_before_the_api_has_it() -> None:
    state = State()
    state.set_claim("default/data", make_claim())
    pod = info(make_pod("a", volumes=using("data")))
    state.assume(pod, "n1", Choice(provision=("default/data",)))
    state.set_claim("default/data", make_claim())
    assert state.claims["default/data"]["metadata"]["annotations"] == {SELECTED_NODE: "n1"}
    state.forget(pod.uid)
    state.set_claim("default/data", make_claim())
    assert state.claims["default/data"]["metadata"]["annotations"] == {}


def test_pods_of_a_node_that_comes_back_are_still_counted() -> None:
    state = State()
    state.set_pod(make_pod("a", nodeName="n1"))
    assert not state.world().nodes
    state.set_node("n1", make_node("n1"))
    assert [p.name for p in state.world().nodes[0].pods] == ["a"]


def test_the_picture_kept_change_by_change_is_the_one_made_anew() -> None:
    state = State()
    zones = {"n1": "a", "n2": "a", "n3": "b"}
    for name, zone in zones.items():
        state.set_node(name, make_node(name, labels={ZONE: zone}))
    pods = [owned(make_pod(f"p{i}", containers=asking("1", "1Gi")), "web") for i in range(6)]
    for i, pod in enumerate(pods):
        state.assume(info(pod), f"n{i % 3 + 1}", Choice())
    going = {**pods[1], "metadata": {**pods[1]["metadata"], "deletionTimestamp": "t"}}
    state.set_pod({**going, "spec": {**going["spec"], "nodeName": "n2"}})
    state.remove_pod("uid-p0")
    state.set_node("n3", make_node("n3", labels={ZONE: "a"}))
    nodes = state.world().nodes
    assert [n.requested["cpu"] for n in nodes] == [1000, 2000, 2000]
    assert nodes.owned("uid-web", ZONE) == {"a": 4}
    assert nodes.owned("uid-web", HOSTNAME) == {"n1": 1, "n2": 1, "n3": 2}
    state.set_node("n2", None)
    assert [n.name for n in state.world().nodes] == ["n1", "n3"]
    assert nodes.owned("uid-web", HOSTNAME) == {"n1": 1, "n3": 2}


def test_volumes_are_found_by_the_claim_that_they_are_kept_for() -> None:
    volumes = Volumes(named([make_volume("v1")]))
    kept = make_volume("v1", claimRef={"namespace": "default", "name": "data"})
    assert list(volumes.kept_for("")) == ["v1"]
    volumes.put("v1", kept)
    assert (list(volumes.kept_for("")), list(volumes.kept_for("default/data"))) == ([], ["v1"])
    volumes.put("v1", None)
    assert (volumes.get("v1"), list(volumes.kept_for("default/data"))) == (None, [])
