"""The volume binder in a small world: it binds one to one, converges, and keeps data."""

import contextlib
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.volumebinder import binding, match, provision
from petset.controllers.volumebinder.claim import ObservedClaim, plan_claim, scheduled
from petset.controllers.volumebinder.volume import ObservedVolume, plan_volume
from petset.reconcile.actions import Plan
from tests.property.world import RefusedError, World

CLAIMS, VOLUMES = binding.CLAIMS, binding.VOLUMES
ROOT = "/srv/volumes"

CLASSES: list[MutableObj] = [
    {
        "metadata": {"name": "standard"},
        "provisioner": provision.DIRECTORY,
        "volumeBindingMode": "Immediate",
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
    },
    {
        "metadata": {"name": "local"},
        "provisioner": provision.LOCAL,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    },
    {
        "metadata": {"name": "kept"},
        "provisioner": provision.DIRECTORY,
        "volumeBindingMode": "Immediate",
        "reclaimPolicy": "Retain",
    },
]


class VolumeWorld(World):
    """Claims and volumes, and the data in the directories."""

    def __init__(self) -> None:
        super().__init__()
        self.data: dict[str, str] = {}

    def claim(self, name: str, class_name: str | None, size: int = 1, **spec: Any) -> None:
        wanted: MutableObj = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{size}Gi"}},
            **spec,
        }
        if class_name is not None:
            wanted["storageClassName"] = class_name
        metadata = {"name": name, "namespace": "default"}
        self.put(CLAIMS, {"metadata": metadata, "spec": wanted, "status": {"phase": "Pending"}})

    def volume(self, name: str, size: int, class_name: str = "", **spec: Any) -> None:
        wanted = {
            "capacity": {"storage": f"{size}Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": class_name,
            "hostPath": {"path": f"/data/{name}"},
            **spec,
        }
        self.put(VOLUMES, {"metadata": {"name": name}, "spec": wanted})

    def pod(self, name: str, claim: str, *, scheduled: bool = True) -> None:
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
        spec: MutableObj = {"volumes": volumes} | ({"nodeName": "n1"} if scheduled else {})
        self.put("pods", {"metadata": {"name": name, "namespace": "default"}, "spec": spec})

    def plan_claim(self, name: str) -> Plan:
        claim = self.get(CLAIMS, name)
        if claim is None:
            return Plan()
        users = [
            p
            for p in self.list("pods")
            if p["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == name
        ]
        node = meta.annotations_of(claim).get(binding.SELECTED_NODE, "")
        unused = not scheduled(users)
        seen = ObservedClaim(claim, self.list(VOLUMES), CLASSES, users, ROOT, node, unused=unused)
        return plan_claim(seen)

    def plan_volume(self, name: str) -> Plan:
        volume = self.get(VOLUMES, name, "")
        if volume is None:
            return Plan()
        reference = match.claim_ref(volume)
        claim = self.get(CLAIMS, reference.get("name") or "")
        there = claim is not None and meta.uid_of(claim) == reference.get("uid")
        return plan_volume(ObservedVolume(volume, claim, bool(reference.get("uid")) and not there))

    def run(self, plan: Plan, cut: int | None = None) -> None:
        done = len(self.external)
        with contextlib.suppress(RefusedError):  # stale by its own earlier writes: planned again
            self.execute(plan, cut=cut)
        for what, path in self.external[done:]:
            assert path.startswith(f"{ROOT}/pvc-")
            if what == provision.CREATE_DIRECTORY:
                self.data.setdefault(path, "empty")
            else:
                self.data.pop(path, None)

    def turn(self) -> None:
        for claim in self.list(CLAIMS):
            self.run(self.plan_claim(meta.name_of(claim)))
        for volume in self.list(VOLUMES):
            self.run(self.plan_volume(meta.name_of(volume)))

    def settle(self) -> None:
        for _ in range(30):
            before = self.revision
            self.turn()
            if self.revision == before:
                return
        raise AssertionError(f"does not settle: {self.writes[-20:]}")

    def check(self) -> None:
        """One claim a volume, one volume a claim, and data wherever a claim is bound."""
        held: dict[str, str] = {}
        for claim in self.list(CLAIMS):
            name = claim["spec"].get("volumeName")
            if not name or claim["status"].get("phase") != "Bound":
                continue
            assert name not in held, "one claim a volume"
            held[name] = meta.name_of(claim)
            volume = self.get(VOLUMES, name, "")
            assert volume is not None
            assert volume["spec"]["claimRef"]["uid"] == meta.uid_of(claim)
            assert match.capacity_of(volume) >= match.request_of(claim)
            path = provision.directory_of(volume)
            assert not path or path in self.data, "a bound volume has its data"
            if path:
                self.data[path] = "used"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("claim"),
                st.integers(0, 5),
                st.sampled_from(["standard", "local", "kept", "", "nobody"]),
            ),
            st.tuples(st.just("volume"), st.integers(0, 5), st.sampled_from(["", "kept"])),
            st.tuples(st.just("select"), st.integers(0, 5), st.just("")),
            st.tuples(st.just("delete"), st.integers(0, 5), st.just("")),
            st.tuples(st.just("pod"), st.integers(0, 5), st.just("")),
            st.tuples(st.just("unpod"), st.integers(0, 5), st.just("")),
            st.tuples(st.just("cut"), st.integers(0, 5), st.just("")),
        ),
        max_size=25,
    )
)
def test_any_history_binds_one_to_one_and_keeps_the_data_of_used_claims(
    moves: Sequence[tuple[str, int, str]],
) -> None:
    world = VolumeWorld()
    for kind, number, word in moves:
        move(world, kind, number, word)
        world.check()
    world.settle()
    world.check()
    for claim in world.list(CLAIMS):
        assert world.plan_claim(meta.name_of(claim)).actions == () or pending(claim)
    for volume in world.list(VOLUMES):
        assert world.plan_volume(meta.name_of(volume)) == Plan()
    for path, use in world.data.items():
        kept = world.get(VOLUMES, path.rpartition("/")[2], "") is not None
        assert kept or use == "empty", "no data is left without a volume"


