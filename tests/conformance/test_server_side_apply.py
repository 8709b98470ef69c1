"""Server-side apply with every kubectl at hand: owners, conflicts, migration, diff."""

import json
from typing import Any

import pytest

from tests.conformance.cluster import Kubectl
from tests.conformance.manifests import MAP, WEB

SSA = ("apply", "--server-side", "-f", "-")


async def fetch(kubectl: Kubectl, what: str) -> Any:
    found = await kubectl.run("get", what, "-o", "json", "--show-managed-fields")
    return found.json


def owners(obj: Any) -> dict[str, Any]:
    return {
        f"{e['manager']}:{e['operation']}": e["fieldsV1"]
        for e in obj["metadata"].get("managedFields", ())
    }


def manifest(data: dict[str, str]) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings"},
            "data": data,
        }
    )


async def test_applying_creates_and_repeats_without_a_write(kubectl: Kubectl) -> None:
    first = await kubectl.run(*SSA, stdin=WEB)
    assert "statefulset.apps/web serverside-applied" in first.out
    made = await fetch(kubectl, "sts/web")
    await kubectl.run(*SSA, stdin=WEB)
    assert await fetch(kubectl, "sts/web") == made
    fields = owners(made)["kubectl:Apply"]
    assert "f:replicas" in fields["f:spec"]
    assert "f:podManagementPolicy" not in fields["f:spec"], "a default belongs to nobody"


async def test_conflicts_are_told_and_forced(kubectl: Kubectl) -> None:
    await kubectl.run(*SSA, "--field-manager=team", stdin=manifest({"a": "1", "b": "1"}))
    refused = await kubectl.run(*SSA, stdin=manifest({"a": "2"}), check=False)
    assert refused.code == 1
    assert 'Apply failed with 1 conflict: conflict with "team": .data.a' in refused.err
    assert "Please review the fields above--they currently have other managers" in refused.err
    several = await kubectl.run(*SSA, stdin=manifest({"a": "2", "b": "2"}), check=False)
    assert 'Apply failed with 2 conflicts: conflicts with "team":\n- .data.a\n- .data.b' in (
        several.err
    )
    forced = await kubectl.run(*SSA, "--force-conflicts", stdin=manifest({"a": "2"}))
    assert forced.out.strip() == "configmap/settings serverside-applied"
    found = await fetch(kubectl, "cm/settings")
    assert found["data"] == {"a": "2", "b": "1"}
    assert owners(found) == {
        "kubectl:Apply": {"f:data": {"f:a": {}}},
        "team:Apply": {"f:data": {"f:b": {}}},
    }


async def test_what_is_left_out_goes(kubectl: Kubectl) -> None:
    await kubectl.run(*SSA, stdin=manifest({"a": "1", "b": "1"}))
    await kubectl.run("label", "cm/settings", "x=y")
    await kubectl.run(*SSA, stdin=manifest({"b": "1"}))
    found = await fetch(kubectl, "cm/settings")
    assert (found["data"], found["metadata"]["labels"]) == ({"b": "1"}, {"x": "y"})


async def test_client_side_objects_move_to_server_side(kubectl: Kubectl) -> None:
    await kubectl.run("apply", "-f", "-", stdin=manifest({"a": "1", "gone": "1"}))
    before = owners(await fetch(kubectl, "cm/settings"))
    assert list(before) == ["kubectl-client-side-apply:Update"]
    await kubectl.run(*SSA, stdin=manifest({"a": "2"}))
    found = await fetch(kubectl, "cm/settings")
    assert found["data"] == {"a": "2"}, "the field of the client's time went with its manifest"
    after = owners(found)
    assert after["kubectl:Apply"] == {"f:data": {"f:a": {}}}
    assert "kubectl-client-side-apply:Update" not in after
    key = "kubectl.kubernetes.io/last-applied-configuration"
    assert json.loads(found["metadata"]["annotations"][key])["data"] == {"a": "2"}
    await kubectl.run("apply", "-f", "-", stdin=manifest({"a": "3"}))
    assert (await fetch(kubectl, "cm/settings"))["data"] == {"a": "3"}


