"""What controllers do together: scheduling, volumes, garbage, namespaces."""

from typing import Any

import pytest

from petset.api import meta
from petset.api.errors import StatusError
from petset.testing.checker import Checker
from petset.testing.scenario import stateful_set
from petset.testing.world import World
from tests.sim.test_statefulset import CLAIMS, SEEDS, SET, make, pod, tell

SELECTED_NODE = "volume.kubernetes.io/selected-node"


def lone_pod(name: str, **spec: Any) -> dict[str, Any]:
    spec.setdefault("containers", [{"name": "main", "image": "busybox"}])
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec}


def claim(name: str, **spec: Any) -> dict[str, Any]:
    spec.setdefault("accessModes", ["ReadWriteOnce"])
    spec.setdefault("resources", {"requests": {"storage": "1Gi"}})
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "spec": spec,
    }


def storage_class(name: str, provisioner: str) -> dict[str, Any]:
    return {
        "kind": "StorageClass",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume(name: str, node: str, storageClassName: str = "manual") -> dict[str, Any]:  # noqa: N803
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storageClassName,
            "local": {"path": f"/disks/{name}"},
            "nodeAffinity": {"required": terms},
        },
    }


def volume_of(world: World, name: str) -> str:
    found = world.get(CLAIMS, name)
    assert found is not None
    return str(found["spec"].get("volumeName", ""))


def scheduled(world: World, name: str) -> dict[str, Any]:
    condition = meta.condition_of(pod(world, name), "PodScheduled")
    return dict(condition or {})


