"""The Python client that most scripts use, against the server."""

import asyncio
from typing import Any, cast

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.conformance.cluster import Cluster


def _api(cluster: Cluster) -> Any:
    settings = client.Configuration()
    settings.host = cluster.url
    settings.ssl_ca_cert = str(cluster.authority.ca)
    settings.cert_file = str(cluster.home / "kubernetes-admin.pem")
    settings.key_file = str(cluster.home / "kubernetes-admin.key")
    return client.ApiClient(settings)


def _walk(cluster: Cluster) -> list[str]:
    """Bodies without kind and Content-Type, typed answers, selectors, patches, deletion."""
    with _api(cluster) as api:
        core: Any = client.CoreV1Api(api)
        apps: Any = client.AppsV1Api(api)
        core.create_namespaced_config_map(
            "default", {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}}
        )
        found = core.list_namespaced_config_map("default", label_selector="x=y")
        names = [item.metadata.name for item in found.items]
        patched = core.patch_namespaced_config_map("a", "default", {"data": {"k": "w"}})
        assert patched.data == {"k": "w"}
        labels = {"app": "s"}
        spec = {
            "serviceName": "s",
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        }
        apps.create_namespaced_stateful_set("default", {"metadata": {"name": "s"}, "spec": spec})
        scale = apps.read_namespaced_stateful_set_scale("s", "default")
        scale.spec.replicas = 3
        apps.replace_namespaced_stateful_set_scale("s", "default", scale)
        assert apps.read_namespaced_stateful_set("s", "default").spec.replicas == 3
        with pytest.raises(ApiException) as caught:
            core.read_namespaced_pod("none", "default")
        assert caught.value.status == 404
        core.delete_namespaced_config_map("a", "default")
        return names


def _watch(cluster: Cluster) -> list[tuple[str, str]]:
    with _api(cluster) as api:
        core: Any = client.CoreV1Api(api)
        watcher = cast(Any, watch).Watch()
        seen: list[tuple[str, str]] = []
        for name in ("a", "b"):
            core.create_namespaced_config_map("default", {"metadata": {"name": name}})
        stream = watcher.stream(core.list_namespaced_config_map, "default", timeout_seconds=10)
        for event in stream:
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 2:
                core.delete_namespaced_config_map("a", "default")
            if event["type"] == "DELETED":
                watcher.stop()
        return seen


async def test_typed_calls(cluster: Cluster) -> None:
    assert await asyncio.to_thread(_walk, cluster) == ["a"]


async def test_watch(cluster: Cluster) -> None:
    seen = await asyncio.to_thread(_watch, cluster)
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
