"""`kubernetes_asyncio`: typed, watches that resume, the dynamic client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from kubernetes_asyncio import client, config, dynamic, watch
from kubernetes_asyncio.client.exceptions import ApiException

from petset.testing.cluster import Cluster
from tests.clients.manifests import CONFLICT, NS, config_map, service, stateful_set


@pytest.fixture
async def api(petset_async_cluster: Cluster) -> AsyncIterator[Any]:
    made = await cast(Any, config).new_client_from_config(
        config_file=str(petset_async_cluster.kubeconfig)
    )
    async with made:
        yield made


@pytest.fixture
async def core(api: Any) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture
async def apps(api: Any) -> Any:
    return client.AppsV1Api(api)


async def make_maps(core: Any, *names: str) -> None:
    for name in names:
        await core.create_namespaced_config_map(NS, config_map(name, tier="a"))


def names(listed: Any) -> list[str]:
    return [item.metadata.name for item in listed.items]


async def test_an_old_copy_cannot_overwrite_a_newer_one(core: Any) -> None:
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="one"), data={"a": "1"})
    made = await core.create_namespaced_config_map(NS, body)
    made.data["a"] = "2"
    await core.replace_namespaced_config_map("one", NS, made)
    with pytest.raises(ApiException) as caught:
        await core.replace_namespaced_config_map("one", NS, made)
    assert caught.value.status == 409
    assert CONFLICT in str(caught.value.body)
    await core.delete_namespaced_config_map("one", NS)
    with pytest.raises(ApiException) as caught:
        await core.read_namespaced_config_map("one", NS)
    assert caught.value.status == 404


async def test_lists_select_and_come_in_pages(core: Any) -> None:
    await make_maps(core, "a", "b", "c")
    listed = core.list_namespaced_config_map
    assert names(await listed(NS, label_selector="tier=a")) == ["a", "b", "c"]
    assert names(await listed(NS, field_selector="metadata.name!=a")) == [
        "b",
        "c",
        "kube-root-ca.crt",
    ]
    first = await listed(NS, limit=2, label_selector="tier")
    rest = await listed(NS, limit=2, label_selector="tier", _continue=first.metadata._continue)
    assert (names(first), names(rest)) == (["a", "b"], ["c"])
    assert not rest.metadata._continue


async def test_every_kind_of_patch(core: Any) -> None:
    await make_maps(core, "one")
    patch = core.patch_namespaced_config_map
    assert (await patch("one", NS, {"data": {"new": "1", "key": None}})).data == {"new": "1"}
    operations = [{"op": "replace", "path": "/data/new", "value": "2"}]
    assert (await patch("one", NS, operations)).data == {"new": "2"}
    merged = await patch("one", NS, {"data": None}, _content_type="application/merge-patch+json")
    assert merged.data is None
    applied = await patch(
        "one",
        NS,
        config_map("one", {"mine": "1"}),
        _content_type="application/apply-patch+yaml",
        field_manager="me",
        force=True,
    )
    assert applied.data == {"mine": "1"}
    assert [e.operation for e in applied.metadata.managed_fields if e.manager == "me"] == ["Apply"]


async def test_a_watch_goes_on_where_it_was_cut(petset_async_cluster: Cluster, core: Any) -> None:
    start = (await core.list_namespaced_config_map(NS)).metadata.resource_version
    await make_maps(core, "a", "b", "c")
    await core.delete_namespaced_config_map("a", NS)
    rule = petset_async_cluster.faults.add(
        verb="watch", resource="configmaps", cut="end", events=1, times=2
    )
    seen = []
    async with cast(Any, watch).Watch() as watcher:
        told = watcher.stream(core.list_namespaced_config_map, NS, resource_version=start)
        async for event in told:
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 4:
                watcher.stop()
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c"), ("DELETED", "a")]
    assert rule.hits == 2


async def test_a_stateful_set_gets_ready_scales_and_goes(
    petset_async_cluster: Cluster, core: Any, apps: Any
) -> None:
    cluster = petset_async_cluster
    await core.create_namespaced_service(NS, service())
    await apps.create_namespaced_stateful_set(NS, stateful_set())
    seen: list[tuple[int, int]] = []
    async with cast(Any, watch).Watch() as watcher:
        async for event in watcher.stream(apps.list_namespaced_stateful_set, NS):
            status = event["object"].status
            seen.append((status.ready_replicas or 0, status.replicas))
            if seen[-1] == (2, 2):
                watcher.stop()
    assert [ready for ready, _ in seen] == sorted(ready for ready, _ in seen)
    await apps.patch_namespaced_stateful_set_scale("web", NS, {"spec": {"replicas": 1}})
    await cluster.wait_for(lambda: cluster.names("pods") == ["web-0"])
    pods = await core.list_namespaced_pod(NS)
    assert pods.items[0].status.phase == "Running"
    await apps.delete_namespaced_stateful_set("web", NS)
    await cluster.wait_for(lambda: not cluster.names("pods"))


async def test_many_calls_at_a_time(core: Any) -> None:
    await asyncio.gather(*(make_maps(core, f"m{n}") for n in range(50)))
    assert len((await core.list_namespaced_config_map(NS, label_selector="tier")).items) == 50


async def _first(told: Any, count: int) -> AsyncIterator[Any]:
    for _ in range(count):
        yield await anext(told)
    await told.aclose()


async def test_the_dynamic_client_finds_kinds_by_discovery(api: Any, tmp_path: Path) -> None:
    found = await cast(Any, dynamic).DynamicClient(api, cache_file=str(tmp_path / "discovery"))
    maps = await found.resources.get(api_version="v1", kind="ConfigMap")
    await maps.create(body=config_map("one"), namespace=NS)
    changed = {"metadata": {"name": "one"}, "data": {"key": "new"}}
    await maps.patch(body=changed, namespace=NS)
    assert (await maps.get(name="one", namespace=NS)).data.key == "new"
    async with cast(Any, watch).Watch() as watcher:
        told = maps.watch(namespace=NS, timeout=20, watcher=watcher)
        assert "one" in [event["object"].metadata.name async for event in _first(told, 2)]
    await maps.delete(name="one", namespace=NS)
    assert "one" not in [item.metadata.name for item in (await maps.get(namespace=NS)).items]