def ready_pod(world: World, name: str) -> bool:
    found = world.get("pods", name)
    return found is not None and meta.is_condition_true(found, "Ready")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_deleted_set_takes_its_pods_along_and_leaves_claims(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        await world.client.delete(SET, "web", "default")
        await world.wait_for(lambda: world.names("pods") == [])
        await world.settle()
        assert world.names("controllerrevisions.apps") == []
        assert len(world.names(CLAIMS)) == 3
        assert not world.runtime.live

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_orphaned_pods_run_on_and_are_adopted_again(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        uids = {meta.uid_of(p) for p in world.objects("pods")}
        await world.client.delete(SET, "web", "default", propagation="Orphan")
        await world.wait_for(lambda: world.get(SET, "web") is None)
        await world.settle()
        assert {meta.uid_of(p) for p in world.objects("pods")} == uids
        assert not [p for p in world.objects("pods") if meta.controller_of(p)]
        await make(world)
        assert {meta.uid_of(p) for p in world.objects("pods")} == uids

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_foreground_deletion_keeps_the_set_until_its_pods_are_gone(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world)
        await world.client.delete(SET, "web", "default", propagation="Foreground")
        found = world.get(SET, "web")
        assert found is not None
        assert meta.is_deleting(found)
        await world.wait_for(lambda: world.get(SET, "web") is None)
        assert world.names("pods") == []

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_deleted_namespace_is_emptied_first(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        space = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop"}}
        await world.apply(space)
        for obj in stateful_set("web"):
            await world.apply({**obj, "metadata": {**obj["metadata"], "namespace": "shop"}})
        await world.wait_for(lambda: world.ready(SET, "web", "shop"))
        await world.client.delete("namespaces", "shop")
        await world.wait_for(lambda: world.get("namespaces", "shop") is None)
        left = [key for key in _keys(world) if key.split("/")[1] == "shop"]
        assert [key for key in left if not key.startswith("events/")] == []
        with pytest.raises(StatusError):
            await world.client.create("pods", lone_pod("late"), "shop")

    tell(story, seed)


def _keys(world: World) -> list[str]:
    return [item.key for item in world.store.list("").items]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pod_without_room_waits_and_says_why_until_there_is_room(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        requests = {"requests": {"cpu": "3"}}
        containers = [{"name": "main", "image": "busybox", "resources": requests}]
        for name in ("a", "b"):
            await world.apply(lone_pod(name, containers=containers))
        await world.wait_for(lambda: scheduled_count(world) == 1)
        (waiting,) = [p for p in world.objects("pods") if not p["spec"].get("nodeName")]
        name = meta.name_of(waiting)
        await world.wait_for(lambda: scheduled(world, name).get("status") == "False")
        assert scheduled(world, name)["reason"] == "Unschedulable"
        assert scheduled(world, name)["message"] == "0/1 nodes are available: 1 Insufficient cpu."
        await world.wait_for(lambda: "FailedScheduling" in reasons(world, name))
        world.add_node()
        await world.wait_for(lambda: ready_pod(world, name))
        assert pod(world, name)["spec"]["nodeName"] == "n2"
        assert scheduled(world, name)["status"] == "True"

    def scheduled_count(world: World) -> int:
        return sum(bool(p["spec"].get("nodeName")) for p in world.objects("pods"))

    tell(story, seed, nodes=1)


def reasons(world: World, name: str) -> list[str]:
    events = world.objects("events")
    return [e["reason"] for e in events if e["involvedObject"]["name"] == name]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_burst_is_spread_and_never_overcommits(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        requests = {"requests": {"cpu": "1"}}
        containers = [{"name": "main", "image": "busybox", "resources": requests}]
        for i in range(14):
            await world.client.create("pods", lone_pod(f"p{i}", containers=containers), "default")
        await world.settle()
        nodes = [p["spec"].get("nodeName") for p in world.objects("pods")]
        assert {n: nodes.count(n) for n in set(nodes)} == {"n1": 4, "n2": 4, "n3": 4, None: 2}

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_local_volumes_are_made_where_the_pod_goes_and_keep_it_there(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await world.apply(claim("data", storageClassName="local"))
        await world.settle()
        unbound = world.get(CLAIMS, "data")
        assert unbound is not None
        assert unbound["status"]["phase"] == "Pending"
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        await world.apply(lone_pod("one", volumes=volumes))
        await world.wait_for(lambda: ready_pod(world, "one"))
        node = pod(world, "one")["spec"]["nodeName"]
        await world.client.delete("pods", "one", "default")
        await world.wait_for(lambda: world.get("pods", "one") is None)
        await world.client.patch("nodes", node, {"spec": {"unschedulable": True}})
        await world.apply(lone_pod("two", volumes=volumes))
        await world.wait_for(lambda: scheduled(world, "two").get("status") == "False")
        assert scheduled(world, "two")["message"] == (
            "0/3 nodes are available: 1 node(s) were unschedulable, "
            "2 node(s) had volume node affinity conflict."
        )
        await world.client.patch("nodes", node, {"spec": {"unschedulable": None}})
        await world.wait_for(lambda: ready_pod(world, "two"))
        assert pod(world, "two")["spec"]["nodeName"] == node

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_volumes_made_by_hand_are_given_out_once_each(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await world.apply(storage_class("manual", "kubernetes.io/no-provisioner"))
        for node in ("n1", "n2"):
            await world.apply(volume(f"disk-{node}", node))
        for name in ("a", "b", "c"):
            await world.apply(claim(name, storageClassName="manual"))
            volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
            await world.apply(lone_pod(name, volumes=volumes))
        await world.settle()
        placed = {
            name: (pod(world, name)["spec"].get("nodeName"), volume_of(world, name))
            for name in ("a", "b", "c")
        }
        assert sorted(v for v in placed.values() if v[0]) == [("n1", "disk-n1"), ("n2", "disk-n2")]
        (left,) = [name for name, (node, _) in placed.items() if not node]
        assert "didn't find available persistent volumes" in scheduled(world, left)["message"]
        await world.apply(volume("disk-n3", "n3"))
        await world.wait_for(lambda: ready_pod(world, left))
        assert pod(world, left)["spec"]["nodeName"] == "n3"

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_provisioner_that_gives_up_gets_another_node(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await world.apply(storage_class("far", "example.org/far"))
        await world.apply(claim("data", storageClassName="far"))
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        await world.apply(lone_pod("one", volumes=volumes))
        await world.wait_for(lambda: bool(selected(world)))
        first = selected(world)
        await world.client.patch("nodes", first, {"spec": {"unschedulable": True}})
        given_up = {"metadata": {"annotations": {SELECTED_NODE: None}}}
        await world.client.patch(CLAIMS, "data", given_up, "default")
        await world.wait_for(lambda: selected(world) not in ("", first))
        assert not pod(world, "one")["spec"].get("nodeName")
        made = volume("made", selected(world), storageClassName="far")
        made["spec"]["claimRef"] = {"namespace": "default", "name": "data"}
        await world.apply(made)
        await world.wait_for(lambda: ready_pod(world, "one"))
        assert pod(world, "one")["spec"]["nodeName"] == selected(world)

    def selected(world: World) -> str:
        found = world.get(CLAIMS, "data")
        assert found is not None
        return str(meta.annotations_of(found).get(SELECTED_NODE, ""))

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_claim_for_one_pod_is_handed_on_when_that_pod_is_gone(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await world.apply(claim("data", accessModes=["ReadWriteOncePod"]))
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        await world.apply(lone_pod("one", volumes=volumes))
        await world.wait_for(lambda: ready_pod(world, "one"))
        await world.apply(lone_pod("two", volumes=volumes))
        await world.wait_for(lambda: scheduled(world, "two").get("status") == "False")
        assert "ReadWriteOncePod" in scheduled(world, "two")["message"]
        await world.client.delete("pods", "one", "default")
        await world.wait_for(lambda: ready_pod(world, "two"))

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_claim_that_comes_late_is_not_told_as_a_failure(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        await world.apply(lone_pod("one", volumes=volumes))
        await world.sleep(0.02)
        await world.apply(claim("data"))
        await world.wait_for(lambda: ready_pod(world, "one"))
        await world.settle()
        assert reasons(world, "one") == ["Scheduled"]

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_gated_pods_wait_for_their_gates(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await world.apply(lone_pod("one", schedulingGates=[{"name": "example.org/wait"}]))
        await world.settle()
        assert not pod(world, "one")["spec"].get("nodeName")
        assert scheduled(world, "one")["reason"] == "SchedulingGated"
        await world.client.patch("pods", "one", {"spec": {"schedulingGates": []}}, "default")
        await world.wait_for(lambda: ready_pod(world, "one"))

    tell(story, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_endpoints_follow_readiness(seed: int) -> None:
    async def story(world: World, checker: Checker) -> None:
        await make(world, replicas=2)
        await world.settle()
        assert names(world) == ["web-0", "web-1"]
        await world.scale("web", 1)
        await world.wait_for(lambda: world.names("pods") == ["web-0"])
        await world.settle()
        assert names(world) == ["web-0"]

    def names(world: World) -> list[str]:
        label = "kubernetes.io/service-name"
        slices = world.objects("endpointslices.discovery.k8s.io", "default")
        return sorted(
            e["hostname"]
            for s in slices
            if meta.labels_of(s).get(label) == "web"
            for e in s["endpoints"]
            if e["conditions"]["ready"]
        )

    tell(story, seed)
