"""The ReplicaSet planner in a small world: it converges, stays safe, and then stays quiet."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.replicaset import victims
from petset.controllers.replicaset.plan import Observed, is_active, plan
from petset.reconcile import podtemplate
from petset.reconcile.actions import Create, Delete, Plan
from tests.property.world import World, flatten

SETS, PODS = "replicasets.apps", "pods"
LABELS = {"app": "api"}
NODES = ("", "n1", "n2")


def make_set(name: str, replicas: int, *, min_ready_s: int = 0, app: str = "api") -> MutableObj:
    labels = {"app": app}
    containers = [{"name": "c", "image": "nginx"}]
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": "default", "generation": 1},
        "spec": {
            "replicas": replicas,
            "minReadySeconds": min_ready_s,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


class PodWorld(World):
    """A world in which pods can be told what to do."""

    def owned(self, found: Obj) -> list[MutableObj]:
        uid = meta.uid_of(found)
        return [p for p in self.list(PODS) if (meta.controller_of(p) or {}).get("uid") == uid]

    def observe_set(self, found: Obj) -> Observed:
        orphans = [p for p in self.list(PODS) if meta.controller_of(p) is None]
        owner = (meta.controller_of(found) or {}).get("uid")
        siblings = [
            rs
            for rs in self.list(SETS)
            if rs is found or (owner and (meta.controller_of(rs) or {}).get("uid") == owner)
        ]
        related = [p for rs in siblings for p in self.owned(rs)]
        pods = (*self.owned(found), *orphans)
        return Observed(found, pods, tuple(related), may_adopt=True)

    def sync_set(self, name: str, cut: int | None = None) -> Plan:
        """Plan, check the plan, do it (or the first `cut` writes of it)."""
        found = self.get(SETS, name)
        assert found is not None
        seen = self.observe_set(found)
        made = plan(seen, self.now)
        assert made == plan(seen, self.now), "equal inputs, equal plan"
        check(seen, made, self.now)
        self.execute(made, cut=cut)
        return made

    def bind(self, pod: Obj, node: str) -> None:
        if not (pod.get("spec") or {}).get("nodeName"):
            self.change(PODS, meta.name_of(pod), {"spec": {"nodeName": node}})

    def ready(self, pod: Obj, *, ready: bool = True) -> None:
        since = meta.format_time(self.now)
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": since}
        status = {"phase": "Running", "conditions": [condition]}
        self.change(PODS, meta.name_of(pod), {"status": status})

    def kubelet(self) -> None:
        """Everything that can get better does: going pods go, the others become ready."""
        for pod in self.list(PODS):
            self.serve(pod)

    def serve(self, pod: Obj) -> None:
        if meta.is_deleting(pod):
            self.remove(PODS, meta.name_of(pod))
        elif not podtemplate.is_finished(pod):
            self.bind(pod, "n1")
            if not podtemplate.is_ready(pod):
                self.ready(self.objects[PODS, "default", meta.name_of(pod)])

    def to_pod(self, kind: str, pod: Obj, number: int) -> None:
        """Something happens to a pod."""
        name = meta.name_of(pod)
        finished = podtemplate.is_finished(pod)
        match kind:
            case "ready" | "unready" if not finished:
                self.ready(pod, ready=kind == "ready")
            case "fail":
                self.change(PODS, name, {"status": {"phase": "Failed", "conditions": []}})
            case "bind":
                self.bind(pod, NODES[1 + number % 2])
            case "delete":
                self.delete(PODS, pod)
            case "gone" if meta.is_deleting(pod):
                self.remove(PODS, name)
            case "orphan":
                self.change(PODS, name, {"metadata": {"ownerReferences": None}})
            case "relabel":
                self.change(PODS, name, {"metadata": {"labels": {"app": "other"}}})
            case "cost":
                marks = {victims.COST_ANNOTATION: str(number - 5)}
                self.change(PODS, name, {"metadata": {"annotations": marks}})
            case _:
                pass


def check(seen: Observed, made: Plan, now: float) -> None:
    """What no plan may do."""
    uid = meta.uid_of(seen.replicaset)
    mine = {
        meta.name_of(p): p
        for p in seen.pods
        if is_active(p) and (meta.controller_of(p) or {}).get("uid") == uid
    }
    surplus = len(mine) - seen.replicaset["spec"]["replicas"]
    created = [a for a in flatten(made.actions) if isinstance(a, Create)]
    gone = {a.name: a.uid for a in flatten(made.actions) if isinstance(a, Delete)}
    assert len(created) <= max(0, -surplus), "never more pods than asked for"
    assert len(gone) <= max(0, surplus), "never fewer pods than asked for"
    for name, pod_uid in gone.items():
        assert meta.uid_of(mine[name]) == pod_uid, "only active pods of its own, by uid"
    spared = [pod for name, pod in mine.items() if name not in gone]
    for name in gone:
        assert all(rank(mine[name]) <= rank(pod) for pod in spared), "the better ones stay"


def rank(pod: Obj) -> tuple[bool, int, bool]:
    """The first rules, written once more."""
    phases = ["Pending", "Unknown", "Running"]
    assigned = bool(pod["spec"].get("nodeName"))
    return assigned, phases.index(podtemplate.phase_of(pod)), podtemplate.is_ready(pod)


MOVES = st.tuples(
    st.sampled_from(
        [
            *("sync",) * 6,
            *("kubelet",) * 2,
            *("scale", "time", "stranger"),
            *("ready", "unready", "fail", "bind", "delete", "gone", "orphan", "relabel", "cost"),
        ]
    ),
    st.integers(0, 9),
    st.integers(0, 6),
)


def disturb(world: PodWorld, kind: str, number: int, cut: int) -> None:
    pods = world.list(PODS)
    match kind:
        case "sync":
            world.sync_set("api", cut)
        case "kubelet":
            world.kubelet()
        case "scale":
            world.change(SETS, "api", {"spec": {"replicas": number % 6}})
        case "time":
            world.now += 4.0
        case "stranger":
            labels = {"app": "api" if number % 2 else "other"}
            metadata = {"generateName": "lone-", "namespace": "default", "labels": labels}
            pod = {"metadata": metadata, "spec": {}, "status": {"phase": "Pending"}}
            world.put(PODS, pod)
        case _ if pods:
            world.to_pod(kind, pods[number % len(pods)], number)
        case _:
            pass


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 5), st.sampled_from([0, 10]), st.lists(MOVES, max_size=30))
def test_any_history_settles_at_the_wanted_number_and_then_nothing_is_planned(
    replicas: int, min_ready_s: int, moves: Sequence[tuple[str, int, int]]
) -> None:
    world = PodWorld()
    world.put(SETS, make_set("api", replicas, min_ready_s=min_ready_s))
    for move in moves:
        disturb(world, *move)
    for _ in range(40):
        before = world.revision
        made = world.sync_set("api")
        world.kubelet()
        world.now += 11.0
        if world.revision == before and made.requeue_after_s is None:
            break
    found = world.get(SETS, "api")
    assert found is not None
    wanted = found["spec"]["replicas"]
    pods = [p for p in world.owned(found) if is_active(p)]
    assert len(pods) == wanted
    assert all(meta.labels_of(p)["app"] == "api" for p in pods)
    assert plan(world.observe_set(found), world.now) == Plan()
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    assert [found["status"].get(name) or 0 for name in counts] == [wanted] * 4
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), MOVES), max_size=30))
def test_two_sets_with_one_selector_never_take_pods_from_each_other(
    moves: Sequence[tuple[str, tuple[str, int, int]]],
) -> None:
    world = PodWorld()
    for name in ("a", "b"):
        world.put(SETS, make_set(name, 2))
    for name, (kind, number, cut) in moves:
        if kind in ("ready", "unready", "fail", "bind", "delete", "gone", "orphan"):
            disturb(world, kind, number, cut)
        else:
            world.sync_set(name, cut)
    for _ in range(20):
        for name in ("a", "b"):
            world.sync_set(name)
        world.kubelet()
    sets = world.list(SETS)
    assert [len([p for p in world.owned(rs) if is_active(p)]) for rs in sets] == [2, 2]


PODS_AT_RANDOM = st.lists(
    st.builds(
        lambda node, phase, ready, cost, restarts, age: {
            "metadata": {
                "creationTimestamp": meta.format_time(1e9 - age),
                "annotations": {victims.COST_ANNOTATION: str(cost)},
            },
            "spec": {"nodeName": node} if node else {},
            "status": {
                "phase": phase,
                "conditions": [
                    {
                        "type": "Ready",
                        "status": str(ready),
                        "lastTransitionTime": meta.format_time(1e9 - age // 2),
                    }
                ],
                "containerStatuses": [{"name": "c", "restartCount": restarts}],
            },
        },
        st.sampled_from(NODES),
        st.sampled_from(["Pending", "Unknown", "Running"]),
        st.booleans(),
        st.integers(-2, 2),
        st.integers(0, 2),
        st.integers(0, 5000),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(PODS_AT_RANDOM, st.integers(0, 8))
def test_the_choice_of_victims_is_whole_repeatable_and_spares_the_better_ones(
    pods: list[MutableObj], count: int
) -> None:
    for number, pod in enumerate(pods):
        pod["metadata"] |= {"name": f"p{number}", "uid": f"u{number}"}
    chosen = victims.victims(pods, pods, count, 1e9)
    assert len(chosen) == min(count, len(pods))
    assert chosen == victims.victims(list(pods), list(pods), count, 1e9)
    spared = [pod for pod in pods if pod not in chosen]
    assert all(rank(gone) <= rank(kept) for gone in chosen for kept in spared)
