"""The cluster that tests of other software start: life, reset, time, faults over real HTTPS."""

import asyncio
import base64
import json
import ssl
import threading
import urllib.request
from contextlib import aclosing
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from petset.api.errors import StatusError
from petset.testing.cluster import Cluster, RunningCluster, running_cluster
from petset.testing.fakepod import Script
from petset.testing.scenario import stateful_set

SET = "statefulsets.apps"
MAP = "{kind: ConfigMap, apiVersion: v1, metadata: {name: one}}"


def apply_set(cluster: RunningCluster, **more: Any) -> None:
    for obj in stateful_set("web", **more):
        cluster.apply(obj)


async def test_the_async_form_lives_and_dies_with_its_block() -> None:
    before = set(threading.enumerate())
    async with Cluster(nodes=2) as cluster:
        for obj in stateful_set("web", replicas=2):
            await cluster.apply(obj)
        await cluster.wait_for(lambda: cluster.ready(SET, "web"))
        pods = await cluster.client.list("pods", "default")
        assert [p["metadata"]["name"] for p in pods.items] == ["web-0", "web-1"]
        assert cluster.names("nodes") == ["n1", "n2"]
        assert cluster.kubeconfig.stat().st_mode & 0o077 == 0
        directory = cluster.kubeconfig.parent
    assert not directory.exists()
    assert set(threading.enumerate()) <= before


def test_what_goes_wrong_at_the_start_is_told_at_the_start() -> None:
    def broken(context: Any) -> Any:
        raise RuntimeError("no such controller")

    with (
        pytest.raises(RuntimeError, match="no such controller"),
        running_cluster(controllers=[("broken", broken)]),
    ):
        raise AssertionError("unreachable")


def test_a_reset_brings_back_the_fresh_state_and_revisions_go_on() -> None:
    with running_cluster() as cluster:
        fresh = {r: cluster.names(r) for r in ("namespaces", "nodes", "services", "configmaps")}
        apply_set(cluster)
        cluster.wait_for(lambda: cluster.ready(SET, "web"))
        cluster.faults.add(resource="pods", status=500)
        cluster.script("*", Script(ready_s=None))
        before = cluster.run(_revision)
        cluster.reset()
        assert {r: cluster.names(r) for r in fresh} == fresh
        assert cluster.names("pods") == cluster.names(SET) == []
        assert cluster.run(_revision) > before
        assert not cluster.faults.rules
        apply_set(cluster)
        cluster.wait_for(lambda: cluster.ready(SET, "web"))


async def _revision(world: Any) -> int:
    return int(world.store.revision)


async def test_a_reset_ends_watches_and_tells_resumed_ones_that_the_past_is_gone() -> None:
    async with Cluster() as cluster:
        made = (await cluster.apply(MAP))[0]
        seen = []

        async def watch(version: str) -> None:
            stream = cluster.client.watch("configmaps", "default", resource_version=version)
            async with aclosing(stream):
                async for event in stream:
                    seen.append(event.type)  # noqa: PERF401 (it is looked at meanwhile)

        task = asyncio.create_task(watch(made["metadata"]["resourceVersion"]))
        await cluster.client.delete("configmaps", "one", "default")
        await cluster.wait_for(lambda: seen == ["DELETED"])
        await cluster.reset()
        await task
        with pytest.raises(StatusError) as caught:
            await watch(made["metadata"]["resourceVersion"])
        assert caught.value.code == 410


def test_time_moves_on_command_with_all_that_happens_in_it() -> None:
    with running_cluster(nodes=2) as cluster:
        apply_set(cluster, replicas=1)
        cluster.wait_for(lambda: cluster.ready(SET, "web"))
        began = cluster.now()
        cluster.advance(600)
        assert 590 < cluster.now() - began < 660
        assert all(_is_ready(node) for node in cluster.objects("nodes"))
        cluster.lose_node("n1")
        cluster.lose_node("n2")
        cluster.advance(60)
        assert not any(_is_ready(node) for node in cluster.objects("nodes"))
        cluster.start_node("n1")
        cluster.wait_for(lambda: any(_is_ready(node) for node in cluster.objects("nodes")))


def _is_ready(node: Any) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def test_a_wait_that_comes_to_nothing_tells_what_happened() -> None:
    with running_cluster() as cluster:
        cluster.apply(MAP)
        with pytest.raises(TimeoutError, match="created configmaps/default/one"):
            cluster.wait_for(lambda: False, timeout_s=0.01)


