"""Names, claims, budgets and counters of a set, each by itself."""

from dataclasses import replace
from typing import Any

import pytest

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.statefulset import identity, rollout, status, storage
from petset.controllers.statefulset.plan import Observed, plan
from petset.controllers.statefulset.rollout import Slot
from petset.controllers.statefulset.spec import read
from petset.controllers.statefulset.status import Status
from petset.controllers.statefulset.world import healthy
from petset.reconcile import revisions
from petset.reconcile.actions import Reported, Sequence

NOW = 1_700_000_000.0
HEALTHY = Slot(stale=True, available=True, terminating=False)
BROKEN = Slot(stale=True, available=False, terminating=False)
GOING = Slot(stale=True, available=False, terminating=True)
COUNTERS = [f"{word}eplicas" for word in ("r", "readyR", "availableR", "currentR", "updatedR")]
DONE = Slot(stale=False, available=True, terminating=False)


def make(**spec: Any) -> MutableObj:
    metadata = {"name": "web", "namespace": "default", "uid": "u", "generation": 3}
    return {"metadata": metadata, "spec": {"selector": {"matchLabels": {"app": "a"}}, **spec}}


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("web-0", ("web", 0)),
        ("my-web-12", ("my-web", 12)),
        ("web-1-2", ("web-1", 2)),
        ("web-2147483647", ("web", 2147483647)),
        ("web-2147483648", ("", -1)),
        ("web", ("", -1)),
        ("web-", ("", -1)),
        ("web-a", ("", -1)),
    ],
)
def test_the_ordinal_is_what_follows_the_last_dash(name: str, parsed: tuple[str, int]) -> None:
    assert identity.parse(name) == parsed


def test_a_pod_carries_its_identity_and_keeps_what_the_template_says() -> None:
    spec = read(make(serviceName="nginx"))
    template = {
        "metadata": {"labels": {"app": "a"}, "annotations": {"x": "y"}},
        "spec": {
            "containers": [],
            "volumes": [{"name": "www", "emptyDir": {}}, {"name": "o"}],
            "hostname": "own",
            "subdomain": "own",
        },
    }
    revision = revisions.new_revision(
        spec.obj, spec.reference, template, number=1, collision_count=0
    )
    pod = identity.new_pod(spec, 4, revision)
    assert identity.has_identity(spec, pod)
    assert identity.revision_of(pod) == meta.name_of(revision)
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-4", "nginx")
    assert pod["metadata"]["annotations"] == {"x": "y"}
    with_claim = read(make(volumeClaimTemplates=[{"metadata": {"name": "www"}, "spec": {}}]))
    mounted = storage.with_claims(with_claim, pod, 4)
    assert mounted["spec"]["volumes"] == [
        {"name": "www", "persistentVolumeClaim": {"claimName": "www-web-4"}},
        {"name": "o"},
    ]
    assert storage.has_storage(with_claim, mounted, 4)
    assert not storage.has_storage(with_claim, mounted, 5)
    assert "subdomain" not in identity.new_pod(read(make()), 0, revision)["spec"]


def test_the_selectors_labels_win_in_claims() -> None:
    labels = {"app": "other", "tier": "db"}
    template = {"metadata": {"name": "www", "labels": labels, "annotations": {"a": "b"}}}
    template["metadata"]["finalizers"] = ["example.com/keep"]
    (claim,) = storage.new_claims(read(make(volumeClaimTemplates=[template])), 0)
    assert claim["metadata"]["labels"] == {"app": "a", "tier": "db"}
    assert claim["metadata"]["annotations"] == {"a": "b"}
    assert claim["metadata"]["finalizers"] == ["example.com/keep"]
    assert "ownerReferences" not in claim["metadata"]


def test_other_owners_of_a_claim_stay_and_wrong_ones_of_ours_go() -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    spec = read(make(persistentVolumeClaimRetentionPolicy=policy))
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}
    earlier = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "earlier"}
    plain = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u"}
    pod = {"metadata": {"name": "web-0", "uid": "p"}}
    for owners in ([other, earlier], [other, plain], [other]):
        claim = {"metadata": {"ownerReferences": owners}}
        wanted = storage.owners_wanted(spec, claim, pod, condemned=False)
        assert wanted == [other, spec.reference]
        assert storage.owners_differ(claim, wanted)
    assert not storage.owners_differ({"metadata": {"ownerReferences": wanted[::-1]}}, wanted)


