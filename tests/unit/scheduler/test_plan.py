from collections import Counter
from typing import Any

import pytest

from petset.scheduler.plan import Draw, Placement, Unschedulable, enough, plan
from petset.scheduler.plugins.types import Volumes, World
from petset.scheduler.state import State
from tests.unit.scheduler.objects import (
    asking,
    bound_claim,
    holding,
    info,
    keyed,
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_volume,
    named,
    owned,
    using,
    world,
)


def first(limit: int) -> int:
    del limit
    return 0


def second(limit: int) -> int:
    del limit
    return 1


def last(limit: int) -> int:
    return limit - 1


def placed(pod: dict[str, Any], cluster: World) -> Placement:
    decision = plan(info(pod), cluster, first)
    assert isinstance(decision, Placement), decision
    return decision


def refused(pod: dict[str, Any], cluster: World) -> str:
    decision = plan(info(pod), cluster, first)
    assert isinstance(decision, Unschedulable), decision
    return decision.message


def test_no_node_is_said_as_upstream_says_it() -> None:
    assert refused(make_pod(), world()) == "no nodes available to schedule pods"


def test_reasons_are_counted_and_sorted() -> None:
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    cluster = world(
        holding(make_node("n1", allocatable={"cpu": "1", "memory": "1Gi", "pods": "10"})),
        holding(make_node("n2", taints=[taint])),
        holding(make_node("n3", taints=[taint])),
    )
    assert refused(make_pod(containers=asking("2")), cluster) == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s)."
    )


def test_requests_of_pods_there_count() -> None:
    there = make_pod("a", containers=asking("3"))
    cluster = world(holding(make_node("n1"), there), holding(make_node("n2"), there))
    assert refused(make_pod(containers=asking("1500m", "9Gi")), cluster) == (
        "0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient memory."
    )


def test_a_node_full_of_pods_is_named() -> None:
    small = make_node("n1", allocatable={"cpu": "4", "memory": "1Gi", "pods": "1"})
    assert refused(make_pod(), world(holding(small, make_pod("a")))) == (
        "0/1 nodes are available: 1 Too many pods."
    )


def test_init_containers_count_by_their_peak_and_sidecars_by_their_sum() -> None:
    def container(name: str, cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "resources": {"requests": {"cpu": cpu}}, **more}

    pod = make_pod(
        containers=[container("a", "1"), container("b", "1")],
        initContainers=[container("s", "500m", restartPolicy="Always"), container("i", "3")],
        overhead={"cpu": "250m"},
    )
    assert info(pod).requests["cpu"] == 3750


def test_requests_of_the_whole_pod_replace_sums() -> None:
    pod = make_pod(containers=asking("1"), resources={"requests": {"cpu": "2"}})
    assert info(pod).requests["cpu"] == 2000


def test_cordoned_nodes_take_nothing() -> None:
    cluster = world(holding(make_node("n1", unschedulable=True)), holding(make_node("n2")))
    assert placed(make_pod(), cluster).node == "n2"


def test_a_toleration_opens_a_tainted_node() -> None:
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    cluster = world(holding(make_node("n1", taints=[taint])))
    pod = make_pod(tolerations=[{"key": "k", "operator": "Equal", "value": "v"}])
    assert placed(pod, cluster).node == "n1"
    assert "untolerated" in refused(make_pod(tolerations=[{"key": "k", "value": "w"}]), cluster)


def test_a_soft_taint_only_ranks() -> None:
    taint = {"key": "k", "effect": "PreferNoSchedule"}
    cluster = world(holding(make_node("n1", taints=[taint])), holding(make_node("n2")))
    assert placed(make_pod(), cluster).node == "n2"
    assert placed(make_pod(), world(holding(make_node("n1", taints=[taint])))).node == "n1"


