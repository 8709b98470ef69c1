"""The EndpointSlice planner: tells exactly the pods that are there, and then stays quiet."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.endpointslice import legacy, slices
from petset.controllers.endpointslice.plan import Observed, plan
from petset.reconcile.actions import Plan
from tests.property.world import World

SLICES = slices.RESOURCE


def make_service(spec: dict[str, Any]) -> MutableObj:
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "nginx", "namespace": "default", "labels": {"team": "a"}},
        "spec": {
            "clusterIP": "None",
            "selector": {"app": "nginx"},
            "ports": [{"name": "web", "port": 80, "protocol": "TCP", "targetPort": "web"}],
            **spec,
        },
    }


class ServiceWorld(World):
    """A world with one service and pods behind it."""

    def add_pod(self, number: int, state: str, port: int = 80) -> None:
        name = f"web-{number}"
        if self.get("pods", name) is not None:
            self.remove("pods", name)
        metadata: MutableObj = {"name": name, "namespace": "default", "labels": {"app": "nginx"}}
        if state == "terminating":
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        ready = "True" if state in ("ready", "terminating") else "False"
        status: MutableObj = {
            "phase": "Failed" if state == "failed" else "Running",
            "conditions": [{"type": "Ready", "status": ready}],
        }
        if state != "addressless":
            status["podIP"] = f"10.128.{number // 250}.{number % 250}"
        ports = [{"name": "web", "containerPort": port, "protocol": "TCP"}]
        spec = {
            "hostname": name,
            "subdomain": "nginx",
            "nodeName": "n1",
            "containers": [{"name": "c", "ports": ports}],
        }
        pod = {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}
        self.put("pods", pod)

    def observe(self) -> Observed:
        return Observed(
            self.get("services", "nginx"),
            tuple(self.list("pods")),
            tuple(self.list(SLICES)),
            self.get("endpoints", "nginx"),
            {"n1": "z1"},
        )

    def sync(self, cut: int | None = None) -> Plan:
        made = plan(self.observe(), self.now)
        self.execute(made, cut=cut)
        return made

    def told(self) -> dict[str, Obj]:
        """Endpoints of all slices by pod name."""
        found: dict[str, Obj] = {}
        for slice_ in self.list(SLICES):
            assert len(slice_["endpoints"]) <= 100
            for endpoint in slice_["endpoints"]:
                assert endpoint["targetRef"]["name"] not in found, "told once"
                found[endpoint["targetRef"]["name"]] = endpoint
        return found


STATES = ["ready", "unready", "terminating", "failed", "addressless"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 8),
            st.sampled_from([*STATES, "gone"]),
            st.sampled_from([80, 8080]),
            st.one_of(st.none(), st.integers(0, 4)),
        ),
        max_size=20,
    ),
    st.booleans(),
    st.booleans(),
)
def test_slices_tell_the_addressed_unfinished_pods_once_and_then_nothing_is_planned(
    changes: Sequence[tuple[int, str, int, int | None]], published: bool, portless: bool
) -> None:
    world = ServiceWorld()
    extra: dict[str, Any] = {"publishNotReadyAddresses": published}
    if portless:
        extra["ports"] = []
    world.put("services", make_service(extra))
    for number, state, port, cut in changes:
        if state == "gone":
            world.remove("pods", f"web-{number}")
        else:
            world.add_pod(number, state, port)
        if cut is not None:
            world.sync(cut)
    world.sync()
    assert plan(world.observe(), world.now) == Plan()
    pods = {
        meta.name_of(p): p
        for p in world.list("pods")
        if p["status"].get("podIP") and p["status"]["phase"] == "Running"
    }
    told = world.told()
    assert told.keys() == pods.keys()
    for name, pod in pods.items():
        conditions = told[name]["conditions"]
        serving = pod["status"]["conditions"][0]["status"] == "True"
        assert conditions["serving"] is serving
        assert conditions["terminating"] is meta.is_deleting(pod)
        assert conditions["ready"] is (published or (serving and not meta.is_deleting(pod)))
        assert told[name]["hostname"] == name
    if not pods:
        assert len(world.list(SLICES)) == 1, "one empty slice tells that nothing is there"


@settings(max_examples=20, deadline=None)
@given(st.integers(90, 320), st.sets(st.integers(0, 319), max_size=60))
def test_a_change_of_few_pods_touches_few_slices(count: int, gone: set[int]) -> None:
    world = ServiceWorld()
    world.put("services", make_service({}))
    for number in range(count):
        world.add_pod(number, "ready")
    world.sync()
    assert len(world.list(SLICES)) == -(-count // 100)
    world.writes.clear()
    world.add_pod(0, "unready")
    world.sync()
    assert [w for w in world.writes if "slices" in w and not w.startswith("update")] == []
    assert len([w for w in world.writes if "slices" in w]) <= 2
    for number in gone:
        world.remove("pods", f"web-{number}")
    world.sync()
    assert len(world.told()) == len([n for n in range(count) if n not in gone])
    assert plan(world.observe(), world.now) == Plan()


def test_the_kubernetes_service_and_services_without_selector_are_left_alone() -> None:
    world = ServiceWorld()
    service = make_service({})
    del service["spec"]["selector"]
    world.put("services", service)
    world.put(SLICES, {"metadata": {"name": "hand", "namespace": "default"}, "endpoints": []})
    assert plan(world.observe(), world.now) == Plan()


def test_everything_of_ours_goes_with_the_service_and_nothing_else() -> None:
    world = ServiceWorld()
    world.put("services", make_service({}))
    world.add_pod(0, "ready")
    world.sync()
    world.put(SLICES, {"metadata": {"name": "hand", "namespace": "default"}, "endpoints": []})
    world.remove("services", "nginx")
    world.sync()
    assert [meta.name_of(s) for s in world.list(SLICES)] == ["hand"]
    assert world.list("endpoints") == []
    world.put("endpoints", {"metadata": {"name": "nginx", "namespace": "default"}})
    assert plan(world.observe(), world.now) == Plan()


def test_legacy_endpoints_part_ready_and_waiting_addresses() -> None:
    world = ServiceWorld()
    world.put("services", make_service({}))
    for number, state in enumerate(["ready", "unready", "terminating"]):
        world.add_pod(number, state)
    world.sync()
    found = world.get("endpoints", "nginx")
    assert found is not None
    assert legacy.is_ours(found)
    (subset,) = found["subsets"]
    assert [a["hostname"] for a in subset["addresses"]] == ["web-0"]
    assert [a["hostname"] for a in subset["notReadyAddresses"]] == ["web-1"]
    assert subset["ports"] == [{"name": "web", "port": 80, "protocol": "TCP"}]


def test_legacy_endpoints_over_capacity_keep_the_ready_ones_and_say_so() -> None:
    world = ServiceWorld()
    world.put("services", make_service({}))
    for number in range(1005):
        world.add_pod(number, "unready" if number < 10 else "ready")
    world.sync()
    found = world.get("endpoints", "nginx")
    assert found is not None
    (subset,) = found["subsets"]
    assert (len(subset["addresses"]), len(subset["notReadyAddresses"])) == (995, 5)
    over = "endpoints.kubernetes.io/over-capacity"
    assert meta.annotations_of(found)[over] == "truncated"
    assert plan(world.observe(), world.now) == Plan()
    for number in range(10):
        world.remove("pods", f"web-{number}")
    world.sync()
    found = world.get("endpoints", "nginx")
    assert found is not None
    assert over not in meta.annotations_of(found)