def pending(claim: MutableObj) -> bool:
    return bool(claim["status"].get("phase") == "Pending")


def move(world: VolumeWorld, kind: str, number: int, word: str) -> None:
    name = f"c{number}"
    claim = world.get(CLAIMS, name)
    match kind:
        case "claim":
            if claim is None:
                world.claim(name, word, size=number % 3 + 1)
        case "volume":
            if world.get(VOLUMES, f"v{number}", "") is None:
                world.volume(f"v{number}", size=number % 4, class_name=word)
        case "select":
            if claim is not None:
                annotation = {"metadata": {"annotations": {binding.SELECTED_NODE: "n1"}}}
                world.change(CLAIMS, name, annotation)
        case "delete":
            if claim is not None:
                world.delete(CLAIMS, claim)
        case "pod":
            if claim is not None:
                world.pod(f"p{number}", name)
        case "unpod":
            world.remove("pods", f"p{number}")
        case _:
            for found in world.list(CLAIMS):
                world.run(world.plan_claim(meta.name_of(found)), cut=number)


def provisioned(class_name: str, **annotations: str) -> VolumeWorld:
    world = VolumeWorld()
    world.claim("data", class_name)
    if annotations:
        world.change(CLAIMS, "data", {"metadata": {"annotations": annotations}})
    world.settle()
    return world


def deleted_in_use() -> VolumeWorld:
    """A claim with a volume, deleted while pod web-0 uses it."""
    world = provisioned("standard")
    world.pod("web-0", "data")
    claim = world.get(CLAIMS, "data")
    assert claim is not None
    world.delete(CLAIMS, claim)
    world.settle()
    return world


def test_a_directory_volume_is_made_bound_and_told() -> None:
    world = provisioned("standard")
    (volume,) = world.list(VOLUMES)
    claim = world.get(CLAIMS, "data")
    assert claim is not None
    assert volume["metadata"]["name"] == f"pvc-{meta.uid_of(claim)}"
    assert volume["spec"]["hostPath"]["type"] == "Directory"
    assert "nodeAffinity" not in volume["spec"]
    assert volume["status"]["phase"] == claim["status"]["phase"] == "Bound"
    assert claim["status"]["capacity"] == {"storage": "1Gi"}
    assert ("Normal", "ProvisioningSucceeded") in world.events


def test_a_local_volume_waits_for_a_node_and_is_tied_to_it() -> None:
    world = provisioned("local")
    assert world.list(VOLUMES) == []
    assert ("Normal", "WaitForFirstConsumer") in world.events
    world.pod("web-0", "data", scheduled=False)
    world.settle()
    assert ("Normal", "WaitForPodScheduled") in world.events
    world = provisioned("local", **{binding.SELECTED_NODE: "n1"})
    (volume,) = world.list(VOLUMES)
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["n1"]
    assert volume["spec"]["local"]["path"].startswith(ROOT)


