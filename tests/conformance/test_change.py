"""Changing things with kubectl: patches, edits, rollouts, waits, deletions."""

import asyncio
import json
from pathlib import Path

from tests.conformance.cluster import Kubectl
from tests.conformance.manifests import DEPLOYMENT, MAP, POD, WEB


async def test_every_patch_type(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=DEPLOYMENT)
    where = ("patch", "deploy", "api")
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"s","image":"side"}]}}}}'
    await newest.run(*where, "-p", strategic)
    await newest.run(*where, "--type=merge", "-p", '{"spec":{"replicas":4}}')
    operations = '[{"op":"replace","path":"/spec/paused","value":true}]'
    failed = await newest.run(*where, "--type=json", "-p", operations, check=False)
    assert "The request is invalid" in failed.err
    await newest.run(*where, "--type=json", "-p", operations.replace("replace", "add"))
    spec = (await newest.run("get", "deploy", "api", "-o", "json")).json["spec"]
    names = [c["name"] for c in spec["template"]["spec"]["containers"]]
    assert (sorted(names), spec["replicas"], spec["paused"]) == (["c", "s"], 4, True)


async def test_status_is_patched_on_its_own(newest: Kubectl) -> None:
    await newest.run("apply", "-f", "-", stdin=WEB)
    await _set_status(newest, {"replicas": 3, "readyReplicas": 2, "observedGeneration": 1})
    listed = await newest.run("get", "sts", "web")
    assert listed.lines[1][:2] == ["web", "2/3"]
    found = (await newest.run("get", "sts", "web", "-o", "json")).json
    assert found["metadata"]["generation"] == 1


async def _set_status(kubectl: Kubectl, status: dict[str, object]) -> None:
    body = json.dumps({"status": status})
    await kubectl.run("patch", "sts", "web", "--subresource=status", "--type=merge", "-p", body)


async def test_edit_saves_what_the_editor_wrote(newest: Kubectl, tmp_path: Path) -> None:
    await newest.run("create", "-f", "-", stdin=MAP)
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\nsed -i "s/a: .*/a: changed/" "$1"\n')
    script.chmod(0o755)
    edited = await newest.run("edit", "cm", "settings", editor=str(script))
    assert edited.out.strip() == "configmap/settings edited"
    found = await newest.run("get", "cm", "settings", "-o", "jsonpath={.data.a}")
    assert found.out == "changed"


async def test_replace_and_conflicts(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=MAP)
    old = (await newest.run("get", "cm", "settings", "-o", "json")).json
    await newest.run("replace", "-f", "-", stdin=MAP.replace('"1"', '"2"'))
    refused = await newest.run(
        "patch",
        "cm",
        "settings",
        "--type=merge",
        "-p",
        json.dumps({"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}}),
        check=False,
    )
    assert "Error from server (Conflict): Operation cannot be fulfilled" in refused.err


async def test_rollout_status_history_undo(newest: Kubectl) -> None:
    await newest.run("apply", "-f", "-", stdin=WEB)
    await _set_status(newest, {"replicas": 3, "readyReplicas": 1, "observedGeneration": 1})
    waiting = await newest.run("rollout", "status", "sts/web", "--timeout=3s", check=False)
    assert "Waiting for 2 pods to be ready..." in waiting.out
    await _set_status(
        newest,
        {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 3, "observedGeneration": 1},
    )
    done = await newest.run("rollout", "status", "sts/web", "--timeout=20s")
    assert "partitioned roll out complete: 3 new pods have been updated..." in done.out
    await _make_revision(newest)
    history = await newest.run("rollout", "history", "sts/web")
    assert history.lines[2][0] == "1"
    undone = await newest.run("rollout", "undo", "sts/web", "--to-revision=1")
    assert undone.out.strip() == "statefulset.apps/web rolled back"
    found = (await newest.run("get", "sts", "web", "-o", "json")).json
    containers = found["spec"]["template"]["spec"]["containers"]
    assert containers[0]["image"] == "nginx:old"
    assert found["metadata"]["generation"] == 2


async def _make_revision(kubectl: Kubectl) -> None:
    web = (await kubectl.run("get", "sts", "web", "-o", "json")).json
    template = web["spec"]["template"]
    template["spec"]["containers"][0]["image"] = "nginx:old"
    revision = {
        "kind": "ControllerRevision",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": "web-1",
            "labels": {"app": "nginx"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "StatefulSet",
                    "name": "web",
                    "uid": web["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "data": {"spec": {"template": {**template, "$patch": "replace"}}},
        "revision": 1,
    }
    await kubectl.run("create", "-f", "-", stdin=json.dumps(revision))


async def test_rollout_restart_and_set_image(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=DEPLOYMENT)
    await newest.run("rollout", "restart", "deploy/api")
    await newest.run("set", "image", "deploy/api", "c=nginx:2")
    await newest.run("rollout", "pause", "deploy/api")
    found = (await newest.run("get", "deploy", "api", "-o", "json")).json
    template = found["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert template["spec"]["containers"][0]["image"] == "nginx:2"
    assert found["spec"]["paused"] is True


async def test_wait_sees_conditions_and_deletions(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=POD)
    late = await newest.run("wait", "--for=condition=Ready", "pod/one", "--timeout=3s", check=False)
    assert "timed out waiting for the condition on pods/one" in late.err
    waiting = asyncio.ensure_future(
        newest.run("wait", "--for=condition=Ready", "pod/one", "--timeout=20s")
    )
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    await newest.run(
        "patch", "pod", "one", "--subresource=status", "--type=merge", "-p", json.dumps(ready)
    )
    assert (await waiting).out.strip() == "pod/one condition met"
    gone = asyncio.ensure_future(newest.run("wait", "--for=delete", "pod/one", "--timeout=20s"))
    await newest.run("delete", "pod", "one")
    assert (await gone).code == 0


async def test_delete_waits_for_finalizers(newest: Kubectl) -> None:
    held = MAP.replace("name: settings", 'name: settings, finalizers: ["example.com/hold"]')
    await newest.run("create", "-f", "-", stdin=held)
    slow = await newest.run("delete", "cm", "settings", "--timeout=1s", check=False)
    assert slow.code == 1
    found = (await newest.run("get", "cm", "settings", "-o", "json")).json
    assert found["metadata"]["deletionTimestamp"]
    await newest.run(
        "patch", "cm", "settings", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
    left = await newest.run("get", "cm", "settings", check=False)
    assert "NotFound" in left.err


async def test_dry_run_leaves_nothing(newest: Kubectl) -> None:
    made = await newest.run("create", "--dry-run=server", "-f", "-", stdin=MAP)
    assert made.out.strip() == "configmap/settings created (server dry run)"
    left = await newest.run("get", "cm")
    assert "No resources found" in left.err
    different = await newest.run("diff", "-f", "-", stdin=MAP, check=False)
    assert different.code == 1
    assert "+  name: settings" in different.out


async def test_unready_nodes_are_drained_by_eviction(newest: Kubectl) -> None:
    node = '{"kind":"Node","apiVersion":"v1","metadata":{"name":"n1"}}'
    await newest.run("create", "-f", "-", stdin=node)
    bound = POD.replace("spec:", "spec:\n  nodeName: n1\n  terminationGracePeriodSeconds: 0")
    await newest.run("create", "-f", "-", stdin=bound)
    await newest.run("cordon", "n1")
    listed = await newest.run("get", "nodes")
    assert listed.lines[1][1].endswith("SchedulingDisabled")
    drained = await newest.run("drain", "n1", "--force", "--timeout=20s")
    assert "pod/one evicted" in drained.out
    await newest.run("uncordon", "n1")
