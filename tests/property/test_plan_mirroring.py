"""The mirroring planner: tells what the Endpoints tell, and then stays quiet."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.endpointslicemirroring import mirror
from petset.controllers.endpointslicemirroring.plan import Observed, plan
from petset.reconcile.actions import Plan
from tests.property.world import World

SLICES = mirror.RESOURCE
WHERE = {"name": "db", "namespace": "default"}
Change = Callable[["MirrorWorld"], None]
Told = set[tuple[str, bool, tuple[tuple[str, int], ...]]]


class MirrorWorld(World):
    """One Service without selector and its Endpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.put("services", {"metadata": WHERE, "spec": {"ports": [{"port": 80}]}})

    def write(self, subsets: list[MutableObj], **metadata: Any) -> None:
        old = self.get("endpoints", "db") or {"metadata": {}}
        self.put(
            "endpoints",
            {"metadata": {**old["metadata"], **WHERE, **metadata}, "subsets": subsets},
        )

    def observe(self) -> Observed:
        ours = tuple(s for s in self.list(SLICES) if mirror.is_ours(s))
        return Observed(self.get("endpoints", "db"), self.get("services", "db"), ours)

    def sync(self, cut: int | None = None) -> None:
        self.execute(plan(self.observe()), cut=cut)

    def told(self) -> Told:
        return {
            (e["addresses"][0], e["conditions"]["ready"], named(s.get("ports") or ()))
            for s in self.list(SLICES)
            for e in s["endpoints"]
        }


def named(ports: Any) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((p.get("name") or "", p["port"]) for p in ports))


ADDRESS = st.builds("10.0.0.{}".format, st.integers(1, 5)) | st.builds(
    "fd00::{}".format, st.integers(1, 3)
)
SUBSET = st.builds(
    lambda ready, waiting, ports: {
        "addresses": [{"ip": a} for a in ready],
        "notReadyAddresses": [{"ip": a} for a in waiting],
        "ports": [{"name": f"p{n}", "port": n, "protocol": "TCP"} for n in ports],
    },
    st.lists(ADDRESS, max_size=4, unique=True),
    st.lists(ADDRESS, max_size=2, unique=True),
    st.lists(st.integers(1, 3), max_size=2, unique=True),
)


def expected(subsets: list[MutableObj]) -> Told:
    found: Told = set()
    for subset in subsets:
        for member, ready in (("addresses", True), ("notReadyAddresses", False)):
            found |= {(a["ip"], ready, named(subset["ports"])) for a in subset[member]}
    return found


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(SUBSET, max_size=4), st.none() | st.integers(0, 3)), min_size=1))
def test_slices_tell_the_same_as_the_endpoints_after_every_change_and_crash(
    steps: list[tuple[list[MutableObj], int | None]],
) -> None:
    world = MirrorWorld()
    subsets: list[MutableObj] = []
    for subsets, cut in steps:
        world.write(subsets)
        world.sync(cut)
    world.sync()
    assert world.told() == expected(subsets)
    assert plan(world.observe()) == Plan()
    for slice_ in world.list(SLICES):
        families = {":" in e["addresses"][0] for e in slice_["endpoints"]}
        assert families == {slice_["addressType"] == "IPv6"}


def one(*addresses: str) -> list[MutableObj]:
    return [{"addresses": [{"ip": a} for a in addresses], "ports": [{"port": 80}]}]


def test_a_slice_is_marked_named_owned_and_labelled_after_its_endpoints() -> None:
    world = MirrorWorld()
    kept = {"team": "a", "endpoints.kubernetes.io/last-change-trigger-time": "x"}
    world.write(one("10.0.0.1"), labels={"app": "db"}, annotations=kept)
    world.sync()
    (slice_,) = world.list(SLICES)
    assert slice_["metadata"]["labels"] == {
        "app": "db",
        "kubernetes.io/service-name": "db",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert meta.annotations_of(slice_) == {"team": "a"}
    (owner,) = meta.owners_of(slice_)
    assert (owner["kind"], owner["name"]) == ("Endpoints", "db")
    assert slice_["ports"] == [{"name": "", "protocol": "TCP", "port": 80}]


def test_hostname_node_and_target_of_an_address_are_kept() -> None:
    world = MirrorWorld()
    address: Obj = {"ip": "10.0.0.1", "hostname": "a", "nodeName": "n", "targetRef": {"name": "p"}}
    world.write([{"addresses": [address]}])
    world.sync()
    (slice_,) = world.list(SLICES)
    (endpoint,) = slice_["endpoints"]
    assert {k: endpoint[k] for k in ("hostname", "nodeName", "targetRef")} == {
        "hostname": "a",
        "nodeName": "n",
        "targetRef": {"name": "p"},
    }


def test_endpoints_that_are_not_for_mirroring_lose_their_slices() -> None:
    skip = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    leader = {"control-plane.alpha.kubernetes.io/leader": "{}"}
    changes: list[Change] = [
        lambda w: w.write(one("10.0.0.1"), labels=skip),
        lambda w: w.write(one("10.0.0.1"), annotations=leader),
        lambda w: w.change("services", "db", {"spec": {"selector": {"app": "db"}}}),
        lambda w: w.remove("services", "db"),
        lambda w: w.remove("endpoints", "db"),
    ]
    for change in changes:
        world = MirrorWorld()
        world.write(one("10.0.0.1"))
        world.sync()
        assert world.told()
        change(world)
        world.sync()
        assert world.list(SLICES) == []
        assert plan(world.observe()) == Plan()


def test_a_thousand_addresses_of_a_subset_are_mirrored_and_the_rest_is_told() -> None:
    world = MirrorWorld()
    addresses = [f"10.1.{n // 250}.{n % 250}" for n in range(1003)]
    world.write(one(*addresses))
    world.sync()
    (slice_,) = world.list(SLICES)
    assert len(slice_["endpoints"]) == 1000
    assert world.events == [("Warning", "TooManyAddressesToMirror")]
    assert plan(world.observe()) == Plan()
