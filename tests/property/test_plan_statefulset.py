"""The StatefulSet planner in a small world: it converges, stays safe, and then stays quiet."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.statefulset import identity
from petset.controllers.statefulset.plan import Observed, plan
from petset.controllers.statefulset.spec import read
from petset.reconcile import podtemplate
from petset.reconcile.actions import Create, Delete, Plan
from tests.property.world import World, flatten

SETS, PODS, CLAIMS = "statefulsets.apps", "pods", "persistentvolumeclaims"
REVISIONS = "controllerrevisions.apps"


def make_set(spec: dict[str, Any]) -> MutableObj:
    """A set `web` with the given overrides."""
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": "default", "generation": 1},
        "spec": {
            "replicas": 3,
            "serviceName": "nginx",
            "selector": {"matchLabels": {"app": "nginx"}},
            "template": template(1),
            "volumeClaimTemplates": [
                {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
            ],
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            **spec,
        },
    }


def template(number: int) -> MutableObj:
    return {
        "metadata": {"labels": {"app": "nginx"}},
        "spec": {"containers": [{"name": "nginx", "image": f"nginx:{number}"}]},
    }


BROKEN = "nginx:9"
"""Pods of this image never get Ready by themselves."""


def image_of(pod: Obj) -> str:
    return str(pod["spec"]["containers"][0]["image"])


class SetWorld(World):
    """A world with one set, a kubelet that can be told what to do, and a checking controller."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__()
        self.put(SETS, make_set(spec))

    @property
    def set(self) -> MutableObj:
        found = self.get(SETS, "web")
        assert found is not None
        return found

    def observe(self) -> Observed:
        uid = meta.uid_of(self.set)
        pods = [
            p for p in self.list(PODS) if (meta.controller_of(p) or {}).get("uid") in (uid, None)
        ]
        claims = {meta.name_of(c): c for c in self.list(CLAIMS)}
        return Observed(self.set, tuple(pods), tuple(self.list(REVISIONS)), claims, may_adopt=True)

    def sync(self, cut: int | None = None) -> Plan:
        """Plan, check the plan, do it (or the first `cut` writes of it)."""
        seen = self.observe()
        made = plan(seen, self.now)
        assert made == plan(seen, self.now), "equal inputs, equal plan"
        self.check(seen, made)
        self.execute(made, cut=cut)
        return made

    def check(self, seen: Observed, made: Plan) -> None:
        ordered = self.set["spec"].get("podManagementPolicy") != "Parallel"
        pods = {identity.ordinal_of(p): p for p in seen.pods}
        created = [a.obj for a in flatten(made.actions) if isinstance(a, Create)]
        created = [o for o in created if o["kind"] == "Pod"]
        deleted = [a for a in flatten(made.actions) if isinstance(a, Delete)]
        assert all(a.resource in (PODS, REVISIONS) for a in deleted), "claims are never deleted"
        deleted = [a for a in deleted if a.resource == PODS]
        assert len({a.name for a in deleted}) == len(deleted), "no pod is deleted twice"
        assert all(a.uid for a in deleted), "a pod is only deleted by its uid"
        for obj in created:
            assert identity.ordinal_of(obj) not in pods, "one pod per ordinal"
        if not ordered:
            return
        assert len(created) <= 1
        wanted = read(self.set).ordinals
        for obj in created:
            for ordinal in (o for o in wanted if o < identity.ordinal_of(obj)):
                below = pods[ordinal]
                assert podtemplate.is_running_and_ready(below), "predecessors are ready"
                assert not meta.is_deleting(below)
        for action in deleted:
            ordinal = identity.parse(action.name)[1]
            if ordinal in wanted and podtemplate.is_running_and_ready(pods[ordinal]):
                others = [pods.get(o) for o in wanted]
                assert all(p is not None and podtemplate.is_ready(p) for p in others), "no gap"
        healthy = [
            a for a in deleted if not podtemplate.is_finished(pods[identity.parse(a.name)[1]])
        ]
        budget = self.set["spec"]["updateStrategy"].get("rollingUpdate") or {}
        assert len(healthy) <= int(budget.get("maxUnavailable") or 1)
        for action in healthy:
            ordinal = identity.parse(action.name)[1]
            own = {  # orphans that do not go are adopted by the same plan
                o: p for o, p in pods.items() if meta.controller_of(p) or not meta.is_deleting(p)
            }
            going = [o for o, p in own.items() if meta.is_deleting(p)]
            if ordinal in wanted:
                going = [o for o in going if o in wanted]
            else:  # a lower one that somebody else deletes is not waited for
                going = [o for o in going if o > ordinal]
            assert len(going) < int(budget.get("maxUnavailable") or 1), "each gone before the next"
            if ordinal not in wanted:
                assert ordinal == max(o for o in own if o not in wanted), "highest first"

    # -- what others do ---------------------------------------------------------------------------

    def bind(self, pod: Obj) -> None:
        self.change(PODS, meta.name_of(pod), {"spec": {"nodeName": "n1"}})

    def ready(self, pod: Obj) -> None:
        since = meta.format_time(self.now - 3600)
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": since}
        status = {"phase": "Running", "conditions": [condition]}
        self.change(PODS, meta.name_of(pod), {"status": status})

    def unready(self, pod: Obj) -> None:
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
        self.change(PODS, meta.name_of(pod), {"status": status})

    def crash(self, pod: Obj) -> None:
        state = {"waiting": {"reason": "CrashLoopBackOff"}}
        container = {"name": "nginx", "state": state, "ready": False}
        status = {"phase": "Running", "conditions": [], "containerStatuses": [container]}
        if (pod.get("status") or {}).get("containerStatuses") != [container]:
            self.change(PODS, meta.name_of(pod), {"status": status})

    def fail(self, pod: Obj) -> None:
        self.change(PODS, meta.name_of(pod), {"status": {"phase": "Failed", "conditions": []}})

    def kubelet(self, *, slow: bool = False) -> None:
        """Everything that can get better does: going pods go, the others become ready.

        A slow one takes two turns for that.
        """
        for pod in self.list(PODS):
            if meta.is_deleting(pod):
                self.remove(PODS, meta.name_of(pod))
            elif not podtemplate.is_finished(pod):
                if not (pod.get("spec") or {}).get("nodeName"):
                    self.bind(pod)
                    if slow:
                        continue
                if image_of(pod) == BROKEN:
                    self.crash(pod)
                elif not podtemplate.is_ready(pod):
                    self.ready(pod)

    def collect(self) -> None:
        """The garbage collector: claims whose owners are gone go."""
        uids = {meta.uid_of(o) for o in self.objects.values()}
        for claim in self.list(CLAIMS):
            owners = list(meta.owners_of(claim))
            if owners and not any(o["uid"] in uids for o in owners):
                self.remove(CLAIMS, meta.name_of(claim))

    def settle(self, *, slow: bool = False) -> None:
        """Run until nothing is planned any more."""
        for _ in range(400):
            before = self.revision, len(self.objects)
            self.sync()
            self.kubelet(slow=slow)
            self.collect()
            if (self.revision, len(self.objects)) == before:
                return
        raise AssertionError(f"does not settle: {self.writes[-20:]}")

    def disturb(self, move: tuple[str, int], cut: int) -> None:
        kind, number = move
        pods = self.list(PODS)
        pod = pods[number % len(pods)] if pods else None
        match kind:
            case "scale":
                self.change(SETS, "web", {"spec": {"replicas": number % 5}})
            case "template":
                self.change(SETS, "web", {"spec": {"template": template(number % 3)}})
            case "start":
                self.change(SETS, "web", {"spec": {"ordinals": {"start": number % 3}}})
            case "sync":
                self.sync(cut)
            case "kubelet":
                self.kubelet()
            case "collect":
                self.collect()
            case _:
                if pod is not None:
                    self.to_pod(kind, pod)

    def to_pod(self, kind: str, pod: Obj) -> None:
        match kind:
            case "ready" if not podtemplate.is_finished(pod):
                self.ready(pod)
            case "unready" if not podtemplate.is_finished(pod):
                self.unready(pod)
            case "fail":
                self.fail(pod)
            case "bind":
                self.bind(pod)
            case "delete":
                self.delete(PODS, pod)
            case "gone" if meta.is_deleting(pod):
                self.remove(PODS, meta.name_of(pod))
            case "orphan":
                self.change(PODS, meta.name_of(pod), {"metadata": {"ownerReferences": None}})
            case _:
                pass


