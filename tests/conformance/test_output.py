"""What people read: output forms, describe, watches, errors' words."""

import asyncio
import json

import pytest

from tests.conformance.cluster import Cluster, Kubectl
from tests.conformance.manifests import DEPLOYMENT, MAP, POD, WEB


async def test_every_output_form(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=POD)
    wide = await newest.run("get", "pods", "-o", "wide")
    assert wide.lines[0][:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert wide.lines[0][5:7] == ["IP", "NODE"]
    assert wide.lines[1][:4] == ["one", "0/1", "Pending", "0"]
    assert (await newest.run("get", "pods", "-o", "name")).out == "pod/one\n"
    assert (await newest.run("get", "pod", "one", "-o", "json")).json["kind"] == "Pod"
    listed = (await newest.run("get", "pods", "-o", "json")).json
    assert [item["metadata"]["name"] for item in listed["items"]] == ["one"]
    assert "kind: Pod" in (await newest.run("get", "pod", "one", "-o", "yaml")).out
    columns = await newest.run("get", "pods", "-o", "custom-columns=N:.metadata.name")
    assert columns.out == "N\none\n"
    template = await newest.run("get", "pods", "-o", "go-template={{len .items}}")
    assert template.out == "1"
    ordered = await newest.run("get", "pods", "--sort-by=.metadata.name")
    assert ordered.lines[1][0] == "one"
    everywhere = await newest.run("get", "pods", "-A")
    assert everywhere.lines[1][:2] == ["default", "one"]


async def test_lists_come_in_chunks(newest: Kubectl) -> None:
    for number in range(5):
        await newest.run("create", "-f", "-", stdin=MAP.replace("settings", f"m{number}"))
    listed = await newest.run("get", "cm", "--chunk-size=2", "-o", "name")
    assert listed.out.split() == [f"configmap/m{number}" for number in range(5)]


async def test_watch_shows_every_change(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=POD)
    async with newest.started("get", "pods", "-w", "--output-watch-events") as watching:
        out = watching.stdout
        assert out is not None
        async with asyncio.timeout(20):
            assert (await out.readline()).split()[:2] == [b"EVENT", b"NAME"]
            assert (await out.readline()).split()[:2] == [b"ADDED", b"one"]
            await newest.run("label", "pod", "one", "x=y")
            assert (await out.readline()).split()[:2] == [b"MODIFIED", b"one"]
            await newest.run("delete", "pod", "one", "--wait=false")
            assert (await out.readline()).split()[:2] == [b"DELETED", b"one"]


async def test_watch_of_one_object(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=MAP)
    async with newest.started("get", "cm", "settings", "-w", "-o", "name") as watching:
        out = watching.stdout
        assert out is not None
        async with asyncio.timeout(20):
            assert await out.readline() == b"configmap/settings\n"
            await newest.run("label", "cm", "settings", "x=y")
            assert await out.readline() == b"configmap/settings\n"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("svc/nginx", ["Name:                     nginx", "Selector:                 app=nginx"]),
        ("sts/web", ["Replicas:           3 desired", "Volume Claims:"]),
        ("ns/default", ["Status:       Active", "No resource quota."]),
        ("sc/standard", ["petset.dev/directory"]),
        ("priorityclass/system-node-critical", ["2000001000"]),
    ],
)
async def test_describe(newest: Kubectl, what: str, words: list[str]) -> None:
    await newest.run("apply", "-f", "-", stdin=WEB)
    described = await newest.run("describe", what)
    for text in words:
        assert text in described.out


async def test_describe_shows_events(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=POD)
    pod = (await newest.run("get", "pod", "one", "-o", "json")).json
    event = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": "one.1", "namespace": "default"},
        "involvedObject": {
            "kind": "Pod",
            "apiVersion": "v1",
            "name": "one",
            "namespace": "default",
            "uid": pod["metadata"]["uid"],
        },
        "reason": "Scheduled",
        "message": "Successfully assigned default/one to n1",
        "type": "Normal",
        "source": {"component": "default-scheduler"},
        "firstTimestamp": pod["metadata"]["creationTimestamp"],
        "lastTimestamp": pod["metadata"]["creationTimestamp"],
        "count": 1,
    }
    await newest.run("create", "-f", "-", stdin=json.dumps(event))
    described = await newest.run("describe", "pod", "one")
    assert "Successfully assigned default/one to n1" in described.out
    listed = await newest.run("get", "events")
    assert listed.lines[1][1:4] == ["Normal", "Scheduled", "pod/one"]
    for_pod = await newest.run("events", "--for", "pod/one")
    assert "Successfully assigned" in for_pod.out


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (POD.replace("image: busybox", "imagge: busybox"), 'unknown field "spec.containers[0]'),
        (POD.replace("name: one", "name: One"), "Invalid value"),
        (MAP.replace('{a: "1"}', "{a: 1}"), "cannot unmarshal number"),
        (DEPLOYMENT.replace("labels: {app: api}", "labels: {app: x}"), "selector` does not match"),
        (WEB.replace("storage: 1Gi", "storage: 1Gx"), "quantities must match"),
        ("a: b: c", "error converting YAML"),
    ],
)
async def test_bad_manifests_are_refused_in_words(
    newest: Kubectl, manifest: str, words: str
) -> None:
    refused = await newest.run("create", "-f", "-", stdin=manifest, check=False)
    assert refused.code == 1
    assert words in refused.err


async def test_errors_words(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=MAP)
    twice = await newest.run("create", "-f", "-", stdin=MAP, check=False)
    assert 'Error from server (AlreadyExists): error when creating "STDIN"' in twice.err
    assert 'configmaps "settings" already exists' in twice.err
    nowhere = await newest.run("create", "-n", "nope", "-f", "-", stdin=MAP, check=False)
    assert 'namespaces "nope" not found' in nowhere.err
    unknown = await newest.run("get", "nosuch", check=False)
    assert unknown.err.strip() == 'error: the server doesn\'t have a resource type "nosuch"'
    kept = await newest.run("delete", "ns", "default", check=False)
    assert "this namespace may not be deleted" in kept.err


async def test_strangers_are_sent_away(newest: Kubectl, cluster: Cluster) -> None:
    config = cluster.write_config(cluster.home / "stranger", None, None)
    stranger = Kubectl(newest.binary, config, cluster.home)
    refused = await stranger.run("get", "pods", check=False)
    assert refused.code == 1
    assert "Please enter Username" in refused.out
