"""What is done for a claim or a volume, rule by rule."""

from typing import Any

import pytest

from petset.controllers.volumebinder.claim import ObservedClaim
from petset.controllers.volumebinder.plan import plan
from petset.controllers.volumebinder.volume import ObservedVolume
from petset.reconcile.actions import Create, Delete, Emit, External, Patch, Plan, Reported
from tests.unit.controllers.volumebinder.objects import (
    BIND_COMPLETED,
    CLASS_DEFAULT,
    SELECTED_NODE,
    bound_to,
    claim,
    storage_class,
    volume,
)

OURS = {"pv.kubernetes.io/provisioned-by": "petset.dev/directory"}
BY_CONTROLLER = {"pv.kubernetes.io/bound-by-controller": "yes"}
LARGE = {"storage": "1Gi"}
DELETING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def of_claim(wanted: Any, *volumes: Any, classes: Any = (), **more: Any) -> Plan:
    seen = {"volumes": volumes, "classes": classes, "users": (), "volumes_root": "/vols", **more}
    return plan(ObservedClaim(wanted, **seen), 0.0)


def of_volume(found: Any, owner: Any = None, *, gone: bool = False) -> Plan:
    return plan(ObservedVolume(found, owner, gone), 0.0)


def events(made: Plan) -> list[tuple[str, str, str]]:
    return [(a.kind, a.reason, a.message) for a in made.actions if isinstance(a, Emit)]


def writes(made: Plan) -> list[tuple[str, Any]]:
    """(resource, patch) in order."""
    return [(a.resource, a.patch) for a in made.actions if isinstance(a, Patch)]


def bound(**changes: Any) -> Any:
    marks = {BIND_COMPLETED: "yes", **changes.pop("marks", {})}
    status = {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": LARGE}
    base = {"volumeName": "v", "metadata": {"annotations": marks}, "status": status}
    return claim(**{**base, **changes})


# -- binding ------------------------------------------------------------------------------------


def test_the_volume_is_written_before_the_claim() -> None:
    made = of_claim(claim(), volume())
    assert [resource for resource, _ in writes(made)] == [
        "persistentvolumes",
        "persistentvolumes",
        "persistentvolumeclaims",
        "persistentvolumeclaims",
    ]
    reference, phase, named, status = (patch for _, patch in writes(made))
    assert reference["spec"]["claimRef"]["uid"] == "u1"
    assert reference["metadata"]["annotations"] == BY_CONTROLLER
    assert phase == {"status": {"phase": "Bound"}}
    assert named["spec"] == {"volumeName": "v"}
    assert named["metadata"]["annotations"] == {BIND_COMPLETED: "yes", **BY_CONTROLLER}
    wanted = {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": LARGE}
    assert status == {"status": wanted}


def test_a_volume_reserved_by_hand_is_not_marked_as_bound_by_the_controller() -> None:
    made = of_claim(claim(), volume(claimRef=bound_to("")))
    assert "metadata" not in writes(made)[0][1]


def test_a_claim_that_names_its_volume_is_not_marked_as_bound_by_the_controller() -> None:
    made = of_claim(claim(volumeName="v"), volume())
    annotations = writes(made)[2][1]["metadata"]["annotations"]
    assert annotations == {BIND_COMPLETED: "yes"}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            volume(size="1Mi"),
            (
                "Warning",
                "VolumeMismatch",
                'Cannot bind to requested volume "v": requested PV is too small',
            ),
        ),
        (
            volume(claimRef=bound_to("u2", "theirs")),
            ("Warning", "FailedBinding", 'volume "v" already bound to a different claim.'),
        ),
        (volume("other"), None),
    ],
)
def test_a_claim_that_names_an_unfit_volume_stays_pending(found: Any, told: Any) -> None:
    made = of_claim(claim(volumeName="v"), found)
    assert events(made) == ([told] if told else [])
    assert writes(made) == []


def test_without_class_and_volume_that_is_said() -> None:
    words = "no persistent volumes available for this claim and no storage class is set"
    assert events(of_claim(claim())) == [("Normal", "FailedBinding", words)]


def test_a_default_class_that_comes_late_is_given_to_claims_that_name_none() -> None:
    default = storage_class(metadata={"name": "std", "annotations": {CLASS_DEFAULT: "true"}})
    made = of_claim(claim(storageClassName=None), classes=[default])
    assert writes(made) == [("persistentvolumeclaims", {"spec": {"storageClassName": "std"}})]
    assert writes(of_claim(claim(storageClassName=""), classes=[default])) == []


# -- waiting and provisioning -------------------------------------------------------------------