def start_of(found: Obj) -> int:
    return int((found["spec"].get("ordinals") or {}).get("start", 0))


MOVES = st.tuples(
    st.sampled_from(
        [
            *("sync",) * 6,
            *("kubelet",) * 2,
            *("scale", "template", "start", "collect"),
            *("ready", "unready", "fail", "bind", "delete", "gone", "orphan"),
        ]
    ),
    st.integers(0, 9),
)
SPECS = st.fixed_dictionaries(
    {
        "replicas": st.integers(0, 4),
        "podManagementPolicy": st.sampled_from(["OrderedReady", "Parallel"]),
        "updateStrategy": st.one_of(
            st.just({"type": "OnDelete"}),
            st.just({"type": "RollingUpdate"}),
            st.builds(
                lambda p, m: {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"partition": p, "maxUnavailable": m},
                },
                st.integers(0, 5),
                st.integers(1, 3),
            ),
        ),
        "persistentVolumeClaimRetentionPolicy": st.builds(
            lambda d, s: {"whenDeleted": d, "whenScaled": s},
            st.sampled_from(["Retain", "Delete"]),
            st.sampled_from(["Retain", "Delete"]),
        ),
        "revisionHistoryLimit": st.integers(0, 2),
    }
)


@settings(max_examples=250, deadline=None)
@given(SPECS, st.lists(st.tuples(MOVES, st.integers(0, 6)), max_size=25))
def test_any_history_settles_in_the_wanted_state_and_then_nothing_is_planned(
    spec: dict[str, Any], moves: Sequence[tuple[tuple[str, int], int]]
) -> None:
    world = SetWorld(spec)
    for move, cut in moves:
        world.disturb(move, cut)
    # a pod that is broken at the present revision may block an ordered set for ever (by rule)
    world.kubelet()
    world.settle()
    found = world.set
    start = start_of(found)
    wanted = [f"web-{i}" for i in range(start, start + found["spec"]["replicas"])]
    assert sorted(meta.name_of(p) for p in world.list(PODS)) == sorted(wanted)
    assert {f"data-{name}" for name in wanted} <= {meta.name_of(c) for c in world.list(CLAIMS)}
    final = plan(world.observe(), world.now)
    assert final == Plan(status=None, status_if_failed=None)
    status = found["status"]
    assert status["replicas"] == status["readyReplicas"] == len(wanted)
    check_revisions(world, wanted)