async def test_diff_tells_what_an_apply_would_do(kubectl: Kubectl) -> None:
    await kubectl.run(*SSA, stdin=manifest({"a": "1"}))
    diff = ("diff", "--server-side", "-f", "-")
    same = await kubectl.run(*diff, stdin=manifest({"a": "1"}), check=False)
    assert (same.code, same.out) == (0, "")
    other = await kubectl.run(*diff, stdin=manifest({"a": "2"}), check=False)
    assert other.code == 1
    assert '-  a: "1"\n+  a: "2"' in other.out
    tried = await kubectl.run(*SSA, "--dry-run=server", stdin=manifest({"a": "5"}))
    assert "serverside-applied (server dry run)" in tried.out
    assert (await fetch(kubectl, "cm/settings"))["data"] == {"a": "1"}


async def test_a_status_is_applied_on_its_own(kubectl: Kubectl) -> None:
    if "--subresource=" not in (await kubectl.run("apply", "-h")).out:
        pytest.skip("this kubectl applies no subresources")
    made = json.loads(manifest({})) | {"kind": "PersistentVolumeClaim"}
    del made["data"]
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await kubectl.run(*SSA, stdin=json.dumps({**made, "spec": spec}))
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    words = (*SSA, "--subresource=status", "--field-manager=binder")
    await kubectl.run(*words, stdin=json.dumps({**made, "status": status}))
    found = await fetch(kubectl, "pvc/settings")
    assert found["status"] == status
    assert owners(found)["binder:Apply"] == {
        "f:status": {"f:phase": {}, "f:capacity": {"f:storage": {}}}
    }


async def test_managed_fields_are_shown_on_request_only(newest: Kubectl) -> None:
    await newest.run("create", "-f", "-", stdin=MAP)
    plain = await newest.run("get", "cm/settings", "-o", "yaml")
    assert "managedFields" not in plain.out
    shown = await newest.run("get", "cm/settings", "-o", "yaml", "--show-managed-fields")
    assert "manager: kubectl-create" in shown.out
    assert "fieldsType: FieldsV1" in shown.out


async def test_unknown_fields_are_refused(newest: Kubectl) -> None:
    text = manifest({"a": "1"}).replace('"data"', '"bogus": {}, "data"')
    refused = await newest.run(*SSA, stdin=text, check=False)
    assert refused.code == 1
    assert ".bogus: field not declared in schema" in refused.err


async def test_a_scaled_set_has_another_owner(newest: Kubectl) -> None:
    await newest.run(*SSA, stdin=WEB)
    await newest.run("scale", "sts/web", "--replicas=5")
    refused = await newest.run(*SSA, stdin=WEB, check=False)
    assert 'with subresource "scale" using apps/v1: .spec.replicas' in (refused.err)
    without = "\n".join(line for line in WEB.splitlines() if "replicas:" not in line)
    await newest.run(*SSA, stdin=without)
    found = await fetch(newest, "sts/web")
    assert found["spec"]["replicas"] == 5


async def test_edits_move_fields(newest: Kubectl) -> None:
    await newest.run(*SSA, stdin=manifest({"a": "1", "b": "1"}))
    patch = ("patch", "cm/settings", "--type=merge", "-p", '{"data":{"a":"9"}}')
    await newest.run(*patch)
    refused = await newest.run(*SSA, stdin=manifest({"a": "1", "b": "1"}), check=False)
    assert 'conflict with "kubectl-patch" using v1: .data.a' in refused.err
    await newest.run(*SSA, stdin=manifest({"b": "1"}))
    found = await fetch(newest, "cm/settings")
    assert found["data"] == {"a": "9", "b": "1"}