@pytest.mark.parametrize(
    ("operator", "values", "fits"),
    [
        ("In", ["ssd"], True),
        ("NotIn", ["ssd"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_required_node_affinity(operator: str, values: list[str], fits: bool) -> None:
    expression = {"key": "disk", "operator": operator, "values": values}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    pod = make_pod(affinity={"nodeAffinity": rule})
    decision = plan(info(pod), world(holding(make_node("n1", labels={"disk": "ssd"}))), first)
    assert isinstance(decision, Placement) is fits


def test_node_selector_and_the_words_for_it() -> None:
    cluster = world(holding(make_node("n1")))
    assert refused(make_pod(nodeSelector={"disk": "ssd"}), cluster) == (
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    )


def test_a_field_term_names_one_node() -> None:
    field = {"key": "metadata.name", "operator": "In", "values": ["n2"]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    cluster = world(holding(make_node("n1")), holding(make_node("n2")))
    assert placed(make_pod(affinity={"nodeAffinity": rule}), cluster).node == "n2"


def test_preferred_node_affinity_ranks() -> None:
    expression = {"key": "disk", "operator": "In", "values": ["ssd"]}
    term = {"weight": 10, "preference": {"matchExpressions": [expression]}}
    rule = {"preferredDuringSchedulingIgnoredDuringExecution": [term]}
    cluster = world(holding(make_node("n1")), holding(make_node("n2", labels={"disk": "ssd"})))
    assert placed(make_pod(affinity={"nodeAffinity": rule}), cluster).node == "n2"


def test_host_ports_exclude_each_other() -> None:
    def pod(name: str, address: str) -> dict[str, Any]:
        port = {"containerPort": 80, "hostPort": 8080, "hostIP": address}
        return make_pod(name, containers=[{"name": "c", "ports": [port]}])

    cluster = world(holding(make_node("n1"), pod("a", "127.0.0.1")))
    assert "free ports" in refused(pod("b", ""), cluster)
    assert placed(pod("b", "127.0.0.2"), cluster).node == "n1"


def test_pods_of_one_set_spread_over_nodes() -> None:
    def member(i: int) -> dict[str, Any]:
        return owned(make_pod(f"web-{i}"), "web")

    cluster = world(
        holding(make_node("n1"), member(0)), holding(make_node("n2")), holding(make_node("n3"))
    )
    first_choice = placed(member(1), cluster).node
    assert first_choice in ("n2", "n3")


def test_emptier_nodes_are_better() -> None:
    cluster = world(
        holding(make_node("n1"), make_pod("a", containers=asking("2", "4Gi"))),
        holding(make_node("n2")),
    )
    assert placed(make_pod(containers=asking("1", "1Gi")), cluster).node == "n2"


def _anti(topology: str = "kubernetes.io/hostname") -> dict[str, Any]:
    term = {"topologyKey": topology, "labelSelector": {"matchLabels": {"app": "db"}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _near(topology: str = "kubernetes.io/hostname") -> dict[str, Any]:
    term = {"topologyKey": topology, "labelSelector": {"matchLabels": {"app": "db"}}}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_anti_affinity_keeps_pods_apart() -> None:
    db = make_pod("db", labels={"app": "db"})
    cluster = world(holding(make_node("n1"), db), holding(make_node("n2")))
    assert placed(make_pod(affinity=_anti()), cluster).node == "n2"
    assert "anti-affinity rules" in refused(
        make_pod(affinity=_anti()), world(holding(make_node("n1"), db))
    )


def test_anti_affinity_of_pods_there_counts_too() -> None:
    loner = make_pod("a", affinity=_anti())
    pod = make_pod(labels={"app": "db"})
    assert refused(pod, world(holding(make_node("n1"), loner))) == (
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    )


def test_affinity_pulls_to_the_same_zone() -> None:
    zone = "topology.kubernetes.io/zone"
    cluster = world(
        holding(make_node("n1", labels={zone: "a"})),
        holding(make_node("n2", labels={zone: "b"})),
        holding(make_node("n3", labels={zone: "b"}), make_pod("db", labels={"app": "db"})),
    )
    assert placed(make_pod(affinity=_near(zone)), cluster).node in ("n2", "n3")


def test_the_first_of_a_group_that_wants_company_may_start() -> None:
    cluster = world(holding(make_node("n1")))
    assert placed(make_pod(labels={"app": "db"}, affinity=_near()), cluster).node == "n1"
    assert "pod affinity rules" in refused(make_pod(affinity=_near()), cluster)


def test_preferred_pod_affinity_ranks() -> None:
    selector = {"matchLabels": {"app": "db"}}
    inner = {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}
    soft = [{"weight": 100, "podAffinityTerm": inner}]
    rule = {"preferredDuringSchedulingIgnoredDuringExecution": soft}
    db = make_pod("db", labels={"app": "db"})
    cluster = world(holding(make_node("n1")), holding(make_node("n2"), db))
    assert placed(make_pod(affinity={"podAffinity": rule}), cluster).node == "n2"
    assert placed(make_pod(affinity={"podAntiAffinity": rule}), cluster).node == "n1"


def _spreading(**more: Any) -> list[dict[str, Any]]:
    return [
        {
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "w"}},
            **more,
        }
    ]


def test_hard_spread_refuses_the_fuller_zone() -> None:
    zone = "topology.kubernetes.io/zone"
    there = make_pod("a", labels={"app": "w"})
    cluster = world(
        holding(make_node("n1", labels={zone: "a"}), there),
        holding(make_node("n2", labels={zone: "b"}, unschedulable=True)),
        holding(make_node("n3")),
    )
    pod = make_pod(labels={"app": "w"}, topologySpreadConstraints=_spreading())
    assert refused(pod, cluster) == (
        "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, "
        "1 node(s) didn't match pod topology spread constraints (missing required label), "
        "1 node(s) were unschedulable."
    )


def test_min_domains_makes_missing_zones_count_as_empty() -> None:
    zone = "topology.kubernetes.io/zone"
    there = make_pod("a", labels={"app": "w"})
    cluster = world(holding(make_node("n1", labels={zone: "a"}), there))
    one = make_pod(labels={"app": "w"}, topologySpreadConstraints=_spreading())
    two = make_pod(labels={"app": "w"}, topologySpreadConstraints=_spreading(minDomains=2))
    assert placed(one, cluster).node == "n1"
    assert "topology spread" in refused(two, cluster)


def test_a_bound_volume_keeps_the_pod_at_its_node() -> None:
    cluster = world(
        holding(make_node("n1")),
        holding(make_node("n2")),
        claims=keyed([bound_claim("data", "v1")]),
        volumes=Volumes(named([make_volume("v1", node="n2")])),
    )
    pod = make_pod(volumes=using("data"))
    assert placed(pod, cluster).node == "n2"
    pinned = make_pod(volumes=using("data"), nodeSelector={"kubernetes.io/hostname": "n1"})
    assert "1 node(s) had volume node affinity conflict" in refused(pinned, cluster)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (None, 'persistentvolumeclaim "data" not found'),
        (make_claim(), "pod has unbound immediate PersistentVolumeClaims"),
        (make_claim(volumeName="v1"), "pod has unbound immediate PersistentVolumeClaims"),
    ],
)
def test_claims_that_cannot_be_used_refuse_the_pod(claim: Any, words: str) -> None:
    cluster = world(holding(make_node()), claims=keyed([claim] if claim else []))
    assert refused(make_pod(volumes=using("data")), cluster) == (
        f"0/1 nodes are available: {words}."
    )


def test_a_claim_that_is_being_deleted_refuses_the_pod() -> None:
    claim = bound_claim("data", "v1")
    claim["metadata"]["deletionTimestamp"] = "2026-11-20T00:00:00Z"
    cluster = world(holding(make_node()), claims=keyed([claim]))
    assert 'persistentvolumeclaim "data" is being deleted' in refused(
        make_pod(volumes=using("data")), cluster
    )


def test_one_pod_only_claims_are_not_shared() -> None:
    claim = bound_claim("data", "v1", accessModes=["ReadWriteOncePod"])
    cluster = world(
        holding(make_node()),
        claims=keyed([claim]),
        volumes=Volumes(named([make_volume("v1")])),
        claim_users={"default/data": frozenset(("uid-other",))},
    )
    assert refused(make_pod(volumes=using("data")), cluster) == (
        "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name "
        "and ReadWriteOncePod access mode."
    )


def test_waiting_claims_are_provisioned_on_the_node_chosen() -> None:
    cluster = world(
        holding(make_node("n1", unschedulable=True)),
        holding(make_node("n2")),
        claims=keyed([make_claim(storageClassName="local")]),
        classes=named([make_class("local", waits=True)]),
    )
    found = placed(make_pod(volumes=using("data")), cluster)
    assert (found.node, found.volumes.provision) == ("n2", ("default/data",))


def test_a_selected_node_is_kept() -> None:
    claim = make_claim(
        storageClassName="local", annotations={"volume.kubernetes.io/selected-node": "n2"}
    )
    cluster = world(
        holding(make_node("n1")),
        holding(make_node("n2")),
        claims=keyed([claim]),
        classes=named([make_class("local", waits=True)]),
    )
    assert placed(make_pod(volumes=using("data")), cluster).node == "n2"


def test_the_smallest_volume_that_fits_is_promised() -> None:
    volumes = [
        make_volume("big", storageClassName="m", capacity={"storage": "10Gi"}),
        make_volume("fitting", storageClassName="m", capacity={"storage": "2Gi"}),
        make_volume("tiny", storageClassName="m", capacity={"storage": "1Mi"}),
    ]
    manual = make_class("m", waits=True, provisioner="kubernetes.io/no-provisioner")
    cluster = world(
        holding(make_node("n1")),
        claims=keyed([make_claim(storageClassName="m")]),
        volumes=Volumes(named(volumes)),
        classes=named([manual]),
    )
    found = placed(make_pod(volumes=using("data")), cluster)
    assert found.volumes.promise == (("fitting", "default/data"),)


def test_a_volume_kept_for_the_claim_goes_before_others_whatever_its_class() -> None:
    reference = {"namespace": "default", "name": "data"}
    kept = make_volume("kept", capacity={"storage": "10Gi"}, claimRef=reference)
    manual = make_class("m", waits=True, provisioner="kubernetes.io/no-provisioner")
    cluster = world(
        holding(make_node("n1")),
        claims=keyed([make_claim(storageClassName="m")]),
        volumes=Volumes(named([kept, make_volume("free", storageClassName="m")])),
        classes=named([manual]),
    )
    found = placed(make_pod(volumes=using("data")), cluster)
    assert found.volumes.promise == (("kept", "default/data"),)


def test_a_volume_promised_elsewhere_is_not_promised_again() -> None:
    manual = make_class("m", waits=True, provisioner="kubernetes.io/no-provisioner")
    cluster = world(
        holding(make_node("n1")),
        claims=keyed([make_claim(storageClassName="m")]),
        volumes=Volumes(named([make_volume("v1", storageClassName="m")])),
        classes=named([manual]),
        reserved={"v1": "default/other"},
    )
    assert refused(make_pod(volumes=using("data")), cluster) == (
        "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind."
    )


def test_what_is_not_supported_is_refused_by_name() -> None:
    pod = make_pod(resourceClaims=[{"name": "gpu"}])
    assert refused(pod, world(holding(make_node("n1")))) == (
        "0/1 nodes are available: petset does not support resourceClaims yet."
    )


def test_volumes_that_live_and_die_with_a_pod_are_refused_by_name() -> None:
    pod = make_pod(volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}])
    assert refused(pod, world(holding(make_node()))) == (
        "0/1 nodes are available: petset does not support ephemeral volumes yet."
    )


def test_ties_are_broken_by_the_draw_alone() -> None:
    cluster = world(holding(make_node("n1")), holding(make_node("n2")), holding(make_node("n3")))
    picks = [plan(info(make_pod()), cluster, draw) for draw in (first, second, last)]
    assert [p.node for p in picks if isinstance(p, Placement)] == ["n1", "n2", "n3"]


def test_of_a_large_cluster_a_part_is_looked_at_and_the_next_look_goes_on_there() -> None:
    nodes = [holding(make_node(f"n{i:03}")) for i in range(200)]
    for draw, node in ((first, "n150"), (last, "n049")):
        decision = plan(info(make_pod()), world(*nodes, start=150), draw)
        assert isinstance(decision, Placement)
        assert (decision.node, decision.looked_at) == (node, 100)


def test_all_of_a_large_cluster_is_looked_at_before_a_pod_is_refused() -> None:
    cordoned = [holding(make_node(f"n{i:03}", unschedulable=True)) for i in range(150)]
    assert refused(make_pod(), world(*cordoned)).startswith("0/150 nodes are available: 150 node")
    assert placed(make_pod(), world(*cordoned, holding(make_node("n999")))).node == "n999"


@pytest.mark.parametrize(("count", "wanted"), [(99, 99), (100, 100), (1000, 420), (6000, 300)])
def test_how_many_nodes_are_enough_follows_upstream(count: int, wanted: int) -> None:
    assert enough(count) == wanted


def equal_nodes(state: State, count: int) -> None:
    for i in range(count):
        state.set_node(f"n{i:03}", make_node(f"n{i:03}"))


def place(state: State, name: str, draw: Draw = first, **spec: Any) -> Placement:
    pod = info(owned(make_pod(name, containers=asking("1"), **spec), "web"))
    decision = plan(pod, state.world(), draw)
    assert isinstance(decision, Placement)
    state.looked_at(decision.looked_at)
    state.assume(pod, decision.node, decision.volumes)
    return decision


def test_pods_of_one_controller_take_equally_good_nodes_by_one_look() -> None:
    state = State()
    equal_nodes(state, 120)
    looks = [place(state, f"p{i}") for i in range(60)]
    assert [d.looked_at for d in looks] == [100] + [0] * 59
    assert len({d.node for d in looks}) == 60


def test_an_equally_good_node_that_has_changed_is_not_taken_unseen() -> None:
    state = State()
    equal_nodes(state, 120)
    place(state, "a")
    for i in range(120):
        name = f"n{i:03}"
        state.set_node(name, make_node(name, unschedulable=i != 77))
    assert place(state, "b").node == "n077"


def test_pods_that_ask_otherwise_get_a_look_of_their_own() -> None:
    state = State()
    equal_nodes(state, 120)
    place(state, "a")
    state.set_node("n050", make_node("n050", labels={"disk": "ssd"}))
    assert place(state, "b", nodeSelector={"disk": "ssd"}).node == "n050"
    small = info(owned(make_pod("c", containers=asking("8")), "web"))
    assert isinstance(plan(small, state.world(), first), Unschedulable)


def test_pods_of_one_controller_go_to_all_zones_alike_though_they_share_looks() -> None:
    state = State()
    for i in range(150):
        zone = {"topology.kubernetes.io/zone": f"z{i // 50}"}
        state.set_node(f"n{i:03}", make_node(f"n{i:03}", labels=zone))
    looks = [place(state, f"p{i}") for i in range(30)]
    zones = Counter(int(d.node[1:]) // 50 for d in looks)
    assert max(zones.values()) - min(zones.values()) <= 5
    assert sum(1 for d in looks if d.looked_at) < 30


def test_more_than_64_bits_can_tell_is_only_too_much() -> None:
    cluster = world(holding(make_node()))
    pod = make_pod(containers=asking("8E", "8E") * 3)
    assert "1 Insufficient cpu" in refused(pod, cluster)