def check_revisions(world: SetWorld, wanted: list[str]) -> None:
    found = world.set
    strategy = found["spec"]["updateStrategy"]
    update = found["status"]["updateRevision"]
    if strategy["type"] != "RollingUpdate":
        return
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    for name in wanted[partition:]:
        pod = world.get(PODS, name)
        assert pod is not None
        assert identity.revision_of(pod) == update
        image = pod["spec"]["containers"][0]["image"]
        assert image == found["spec"]["template"]["spec"]["containers"][0]["image"]
    if partition == 0:
        assert found["status"]["currentRevision"] == update


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(0, 5), max_size=4))
def test_an_ordered_set_is_always_without_gaps_and_ready_from_below(
    replicas: int, scales: Sequence[int]
) -> None:
    world = SetWorld({"replicas": replicas})
    for scale in [replicas, *scales]:
        world.change(SETS, "web", {"spec": {"replicas": scale}})
        for _ in range(60):
            before = world.revision
            world.sync()
            ordinals = sorted(identity.ordinal_of(p) for p in world.list(PODS))
            assert ordinals == list(range(len(ordinals)))
            pods = [world.get(PODS, f"web-{i}") for i in ordinals]
            unready = [p for p in pods if p is not None and not podtemplate.is_ready(p)]
            assert len(unready) <= 1
            world.kubelet()
            if world.revision == before:
                break
        assert len(world.list(PODS)) == scale
    assert len(world.list(CLAIMS)) == max([replicas, *scales])


@settings(max_examples=100, deadline=None)
@given(
    st.integers(2, 6),
    st.integers(1, 3),
    st.sampled_from(["OrderedReady", "Parallel"]),
    st.integers(0, 4),
)
def test_a_rolling_update_of_a_healthy_set_never_exceeds_its_budget(
    replicas: int, budget: int, policy: str, partition: int
) -> None:
    rolling = {"partition": partition, "maxUnavailable": budget}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    spec = {"replicas": replicas, "updateStrategy": strategy, "podManagementPolicy": policy}
    world = SetWorld(spec)
    world.settle()
    world.change(SETS, "web", {"spec": {"template": template(2)}})
    for _ in range(100):
        before = world.revision
        world.sync()
        pods = world.list(PODS)
        up = [p for p in pods if podtemplate.is_ready(p) and not meta.is_deleting(p)]
        assert replicas - len(up) <= budget
        world.kubelet()
        if world.revision == before:
            break
    images = [p["spec"]["containers"][0]["image"] for p in world.list(PODS)]
    kept = min(partition, replicas)
    assert images == ["nginx:1"] * kept + ["nginx:2"] * (replicas - kept)


STRATEGIES = st.sampled_from([{}, {"rollingUpdate": {}}, {"rollingUpdate": {"partition": 1}}])
"""One with nothing but a type is legal, and gets no further defaults."""


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4),
    st.sampled_from(["OrderedReady", "Parallel"]),
    STRATEGIES,
    st.sets(st.integers(0, 3), min_size=1),
)
def test_a_roll_out_ends_although_members_were_not_ready_when_it_began(
    replicas: int, policy: str, strategy: dict[str, Any], unready: set[int]
) -> None:
    strategy = {"type": "RollingUpdate", **strategy}
    spec = {"replicas": replicas, "podManagementPolicy": policy, "updateStrategy": strategy}
    world = SetWorld(spec)
    world.settle()
    for pod in world.list(PODS):
        if identity.ordinal_of(pod) in unready:
            world.unready(pod)
    world.change(SETS, "web", {"spec": {"template": template(2)}})
    world.settle(slow=True)
    check_revisions(world, [meta.name_of(p) for p in world.list(PODS)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.integers(0, 2))
def test_history_keeps_live_revisions_and_reuses_one_for_a_rollback(
    templates: Sequence[int], limit: int
) -> None:
    world = SetWorld(
        {"replicas": 2, "revisionHistoryLimit": limit, "podManagementPolicy": "Parallel"}
    )
    for number in templates:
        world.change(SETS, "web", {"spec": {"template": template(number)}})
        world.settle()
        history = world.list(REVISIONS)
        assert len(history) <= limit + 1
        numbers = [r["revision"] for r in history]
        assert len(set(numbers)) == len(numbers)
        newest = max(history, key=lambda r: int(r["revision"]))
        assert newest["metadata"]["name"] == world.set["status"]["updateRevision"]