def test_a_wait_gives_what_was_found_and_may_ask_over_http() -> None:
    with running_cluster() as cluster:
        cluster.apply(MAP)
        found = cluster.wait_for(lambda: call(cluster, "GET", "/api/v1/configmaps")[1]["items"])
        assert "one" in [item["metadata"]["name"] for item in found]


def test_apply_merges_into_what_is_there() -> None:
    with running_cluster() as cluster:
        apply_set(cluster, replicas=2)
        cluster.wait_for(lambda: cluster.ready(SET, "web"))
        head = "kind: StatefulSet, apiVersion: apps/v1, metadata: {name: web}"
        cluster.apply(f"{{{head}, spec: {{replicas: 1}}}}")
        cluster.wait_for(lambda: cluster.names("pods") == ["web-0"])


def test_two_clusters_share_nothing() -> None:
    with running_cluster() as one, running_cluster(tls=False) as two:
        one.apply(MAP)
        assert two.get("configmaps", "one") is None
        assert one.url != two.url
        assert one.kubeconfig.parent != two.kubeconfig.parent


def call(cluster: RunningCluster, method: str, path: str, **headers: str) -> tuple[int, Any]:
    """A request over HTTP(S) as a client without any library makes it."""
    context = None
    if cluster.authority:
        context = ssl.create_default_context(cadata=cluster.authority.decode())
        directory = cluster.kubeconfig.parent
        context.load_cert_chain(*_client_files(cluster, directory))
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(f"{cluster.url}{path}", method=method, headers=named)
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, {"headers": dict(error.headers), **json.load(error)}


def _client_files(cluster: RunningCluster, directory: Path) -> tuple[Path, Path]:
    user = cluster.kubeconfig_dict()["users"][0]["user"]
    cert, key = directory / "test.crt", directory / "test.key"
    cert.write_bytes(base64.b64decode(user["client-certificate-data"]))
    key.write_bytes(base64.b64decode(user["client-key-data"]))
    return cert, key


def test_https_knows_its_users_and_faults_hit_one_client_only() -> None:
    with running_cluster() as cluster:
        rule = cluster.faults.add(
            verb="list", resource="pods", user_agent="victim/*", status=429, retry_after=3
        )
        status, body = call(cluster, "GET", "/api/v1/pods", User_Agent="victim/1.0")
        assert (status, body["reason"]) == (429, "TooManyRequests")
        assert body["headers"]["Retry-After"] == "3"
        assert call(cluster, "GET", "/api/v1/pods", User_Agent="other/1.0")[0] == 200
        assert rule.hits == 1


def test_the_clusters_own_parts_are_never_hit() -> None:
    with running_cluster() as cluster:
        for obj in stateful_set("web", replicas=2):
            cluster.apply(obj)
        with cluster.faults.during(resource="*", status=500) as rule:
            cluster.wait_for(lambda: cluster.ready(SET, "web"))
            assert call(cluster, "GET", "/api/v1/pods")[0] == 500
        assert rule.hits == 1


@pytest.mark.parametrize("tls", [True, False])
def test_answers_are_lost_and_watches_break_on_the_wire(tls: bool) -> None:
    with running_cluster(tls=tls) as cluster:
        cluster.apply(MAP)
        path = "/api/v1/namespaces/default/configmaps"
        lost = cluster.faults.add(verb="delete", resource="configmaps", cut="answer")
        with pytest.raises((ConnectionError, URLError)):
            call(cluster, "DELETE", f"{path}/one")
        assert (lost.hits, cluster.get("configmaps", "one")) == (1, None)
        cluster.apply(MAP)
        cluster.faults.add(verb="watch", resource="configmaps", cut="reset", events=0)
        with pytest.raises((IncompleteRead, ConnectionError)):
            call(cluster, "GET", f"{path}?watch=1")


async def test_a_slow_answer_waits_for_the_clusters_time() -> None:
    async with Cluster() as cluster:
        rule = cluster.faults.add(verb="list", resource="configmaps", delay_s=3600.0)
        listing = asyncio.create_task(cluster.client.list("configmaps"))
        await cluster.wait_for(lambda: rule.hits)
        assert not listing.done()
        await cluster.advance(3601)
        assert (await listing).items


def test_without_tls_everybody_is_the_administrator() -> None:
    with running_cluster(tls=False) as cluster:
        assert cluster.url.startswith("http://")
        assert call(cluster, "GET", "/api/v1/nodes")[0] == 200