def test_a_class_that_waits_says_for_what() -> None:
    wanted = claim(storageClassName="fast")
    classes = [storage_class()]
    words = "waiting for first consumer to be created before binding"
    made = of_claim(wanted, volume(storageClassName="fast"), classes=classes)
    assert events(made) == [("Normal", "WaitForFirstConsumer", words)]
    users = [{"metadata": {"name": n}, "spec": {}} for n in ("b", "a")]
    made = of_claim(wanted, classes=classes, users=users)
    assert events(made) == [
        ("Normal", "WaitForPodScheduled", "waiting for pods a, b to be scheduled")
    ]
    placed = {"metadata": {"name": "c"}, "spec": {"nodeName": "n1"}}
    made = of_claim(wanted, classes=classes, users=[placed, users[0]])
    assert events(made) == [("Normal", "WaitForPodScheduled", "waiting for pod b to be scheduled")]
    assert events(of_claim(wanted, classes=classes, users=[placed])) == [
        ("Normal", "WaitForFirstConsumer", words)
    ]


def chosen(node: str = "n1", **spec: Any) -> Any:
    marks = {SELECTED_NODE: node}
    return claim(storageClassName="fast", metadata={"annotations": marks}, **spec)


def test_a_volume_that_cannot_be_made_sends_the_pod_back_to_the_scheduler() -> None:
    made = of_claim(chosen(), classes=[storage_class()], node="n1")
    assert any(isinstance(a, Reported) and isinstance(a.action, External) for a in made.actions)
    again = made.status_if_failed
    assert isinstance(again, Patch)
    assert again.patch == {"metadata": {"annotations": {SELECTED_NODE: None}}}
    assert again.resource_version == "5"


def test_a_volume_of_an_immediate_class_that_cannot_be_made_is_tried_again() -> None:
    kind = storage_class(volumeBindingMode="Immediate")
    made = of_claim(claim(storageClassName="fast"), classes=[kind])
    assert made.status_if_failed is None


def test_a_selected_node_that_is_gone_is_taken_off() -> None:
    made = of_claim(chosen(), classes=[storage_class()], node_gone=True)
    told = ("Warning", "ProvisioningFailed", 'failed to get target node: node "n1" not found')
    assert events(made) == [told]
    assert writes(made)[-1][1] == {"metadata": {"annotations": {SELECTED_NODE: None}}}


def test_the_node_of_another_provisioner_is_that_ones_business() -> None:
    kind = storage_class(provisioner="example.org/far")
    made = of_claim(chosen(), classes=[kind], node_gone=True)
    assert [reason for _, reason, _ in events(made)] == ["ExternalProvisioning"]
    assert SELECTED_NODE not in str(writes(made))


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        ({"volumeMode": "Block"}, {}, "petset.dev/directory does not support block volume"),
        ({"selector": {"matchLabels": {"a": "b"}}}, {}, "claim Selector is not supported"),
        ({"dataSource": {"name": "x"}}, {}, "does not support data sources"),
        (
            {"volumeAttributesClassName": "gold"},
            {},
            "petset.dev/directory does not support volume attributes classes",
        ),
        ({}, {"provisioner": "kubernetes.io/no-provisioner"}, "no volume plugin matched name"),
    ],
)
def test_what_cannot_be_provisioned_is_refused_by_name(spec: Any, kind: Any, words: str) -> None:
    made = of_claim(chosen(**spec), classes=[storage_class(**kind)], node="n1")
    ((level, reason, message),) = events(made)
    assert (level, reason) == ("Warning", "ProvisioningFailed")
    assert words in message
    assert not any(isinstance(a, Create) for a in made.actions)


def test_a_class_that_does_not_exist_is_named() -> None:
    told = 'storageclass.storage.k8s.io "fast" not found'
    made = of_claim(claim(storageClassName="fast"))
    assert events(made) == [("Warning", "ProvisioningFailed", told)]


def test_a_volume_made_for_a_claim_follows_its_class() -> None:
    kind = storage_class(reclaimPolicy="Retain", mountOptions=["noatime"])
    made = of_claim(chosen(), classes=[kind], node="n1")
    (fresh,) = (
        a.action.obj
        for a in made.actions
        if isinstance(a, Reported) and isinstance(a.action, Create)
    )
    assert fresh["metadata"]["name"] == "pvc-u1"
    assert fresh["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    assert fresh["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert fresh["spec"]["mountOptions"] == ["noatime"]
    assert fresh["spec"]["claimRef"]["uid"] == "u1"


# -- bound claims -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "volumes", "reason"),
    [
        (bound(), (), "ClaimLost"),
        (bound(volumeName=""), (), "ClaimLost"),
        (bound(), (volume(claimRef=bound_to("u2", "theirs")),), "ClaimMisbound"),
    ],
)
def test_a_claim_without_its_volume_is_lost_and_has_nothing_any_more(
    owner: Any, volumes: Any, reason: str
) -> None:
    made = of_claim(owner, *volumes)
    assert [(kind, r) for kind, r, _ in events(made)] == [("Warning", reason)]
    gone = {"phase": "Lost", "accessModes": None, "capacity": None}
    assert writes(made) == [("persistentvolumeclaims", {"status": gone})]
    again = of_claim({**owner, "status": {"phase": "Lost"}}, *volumes)
    assert again == Plan()


