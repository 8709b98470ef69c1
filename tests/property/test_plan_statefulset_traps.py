"""The StatefulSet planner beyond Kubernetes: it gets well, keeps order, stays quiet."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta, quantity
from petset.api.apps.v1 import setoptions
from petset.api.meta import MutableObj
from petset.controllers.statefulset import backoff, conditions, identity
from petset.controllers.statefulset.plan import Observed, plan
from petset.controllers.statefulset.spec import read
from petset.reconcile import podtemplate
from petset.reconcile.actions import Patch, Plan
from tests.property.test_plan_statefulset import (
    CLAIMS,
    MOVES,
    PODS,
    SETS,
    SPECS,
    SetWorld,
    image_of,
    template,
)

BAD, GOOD = 9, 1


def annotated(world: SetWorld, **options: str | None) -> None:
    named = {f"petset.dev/{k.replace('_', '-')}": v for k, v in options.items()}
    world.change(SETS, "web", {"metadata": {"annotations": named}})


def rolled(world: SetWorld, number: int) -> None:
    world.change(SETS, "web", {"spec": {"template": template(number)}})


@settings(max_examples=100, deadline=None)
@given(SPECS, st.lists(st.tuples(MOVES, st.integers(0, 6)), max_size=15), st.booleans())
def test_a_sound_template_gets_every_pod_out_of_a_broken_roll_out(
    spec: dict[str, Any], moves: Sequence[tuple[tuple[str, int], int]], back: bool
) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    world = SetWorld({**spec, "updateStrategy": rolling})
    if back:
        world.settle()
    rolled(world, BAD)
    for move, cut in moves:
        world.disturb(move, cut)
        if move[0] in ("kubelet", "sync"):
            rolled(world, BAD)
    rolled(world, GOOD)
    world.settle()
    pods = world.list(PODS)
    assert len(pods) == world.set["spec"]["replicas"]
    assert {image_of(pod) for pod in pods} <= {f"nginx:{GOOD}"}
    assert plan(world.observe(), world.now) == Plan(status=None, status_if_failed=None)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.sampled_from(["OrderedReady", "Parallel"]), st.integers(1, 3))
def test_a_late_roll_out_goes_back_to_what_was_ready_and_ends(
    replicas: int, policy: str, budget: int
) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": budget}}
    spec = {"replicas": replicas, "podManagementPolicy": policy, "updateStrategy": rolling}
    world = SetWorld(spec)
    annotated(world, rollback="auto", progress_deadline_seconds="60")
    world.settle()
    rolled(world, BAD)
    world.settle()
    assert f"nginx:{BAD}" in {image_of(p) for p in world.list(PODS)}
    assert "RolledBack" not in {reason for _, reason in world.events}
    world.now += 61
    world.settle()
    assert image_of(world.set["spec"]["template"]) == f"nginx:{GOOD}"
    assert {image_of(p) for p in world.list(PODS)} == {f"nginx:{GOOD}"}
    assert [reason for _, reason in world.events].count("RolledBack") == 1


@settings(max_examples=60, deadline=None)
@given(SPECS, st.lists(st.tuples(MOVES, st.integers(0, 6)), max_size=20))
def test_a_paused_set_takes_no_pod_down_for_a_roll_out(
    spec: dict[str, Any], moves: Sequence[tuple[tuple[str, int], int]]
) -> None:
    world = SetWorld(spec)
    world.settle()
    annotated(world, paused="true")
    rolled(world, 2)
    before = {meta.name_of(p): meta.uid_of(p) for p in world.list(PODS)}
    world.settle()
    assert {meta.name_of(p): meta.uid_of(p) for p in world.list(PODS)} == before
    for move, cut in moves:
        world.disturb(move, cut)
    world.kubelet()
    world.settle()
    annotated(world, paused=None)
    world.settle()
    assert len(world.list(PODS)) == world.set["spec"]["replicas"]


@settings(max_examples=60, deadline=None)
@given(SPECS, st.lists(st.tuples(MOVES, st.integers(0, 6)), max_size=12))
def test_a_condition_keeps_its_time_as_long_as_its_status_stays(
    spec: dict[str, Any], moves: Sequence[tuple[tuple[str, int], int]]
) -> None:
    world = SetWorld(spec)
    for move, cut in moves:
        world.disturb(move, cut)
        world.now += 1
        before = {c["type"]: c for c in conditions.stored(read(world.set))}
        world.sync()
        for condition in conditions.stored(read(world.set)):
            was = before.get(condition["type"])
            if was is not None and was["status"] == condition["status"]:
                assert was["lastTransitionTime"] == condition["lastTransitionTime"]


@settings(max_examples=60, deadline=None)
@given(
    SPECS,
    st.lists(st.tuples(MOVES, st.integers(0, 6)), max_size=10),
    st.sampled_from(["foregroundDeletion", ""]),
)
def test_a_set_that_asks_for_it_is_stopped_from_the_top_one_by_one(
    spec: dict[str, Any], moves: Sequence[tuple[tuple[str, int], int]], finalizer: str
) -> None:
    world = SetWorld(spec)
    annotated(world, ordered_deletion="true")
    world.settle()
    for move, cut in moves:
        world.disturb(move, cut)
    world.sync()
    assert setoptions.FINALIZER in world.set["metadata"]["finalizers"]
    finalizers = [setoptions.FINALIZER, *([finalizer] if finalizer else [])]
    metadata = {"deletionTimestamp": meta.format_time(world.now), "finalizers": finalizers}
    world.change(SETS, "web", {"metadata": metadata})
    for _ in range(60):
        found = world.get(SETS, "web")
        if found is None or setoptions.FINALIZER not in found["metadata"].get("finalizers", ()):
            break
        going = {meta.name_of(p) for p in owned(world) if meta.is_deleting(p)}
        left = [identity.ordinal_of(p) for p in owned(world)]
        world.execute(plan(world.observe(), world.now))
        now_going = {meta.name_of(p) for p in owned(world) if meta.is_deleting(p)} - going
        assert len(now_going) <= (0 if going else 1)
        for name in now_going:
            assert identity.parse(name)[1] == max(left)
        world.kubelet()
    assert owned(world) == []


def owned(world: SetWorld) -> list[MutableObj]:
    return [p for p in world.list(PODS) if meta.controller_of(p) is not None]


class GrowingWorld(SetWorld):
    """A set whose claims are bound, and grow when somebody asks them to."""

    def observe(self) -> Observed:
        seen = super().observe()
        return Observed(
            seen.set, seen.pods, seen.revisions, seen.claims, True, growing=frozenset({"standard"})
        )

    def bind_claims(self) -> None:
        for claim in self.list(CLAIMS):
            if (claim.get("status") or {}).get("phase") != "Bound":
                size = claim["spec"]["resources"]["requests"]["storage"]
                self.change(CLAIMS, meta.name_of(claim), bound(size))

    def growing(self) -> list[str]:
        return [meta.name_of(c) for c in self.list(CLAIMS) if asked(c) != granted(c)]

    def grow(self) -> None:
        for claim in self.list(CLAIMS):
            self.change(CLAIMS, meta.name_of(claim), bound(asked(claim)))


def bound(size: str) -> MutableObj:
    return {"status": {"phase": "Bound", "capacity": {"storage": size}}}


def asked(claim: MutableObj) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def granted(claim: MutableObj) -> str:
    return str(claim["status"]["capacity"]["storage"])


def claim_template(size: int) -> MutableObj:
    spec = {"storageClassName": "standard", "resources": {"requests": {"storage": f"{size}Gi"}}}
    return {"metadata": {"name": "data"}, "spec": spec}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_claims_grow_one_member_at_a_time_and_never_shrink(
    replicas: int, sizes: Sequence[int], data: st.DataObject
) -> None:
    world = GrowingWorld({"replicas": replicas, "volumeClaimTemplates": [claim_template(1)]})
    world.settle()
    world.bind_claims()
    for size in sorted(sizes):
        patch = {"spec": {"volumeClaimTemplates": [claim_template(size)]}}
        world.change(SETS, "web", patch)
        annotated(world, claims_edited="2")
        for _ in range(20):
            before = {meta.name_of(c): quantity.parse(asked(c)) for c in world.list(CLAIMS)}
            world.sync()
            after = {meta.name_of(c): quantity.parse(asked(c)) for c in world.list(CLAIMS)}
            assert all(after[name] >= amount for name, amount in before.items())
            assert len(world.growing()) <= 1
            if data.draw(st.booleans()):
                world.grow()
        for _ in range(replicas + 1):
            world.sync()
            world.grow()
        assert {asked(c) for c in world.list(CLAIMS)} == {f"{size}Gi"}
    assert plan(world.observe(), world.now) == Plan(status=None, status_if_failed=None)


ORDINALS = st.sets(st.integers(0, 6), max_size=4)


@settings(max_examples=60, deadline=None)
@given(SPECS, st.lists(st.tuples(ORDINALS, st.lists(MOVES, max_size=4)), min_size=1, max_size=4))
def test_reserved_ordinals_get_no_pod_and_the_number_of_pods_stays(
    spec: dict[str, Any], edits: Sequence[tuple[set[int], Sequence[tuple[str, int]]]]
) -> None:
    world = SetWorld(spec)
    for reserved, moves in edits:
        annotated(world, reserved_ordinals=",".join(map(str, reserved)))
        for move in moves:
            world.disturb(move, 3)
    world.kubelet()
    world.settle()
    found = sorted(identity.ordinal_of(p) for p in world.list(PODS))
    assert len(found) == world.set["spec"]["replicas"]
    assert not set(found) & edits[-1][0]
    assert found == list(read(world.set).ordinals)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 6),
    st.integers(1, 3),
    st.integers(0, 5),
    st.sampled_from(["OrderedReady", "Parallel"]),
    st.booleans(),
)
def test_the_primary_goes_down_alone_and_after_all_others(
    replicas: int, budget: int, primary: int, policy: str, terse: bool
) -> None:
    rolling: dict[str, Any] = {"type": "RollingUpdate"}
    if not terse:  # a strategy with only a type is legal, and gets no further defaults
        rolling["rollingUpdate"] = {"maxUnavailable": budget}
    spec = {"replicas": replicas, "podManagementPolicy": policy, "updateStrategy": rolling}
    world = SetWorld(spec)
    annotated(world, primary_label="role=primary")
    world.settle()
    name = f"web-{primary % replicas}"
    world.change(PODS, name, {"metadata": {"labels": {"role": "primary"}}})
    rolled(world, 2)
    for _ in range(60):
        before = world.revision
        world.sync()
        leader = world.get(PODS, name)
        if leader is not None and meta.is_deleting(leader) and image_of(leader) == "nginx:1":
            others = [p for p in world.list(PODS) if meta.name_of(p) != name]
            assert len(others) == replicas - 1
            assert all(image_of(p) == "nginx:2" and podtemplate.is_ready(p) for p in others)
        world.kubelet()
        if world.revision == before:
            break
    assert {image_of(p) for p in world.list(PODS)} == {"nginx:2"}


@given(st.lists(st.floats(0, 599), min_size=1, max_size=12))
def test_pauses_grow_from_nothing_by_doubling_up_to_five_minutes(lives: Sequence[float]) -> None:
    known: dict[int, backoff.Failure] = {}
    now, pauses = 1_700_000_000.0, []
    for number, life in enumerate(lives):
        created = meta.format_time(now)
        now += life
        pod = {"metadata": {"name": "web-0", "uid": f"u{number}", "creationTimestamp": created}}
        known = backoff.noted(known, [(0, pod)], now)
        assert backoff.noted(known, [(0, pod)], now + 1) == known
        pauses.append(backoff.delay_s(known[0]))
        now += pauses[-1]
    assert pauses == [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, *[300.0] * 6][: len(lives)]


def test_a_pod_that_lived_for_long_fails_for_the_first_time() -> None:
    now = 1_700_000_000.0
    known = {0: backoff.Failure("before", 7, now - 800, now - 900)}
    created = meta.format_time(now - 601)
    pod = {"metadata": {"name": "web-0", "uid": "u", "creationTimestamp": created}}
    assert backoff.noted(known, [(0, pod)], now)[0].count == 1


def test_a_pod_of_another_revision_fails_for_the_first_time() -> None:
    now = 1_700_000_000.0
    known = {0: backoff.Failure("before", 7, now - 8, now - 90, revision="web-old")}
    labels = {"controller-revision-hash": "web-new"}
    pod = {"metadata": {"name": "web-0", "uid": "u", "labels": labels}}
    failure = backoff.noted(known, [(0, pod)], now)[0]
    assert (failure.count, failure.first_at, failure.revision) == (1, now, "web-new")


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True), st.integers(0, 2**31 - 1))
def test_short_names_fit_keep_their_end_and_differ(name: str, ordinal: int) -> None:
    text = identity.pod_name(name, ordinal)
    made = identity.short(text)
    assert len(made) <= identity.SHORT_MAX
    assert made.rpartition("-")[2] == str(ordinal)
    assert identity.short(made) == made
    assert (made == text) == (len(text) <= identity.SHORT_MAX)
    assert identity.short(identity.pod_name(name, ordinal ^ 1)) != made


@pytest.mark.parametrize("count", [1, 3])
def test_a_status_is_not_written_for_another_look_at_the_same(count: int) -> None:
    world = SetWorld({"replicas": count})
    rolled(world, BAD)
    world.settle()
    made = plan(world.observe(), world.now + 5)
    assert made.status is None
    assert not made.actions
    late = plan(world.observe(), world.now + 601)
    assert isinstance(late.status, Patch)
