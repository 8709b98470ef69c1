"""`kr8s`, blocking and async: discovery, lists, labels, patches, scale, wait, watch, delete."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import kr8s
import kr8s.asyncio
import pytest
from kr8s import objects
from kr8s._async_utils import as_sync_func
from kr8s.asyncio import objects as aobjects

from petset.testing.cluster import Cluster, RunningCluster
from tests.clients.manifests import CONFLICT, NS, config_map, service, stateful_set

pytestmark = pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported")
"""The library knows versions up to 1.35."""


@pytest.fixture
def box(petset_cluster: RunningCluster) -> Iterator[Any]:
    made: Any = kr8s.api(kubeconfig=str(petset_cluster.kubeconfig))
    yield made
    as_sync_func(made._session.aclose)()  # the library leaves it to the garbage collector


@pytest.fixture
async def abox(petset_async_cluster: Cluster) -> AsyncIterator[Any]:
    made: Any = await kr8s.asyncio.api(kubeconfig=str(petset_async_cluster.kubeconfig))
    yield made
    await made._session.aclose()


def names(found: Any) -> list[str]:
    return [one.name for one in found]


def make_maps(box: Any, *names_: str) -> list[Any]:
    made = [objects.ConfigMap(config_map(name, tier="a"), api=box) for name in names_]
    for one in made:
        one.create()
    return made


def test_discovery_knows_the_server_and_its_kinds(box: Any) -> None:
    assert box.version()["gitVersion"].startswith("v1.")
    kinds = {(kind["name"], kind["version"]) for kind in box.api_resources()}
    assert {("statefulsets", "apps/v1"), ("pods", "v1"), ("leases", "coordination.k8s.io/v1")} <= (
        kinds
    )
    assert "apps/v1" in list(box.api_versions())
    assert box.whoami() == "kubernetes-admin"
    assert box.lookup_kind("sts") == ("statefulset.apps/v1", "statefulsets", True)


def test_an_old_copy_cannot_overwrite_a_newer_one(box: Any) -> None:
    (made,) = make_maps(box, "one")
    assert made.exists()
    old = made.metadata["resourceVersion"]
    made.patch({"data": {"key": "new"}})
    with pytest.raises(kr8s.ServerError, match=CONFLICT) as caught:
        made.patch({"metadata": {"resourceVersion": old}, "data": {"key": "old"}})
    status: Any = caught.value.status
    assert status["reason"] == "Conflict"
    made.refresh()
    assert made.data == {"key": "new"}
    with pytest.raises(kr8s.ServerError, match="already exists"):
        objects.ConfigMap(config_map("one"), api=box).create()


def test_get_by_name_selectors_and_pages(box: Any) -> None:
    make_maps(box, *(f"m{n:03}" for n in range(105)))
    assert objects.ConfigMap.get("m001", namespace=NS, api=box).name == "m001"
    found = box.get("configmaps", namespace=NS, label_selector={"tier": "a"})
    assert names(found) == [f"m{n:03}" for n in range(105)]
    assert names(box.get("cm", namespace=NS, field_selector={"metadata.name": "m007"})) == ["m007"]
    with pytest.raises(kr8s.NotFoundError):
        objects.ConfigMap.get("none", namespace=NS, api=box)
    everywhere = names(box.get("configmaps", namespace=kr8s.ALL, field_selector="metadata.name!=x"))
    assert everywhere.count("kube-root-ca.crt") == 4


def test_labels_annotations_and_json_patches(box: Any) -> None:
    (made,) = make_maps(box, "one")
    made.label(colour="blue")
    made.annotate({"note": "1"})
    assert (made.labels["colour"], made.annotations["note"]) == ("blue", "1")
    made.remove_label("colour")
    assert dict(made.labels) == {"tier": "a"}
    made.patch([{"op": "add", "path": "/data/more", "value": "1"}], type="json")
    assert made.data == {"key": "value", "more": "1"}
    owner, owned = make_maps(box, "owner", "owned")
    owner.adopt(owned)
    owner.delete(propagation_policy="Foreground")
    owned.wait("delete", timeout=20)


def test_a_stateful_set_gets_ready_scales_and_goes(box: Any) -> None:
    objects.Service(service(), api=box).create()
    made = objects.StatefulSet(stateful_set(), api=box)
    made.create()
    made.wait("jsonpath='{.status.availableReplicas}'=2", timeout=20)
    pods = list(box.get("pods", namespace=NS, label_selector="app=web"))
    assert names(pods) == ["web-0", "web-1"]
    assert all(pod.ready() for pod in pods)
    pods[1].wait("condition=Ready", timeout=20)
    made.scale(3)
    made.wait("jsonpath='{.status.availableReplicas}'=3", timeout=20)
    assert made.replicas == 3
    made.delete(propagation_policy="Foreground")
    made.wait("delete", timeout=20)
    assert not list(box.get("pods", namespace=NS))


async def test_async_watch_and_life_of_a_stateful_set(abox: Any) -> None:
    await (await aobjects.Service(service(), api=abox)).create()
    made = await aobjects.StatefulSet(stateful_set(), api=abox)
    await made.create()
    seen = []
    async for kind, pod in abox.watch("pods", namespace=NS):
        seen.append((kind, pod.name))
        if pod.name == "web-1" and await pod.ready():
            break
    assert [name for kind, name in seen if kind == "ADDED"] == ["web-0", "web-1"]
    await made.scale(1)
    gone = await aobjects.Pod.get("web-0", namespace=NS, api=abox)
    await gone.delete(grace_period=0)
    await made.delete(propagation_policy="Background")
    await made.wait("delete", timeout=20)
    assert not await made.exists()


def test_an_injected_conflict_reaches_the_caller(petset_cluster: RunningCluster, box: Any) -> None:
    (made,) = make_maps(box, "one")
    rule = petset_cluster.faults.add(verb="patch", resource="configmaps", status=409, times=1)
    with pytest.raises(kr8s.ServerError, match=CONFLICT):
        made.label(a="b")
    made.label(a="b")
    assert rule.hits == 1