@pytest.mark.parametrize(
    ("value", "replicas", "budget"),
    [
        (None, 5, 1),
        (2, 5, 2),
        ("20%", 7, 1),
        ("50%", 6, 3),
        ("1%", 3, 1),
        ("100%", 4, 4),
        (9, 3, 9),
    ],
)
def test_the_budget_is_rounded_down_and_at_least_one(
    value: int | str | None, replicas: int, budget: int
) -> None:
    rolling = {} if value is None else {"maxUnavailable": value}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    assert rollout.budget_of(read(make(replicas=replicas, updateStrategy=strategy))) == budget


@pytest.mark.parametrize(
    ("policy", "slots", "found"),
    [
        ("OrderedReady", [HEALTHY, HEALTHY, HEALTHY], [2]),
        ("OrderedReady", [HEALTHY, HEALTHY, DONE], [1]),
        ("OrderedReady", [HEALTHY, HEALTHY, GOING], []),
        ("Parallel", [HEALTHY, BROKEN, HEALTHY], [1]),
        ("Parallel", [BROKEN, BROKEN, HEALTHY], [1, 0]),
        ("Parallel", [DONE, DONE, DONE], []),
    ],
)
def test_a_roll_takes_the_highest_stale_pods_within_the_budget(
    policy: str, slots: list[Slot], found: list[int]
) -> None:
    assert rollout.victims(read(make(replicas=3, podManagementPolicy=policy)), slots) == found


def test_the_status_is_written_for_a_newer_generation_or_another_count_only() -> None:
    counted = Status("r1", "r1", 0, replicas=1, ready=1, available=1, current=1, updated=1)
    found = make(replicas=1)
    first = status.write(read(found), counted, ())
    assert first is not None
    assert first.uid == "u"
    found["status"] = dict(first.patch["status"])
    assert status.write(read(found), counted, ()) is None
    found["status"]["collisionCount"] = 7
    assert status.write(read(found), counted, ()) is None
    for counter in (*COUNTERS, "currentRevision", "updateRevision"):
        told = found["status"][counter]
        other = {**found["status"], counter: told + 1 if counter in COUNTERS else "r0"}
        assert status.write(read({**found, "status": other}), counted, ()) is not None, counter
    found["metadata"]["generation"] = 4
    assert status.write(read(found), counted, ()) is not None
    found["metadata"]["generation"] = 3
    assert status.write(read(found), counted.deleted("r1"), ()) is not None


def test_a_pod_that_goes_exists_but_is_of_no_revision_any_more() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": meta.format_time(NOW - 5)}
    pod: MutableObj = {
        "metadata": {"name": "web-0", "labels": {"controller-revision-hash": "r1"}},
        "status": {"phase": "Running", "conditions": [ready]},
    }
    going = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "x"}}
    unborn = {**pod, "status": {}}
    early = {**pod, "status": {**pod["status"], "phase": "Pending"}}
    spec = read(make(minReadySeconds=10))
    found = status.count(spec, [pod, going, unborn], Status("r1", "r2", 0), NOW)
    assert (found.replicas, found.ready, found.available) == (2, 2, 0)
    assert (found.current, found.updated) == (1, 0)
    found = status.count(spec, [early], Status("r1", "r2", 0), NOW + 5)
    assert (found.replicas, found.ready, found.available) == (1, 0, 0), "Running is part of Ready"
    assert not healthy(spec, [early], NOW + 5)
    assert healthy(spec, [pod], NOW + 5)
    later = status.count(spec, [pod], Status("r1", "r2", 0), NOW + 5)
    assert later.available == 1


def test_a_set_with_a_pod_too_many_is_not_complete() -> None:
    spec = read(make(replicas=2))
    counted = Status("r1", "r2", 0, replicas=3, ready=2, available=2, current=0, updated=3)
    assert status.completed(spec, counted) == counted
    whole = status.completed(spec, replace(counted, replicas=2, updated=2))
    assert (whole.current_revision, whole.current) == ("r2", 2)


def test_what_exists_already_is_no_failure_to_tell_of() -> None:
    """Another sync made it; the caches do not show it yet."""
    claims = [{"metadata": {"name": "data"}, "spec": {}}]
    found = {"kind": "StatefulSet", "apiVersion": "apps/v1", **make(volumeClaimTemplates=claims)}
    made = plan(Observed(found, (), (), {}), NOW)
    (both,) = [action for action in made.actions if isinstance(action, Sequence)]
    claim, pod = both.actions
    assert isinstance(claim, Reported)
    assert isinstance(pod, Reported)
    assert claim.quiet == pod.quiet == ("AlreadyExists",)