def test_data_goes_with_the_claim_where_the_policy_is_delete_but_not_before_its_pod() -> None:
    world = deleted_in_use()
    assert len(world.data) == 1
    assert world.get(CLAIMS, "data") is not None
    world.remove("pods", "web-0")
    world.settle()
    assert world.data == {}
    assert world.list(CLAIMS) == world.list(VOLUMES) == []


def test_retained_data_outlives_claim_and_volume_stays_released() -> None:
    world = provisioned("kept")
    claim = world.get(CLAIMS, "data")
    assert claim is not None
    world.delete(CLAIMS, claim)
    world.settle()
    (volume,) = world.list(VOLUMES)
    assert volume["status"]["phase"] == "Released"
    assert len(world.data) == 1
    world.claim("data", "kept")
    world.settle()
    assert len(world.list(VOLUMES)) == 2, "a new claim of that name is another claim"


def test_the_smallest_fitting_volume_is_taken_and_a_reserved_one_before_it() -> None:
    world = VolumeWorld()
    for name, size in (("big", 9), ("small", 1), ("right", 3)):
        world.volume(name, size)
    world.claim("data", "", size=2)
    world.settle()
    assert (world.get(CLAIMS, "data") or {})["spec"]["volumeName"] == "right"
    world.volume("mine", 5, claimRef={"namespace": "default", "name": "other"})
    world.claim("other", "", size=1)
    world.settle()
    assert (world.get(CLAIMS, "other") or {})["spec"]["volumeName"] == "mine"


def test_a_claim_without_class_takes_the_default_when_there_is_one() -> None:
    world = VolumeWorld()
    world.claim("data", None)
    world.settle()
    assert ("Normal", "FailedBinding") in world.events
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    marked = {**CLASSES[0], "metadata": {"name": "standard", "annotations": default}}
    claim = world.get(CLAIMS, "data")
    assert claim is not None
    made = plan_claim(ObservedClaim(claim, [], [marked, *CLASSES[1:]], [], ROOT))
    world.run(made)
    assert (world.get(CLAIMS, "data") or {})["spec"]["storageClassName"] == "standard"


def test_a_larger_request_is_granted_where_the_class_allows_it() -> None:
    world = provisioned("standard")
    world.change(CLAIMS, "data", {"spec": {"resources": {"requests": {"storage": "5Gi"}}}})
    world.settle()
    claim, (volume,) = world.get(CLAIMS, "data"), world.list(VOLUMES)
    assert claim is not None
    assert claim["status"]["capacity"] == volume["spec"]["capacity"] == {"storage": "5Gi"}


def test_a_bound_claim_without_its_volume_is_lost() -> None:
    world = provisioned("kept")
    world.remove(VOLUMES, meta.name_of(world.list(VOLUMES)[0]), "")
    world.settle()
    assert (world.get(CLAIMS, "data") or {})["status"]["phase"] == "Lost"
    assert ("Warning", "ClaimLost") in world.events
    assert world.events.count(("Warning", "ClaimLost")) == 1


def test_what_cannot_be_provisioned_is_refused_by_name() -> None:
    for class_name, mode in (("standard", "Block"), ("nobody", "Filesystem")):
        world = VolumeWorld()
        world.claim("data", class_name, volumeMode=mode)
        world.settle()
        assert ("Warning", "ProvisioningFailed") in world.events
        assert world.list(VOLUMES) == []


def test_a_claim_does_not_wait_for_a_pod_that_is_shut_down() -> None:
    """Such a pod may wait for the claim: it owns it, and both go in the foreground (seed 4371)."""
    world = deleted_in_use()
    assert world.get(CLAIMS, "data") is not None
    gone: MutableObj = {
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["foregroundDeletion"],
    }
    world.change("pods", "web-0", {"metadata": {**gone, "deletionGracePeriodSeconds": 30}})
    world.settle()
    assert world.get(CLAIMS, "data") is not None
    world.change("pods", "web-0", {"metadata": {**gone, "deletionGracePeriodSeconds": 0}})
    world.settle()
    assert world.get(CLAIMS, "data") is None