def test_a_bound_claim_takes_its_freed_volume_again() -> None:
    made = of_claim(bound(), volume(status={"phase": "Available"}))
    assert writes(made)[0][1]["spec"]["claimRef"]["uid"] == "u1"
    assert writes(made)[1] == ("persistentvolumes", {"status": {"phase": "Bound"}})


def test_a_lost_claim_whose_volume_is_back_is_bound_again() -> None:
    back = volume(claimRef=bound_to(), status={"phase": "Bound"})
    made = of_claim(bound(status={"phase": "Lost"}), back)
    assert writes(made)[-1][1]["status"]["phase"] == "Bound"


def test_growth_is_written_down_where_the_class_allows_it() -> None:
    marks: Any = {"annotations": OURS}
    held = volume(claimRef=bound_to(), status={"phase": "Bound"}, metadata=marks)
    told = {
        f"volume.{beta}kubernetes.io/storage-provisioner": "petset.dev/directory"
        for beta in ("", "beta.")
    }
    owner = bound(size="3Gi", storageClassName="fast", marks=told)
    made = of_claim(owner, held, classes=[storage_class(allowVolumeExpansion=True)])
    assert writes(made) == [
        ("persistentvolumes", {"spec": {"capacity": {"storage": "3Gi"}}}),
        ("persistentvolumeclaims", {"status": {"capacity": {"storage": "3Gi"}}}),
    ]
    assert [reason for _, reason, _ in events(made)] == ["VolumeResizeSuccessful"]
    assert of_claim(owner, held, classes=[storage_class()]) == Plan()


def test_growth_that_is_granted_is_not_written_again() -> None:
    marks: Any = {"annotations": OURS}
    held = volume(size="3Gi", claimRef=bound_to(), status={"phase": "Bound"}, metadata=marks)
    granted = {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "3Gi"}}
    told = {
        f"volume.{beta}kubernetes.io/storage-provisioner": "petset.dev/directory"
        for beta in ("", "beta.")
    }
    owner = bound(size="3Gi", storageClassName="fast", marks=told, status=granted)
    kind = storage_class(allowVolumeExpansion=True)
    assert of_claim(owner, held, classes=[kind]) == Plan()
    smaller = bound(size="2Gi", storageClassName="fast", marks=told, status=granted)
    assert of_claim(smaller, held, classes=[kind]) == Plan(), "what was granted stays"


def test_growth_of_a_volume_made_by_hand_waits_for_whoever_made_it() -> None:
    held = volume(claimRef=bound_to(), status={"phase": "Bound"})
    kind = storage_class(allowVolumeExpansion=True)
    made = of_claim(bound(size="3Gi", storageClassName="fast"), held, classes=[kind])
    words = "waiting for an external controller to expand this PVC"
    assert events(made) == [("Normal", "ExternalExpanding", words)]
    assert writes(made) == []


