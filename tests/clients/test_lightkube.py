"""`lightkube`: typed calls, server-side apply, waits, watches, many documents, the async client."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import yaml
from lightkube import ApiError, AsyncClient, Client, KubeConfig, codecs
from lightkube.models.apps_v1 import StatefulSetSpec
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Pod, Service
from lightkube.types import CascadeType, PatchType

from petset.testing.cluster import Cluster, RunningCluster
from tests.clients.manifests import CONFLICT, NS, config_map, service, stateful_set

NAMED: Any = cast(Any, KubeConfig).from_file


@pytest.fixture
def box(petset_cluster: RunningCluster) -> Iterator[Any]:
    with Client(config=NAMED(petset_cluster.kubeconfig), field_manager="me") as made:
        yield made


def a_map(name: str, **data: str) -> Any:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=NS, labels={"tier": "a"}), data=data)


def names(listed: Any) -> list[str]:
    return [item.metadata.name for item in listed]


def test_an_old_copy_cannot_overwrite_a_newer_one(box: Any) -> None:
    made = box.create(a_map("one", a="1"))
    made.data["a"] = "2"
    assert box.replace(made).data == {"a": "2"}
    with pytest.raises(ApiError) as caught:
        box.replace(made)
    assert (caught.value.status.code, caught.value.status.reason) == (409, "Conflict")
    assert CONFLICT in str(caught.value.status.message)
    box.delete(ConfigMap, "one")
    with pytest.raises(ApiError, match="not found"):
        box.get(ConfigMap, "one")


def test_lists_select_and_come_in_chunks(box: Any) -> None:
    for name in "abcde":
        box.create(a_map(name, a="1"))
    assert names(box.list(ConfigMap, labels={"tier": "a"}, chunk_size=2)) == list("abcde")
    assert names(box.list(ConfigMap, labels={"tier": None}, fields={"metadata.name": "b"})) == ["b"]
    in_all = names(box.list(ConfigMap, namespace="*", fields={"metadata.namespace": NS}))
    assert in_all == [*"abcde", "kube-root-ca.crt"]


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (PatchType.STRATEGIC, {"data": {"b": "2"}}),
        (PatchType.MERGE, {"data": {"b": "2"}}),
        (PatchType.JSON, [{"op": "add", "path": "/data/b", "value": "2"}]),
        (PatchType.APPLY, {**config_map("one", {"b": "2"})}),
    ],
)
def test_every_kind_of_patch(box: Any, kind: Any, patch: Any) -> None:
    box.create(a_map("one", a="1"))
    assert box.patch(ConfigMap, "one", patch, patch_type=kind).data == {"a": "1", "b": "2"}


def test_server_side_apply_tells_whose_field_it_is(box: Any) -> None:
    wanted = ConfigMap(
        apiVersion="v1",
        kind="ConfigMap",
        metadata=ObjectMeta(name="one", namespace=NS),
        data={"a": "1"},
    )
    assert box.apply(wanted).data == {"a": "1"}
    wanted.data = {"a": "2"}
    with pytest.raises(ApiError, match='conflict with "me"') as caught:
        box.apply(wanted, field_manager="you")
    details: Any = caught.value.status.details
    assert [cause.reason for cause in details.causes] == ["FieldManagerConflict"]
    assert box.apply(wanted, field_manager="you", force=True).data == {"a": "2"}


def test_a_watch_is_taken_up_again_when_the_server_ends_it(
    petset_cluster: RunningCluster, box: Any
) -> None:
    start = box.create(a_map("zero")).metadata.resourceVersion
    for name in "abc":
        box.create(a_map(name))
    box.delete(ConfigMap, "a")
    petset_cluster.faults.add(verb="watch", resource="configmaps", cut="end", events=1, times=2)
    seen = []
    for kind, obj in box.watch(ConfigMap, resource_version=start):
        seen.append((kind, obj.metadata.name))
        if len(seen) == 4:
            break
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c"), ("DELETED", "a")]


def test_a_stateful_set_gets_ready_scales_and_goes(
    petset_cluster: RunningCluster, box: Any
) -> None:
    text = yaml.safe_dump_all([service(), stateful_set()])
    made = [box.create(obj) for obj in codecs.load_all_yaml(text)]
    assert [type(obj) for obj in made] == [Service, StatefulSet]
    assert isinstance(made[1].spec, StatefulSetSpec)
    petset_cluster.wait_for(lambda: petset_cluster.ready("statefulsets.apps", "web"))
    pod = box.wait(Pod, "web-1", for_conditions=["Ready"])
    assert pod.status.phase == "Running"
    scale = StatefulSet.Scale(metadata=ObjectMeta(name="web", namespace=NS), spec=ScaleSpec(1))
    assert box.replace(scale).spec.replicas == 1
    petset_cluster.wait_for(lambda: names(box.list(Pod)) == ["web-0"])
    petset_cluster.wait_for(lambda: box.get(StatefulSet.Status, "web").status.readyReplicas == 1)
    box.delete(StatefulSet, "web", cascade=CascadeType.FOREGROUND)
    petset_cluster.wait_for(lambda: not names(box.list(Pod)))


async def test_the_async_client(petset_async_cluster: Cluster) -> None:
    settings = NAMED(petset_async_cluster.kubeconfig)
    async with AsyncClient(config=settings, field_manager="me") as made:
        box: Any = made
        for document in codecs.load_all_yaml(yaml.safe_dump_all([service(), stateful_set()])):
            await box.apply(document)
        seen: list[tuple[str, str]] = []
        async for kind, obj in box.watch(Pod, labels={"app": "web"}):
            seen.append((kind, obj.metadata.name))
            conditions = obj.status.conditions or []
            if obj.metadata.name == "web-1" and any(
                c.type == "Ready" and c.status == "True" for c in conditions
            ):
                break
        assert [name for kind, name in seen if kind == "ADDED"] == ["web-0", "web-1"]
        assert [pod.metadata.name async for pod in box.list(Pod)] == ["web-0", "web-1"]
        await box.wait(Pod, "web-0", for_conditions=["Ready"])
        await box.deletecollection(Pod)
        await box.delete(StatefulSet, "web")
