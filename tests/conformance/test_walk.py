"""Every kubectl at hand does what people do all day, against a server of its own."""

from tests.conformance.cluster import Kubectl
from tests.conformance.manifests import MAP, POD, WEB


async def test_apply_get_scale_delete(kubectl: Kubectl) -> None:
    applied = await kubectl.run("apply", "-f", "-", stdin=WEB)
    assert applied.out.splitlines() == ["service/nginx created", "statefulset.apps/web created"]
    before = await kubectl.run("get", "svc,sts", "-o", "jsonpath={..resourceVersion}")
    again = await kubectl.run("apply", "-f", "-", stdin=WEB)
    # kubectl sends a patch for the defaulted claim templates each time; it changes nothing.
    assert again.out.splitlines() == ["service/nginx unchanged", "statefulset.apps/web configured"]
    after = await kubectl.run("get", "svc,sts", "-o", "jsonpath={..resourceVersion}")
    assert after.out.split() == before.out.split()

    services = await kubectl.run("get", "svc")
    assert services.lines[0] == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert services.lines[2][:5] == ["nginx", "ClusterIP", "None", "<none>", "80/TCP"]

    sets = await kubectl.run("get", "sts", "web")
    assert sets.lines[1][:2] == ["web", "0/3"]

    scaled = await kubectl.run("scale", "sts/web", "--replicas=1")
    assert scaled.out.strip() == "statefulset.apps/web scaled"
    found = await kubectl.run("get", "sts", "web", "-o", "jsonpath={.spec.replicas}")
    assert found.out == "1"

    deleted = await kubectl.run("delete", "sts", "web", "--timeout=10s")
    assert deleted.out.strip() == 'statefulset.apps "web" deleted'
    gone = await kubectl.run("get", "sts", "web", check=False)
    assert gone.code == 1
    assert gone.err.strip() == 'Error from server (NotFound): statefulsets.apps "web" not found'


async def test_apply_of_a_change_patches(kubectl: Kubectl) -> None:
    await kubectl.run("apply", "-f", "-", stdin=POD)
    changed = POD.replace("image: busybox", "image: busybox:2")
    configured = await kubectl.run("apply", "-f", "-", stdin=changed)
    assert configured.out.strip() == "pod/one configured"
    image = await kubectl.run("get", "pod", "one", "-o", "jsonpath={.spec.containers[0].image}")
    assert image.out == "busybox:2"
    fixed = await kubectl.run(
        "apply", "-f", "-", stdin=POD.replace('value: "1"', 'value: "2"'), check=False
    )
    assert fixed.code == 1
    assert "spec: Forbidden: pod updates may not change fields other than" in fixed.err


async def test_labels_and_annotations(kubectl: Kubectl) -> None:
    await kubectl.run("create", "-f", "-", stdin=MAP)
    await kubectl.run("label", "cm", "settings", "tier=back")
    await kubectl.run("annotate", "cm", "settings", "note=hello")
    shown = await kubectl.run("get", "cm", "--show-labels", "-l", "tier=back")
    assert shown.lines[1][-1] == "tier=back"
    refused = await kubectl.run("label", "cm", "settings", "tier=front", check=False)
    assert refused.code == 1
    await kubectl.run("label", "cm", "settings", "tier-")
    empty = await kubectl.run("get", "cm", "-l", "tier")
    assert "No resources found" in empty.err
    note = await kubectl.run("get", "cm", "settings", "-o", "jsonpath={.metadata.annotations.note}")
    assert note.out == "hello"


async def test_a_list_manifest_is_applied(kubectl: Kubectl) -> None:
    text = (
        '{"kind":"List","apiVersion":"v1","items":['
        '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}},'
        '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b"}}]}'
    )
    applied = await kubectl.run("apply", "-f", "-", stdin=text)
    assert applied.out.splitlines() == ["configmap/a created", "configmap/b created"]


async def test_discovery(kubectl: Kubectl) -> None:
    resources = await kubectl.run("api-resources")
    assert ["statefulsets", "sts", "apps/v1", "true", "StatefulSet"] in resources.lines
    versions = await kubectl.run("api-versions")
    assert {"v1", "apps/v1", "policy/v1"} <= set(versions.out.split())
    explained = await kubectl.run("explain", "sts.spec.updateStrategy")
    assert "rollingUpdate" in explained.out
    version = await kubectl.run("version", "-o", "json")
    assert version.json["serverVersion"]["minor"] == "37"