def test_a_used_claim_is_not_let_go() -> None:
    dying = bound(metadata={**DELETING})
    user = {"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}}
    assert of_claim(dying, users=[user], unused=True) == Plan()
    assert of_claim(dying, unused=False) == Plan()
    for left_s in (0, 30):  # seconds of grace that a deleted pod has left
        gone = {**user, "metadata": {**user["metadata"], **DELETING,
                "deletionGracePeriodSeconds": left_s}}  # fmt: skip
        assert bool(writes(of_claim(dying, users=[gone], unused=True))) is (left_s == 0)
    assert writes(of_claim(dying, unused=True)) == [
        ("persistentvolumeclaims", {"metadata": {"finalizers": None}})
    ]


# -- volumes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [None, bound_to("")])
@pytest.mark.parametrize("phase", ["", "Pending", "Bound", "Released", "Failed"])
def test_a_volume_that_nobody_holds_is_available(reference: Any, phase: str) -> None:
    free = volume(status={"phase": phase}, **({"claimRef": reference} if reference else {}))
    assert writes(of_volume(free)) == [("persistentvolumes", {"status": {"phase": "Available"}})]


def test_a_volume_whose_claim_may_still_be_there_is_left_alone() -> None:
    held = volume(claimRef=bound_to(), status={"phase": "Bound"})
    assert of_volume(held) == Plan()


def held_by(policy: str = "Retain", **more: Any) -> Any:
    spec = {"persistentVolumeReclaimPolicy": policy, "claimRef": bound_to()}
    return volume(**{"status": {"phase": "Bound"}, **spec, **more})


@pytest.mark.parametrize("phase", ["", "Pending", "Available", "Released", "Failed"])
def test_a_volume_whose_claim_names_it_is_bound(phase: str) -> None:
    made = of_volume(held_by(status={"phase": phase}), bound())
    assert writes(made) == [("persistentvolumes", {"status": {"phase": "Bound"}})]
    assert of_volume(held_by(), bound()) == Plan()


@pytest.mark.parametrize(
    ("phase", "released"),
    [("", True), ("Pending", True), ("Available", True), ("Bound", True), ("Failed", False)],
)
def test_a_volume_whose_claim_is_gone_is_released_unless_it_failed(
    phase: str, released: bool
) -> None:
    made = writes(of_volume(held_by(status={"phase": phase}), gone=True))
    assert made == ([("persistentvolumes", {"status": {"phase": "Released"}})] if released else [])


def test_a_retained_volume_is_released_and_keeps_its_reference() -> None:
    made = of_volume(held_by(), gone=True)
    assert writes(made) == [("persistentvolumes", {"status": {"phase": "Released"}})]
    assert len(made.actions) == 1
    assert of_volume(held_by(status={"phase": "Released"}), gone=True) == Plan()


def test_a_volume_of_ours_goes_with_its_directory_and_a_failure_is_kept_as_the_phase() -> None:
    made = of_volume(held_by("Delete", metadata={"annotations": OURS}), gone=True)
    kinds = [type(a) for a in made.actions]
    assert kinds == [Patch, Reported, Delete, Patch]
    assert isinstance(made.status_if_failed, Patch)
    failed = {"phase": "Failed", "message": "its directory could not be removed"}
    assert made.status_if_failed.patch["status"] == failed


@pytest.mark.parametrize(
    ("policy", "reason", "words"),
    [
        ("Delete", "VolumeFailedDelete", "no deletable volume plugin matched"),
        ("Recycle", "VolumeFailedRecycle", "petset does not support the reclaim policy Recycle"),
    ],
)
def test_data_that_is_not_ours_is_never_removed(policy: str, reason: str, words: str) -> None:
    made = of_volume(held_by(policy), gone=True)
    assert events(made) == [("Warning", reason, words)]
    assert writes(made)[-1][1]["status"]["phase"] == "Failed"
    assert of_volume(held_by(policy, status={"phase": "Failed"}), gone=True) == Plan()


def test_another_provisioners_volume_is_only_released() -> None:
    marks = {"annotations": {"pv.kubernetes.io/provisioned-by": "example.org/far"}}
    made = of_volume(held_by("Delete", metadata=marks), gone=True)
    assert writes(made) == [("persistentvolumes", {"status": {"phase": "Released"}})]
    assert len(made.actions) == 1


def test_a_volume_is_protected_until_its_claim_is_gone() -> None:
    dying = held_by(metadata=DELETING)
    assert of_volume(dying, bound()) == Plan()
    assert writes(of_volume(dying, gone=True))[-1][1] == {"metadata": {"finalizers": None}}
    bare = volume(metadata={"finalizers": []})
    added = {"metadata": {"finalizers": ["kubernetes.io/pv-protection"]}}
    assert writes(of_volume(bare)) == [("persistentvolumes", added)]


def test_a_volume_whose_claim_went_elsewhere_is_freed_as_it_was_bound() -> None:
    elsewhere = bound(volumeName="w")
    made = of_volume(held_by(metadata={"annotations": BY_CONTROLLER}), elsewhere)
    unmarked = {"annotations": dict.fromkeys(BY_CONTROLLER)}
    assert writes(made)[0][1] == {"spec": {"claimRef": None}, "metadata": unmarked}
    made = of_volume(held_by(), elsewhere)
    assert writes(made)[0][1]["spec"] == {"claimRef": {"uid": None, "resourceVersion": None}}
    made = of_volume(held_by("Delete", metadata={"annotations": OURS}), elsewhere)
    assert any(isinstance(a, Delete) for a in made.actions)
    assert isinstance(made.status_if_failed, Patch)


def test_modes_that_differ_are_told_on_both() -> None:
    kept = volume(claimRef=bound_to(), volumeMode="Block")
    made = of_volume(kept, claim())
    words = (
        'Cannot bind PersistentVolume "v" to requested PersistentVolumeClaim "data" due to '
        "incompatible volumeMode"
    )
    assert events(made) == [("Warning", "VolumeMismatch", words)] * 2
