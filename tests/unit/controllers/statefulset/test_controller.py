"""The StatefulSet controller on a real server in process."""

from typing import Any

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.registry import CONTROLLERS
from petset.controllers.statefulset import controller
from petset.reconcile import podtemplate
from tests.unit.controllers.cluster import Cluster, cluster

FACTORIES = [("statefulset", controller.make)]
SETS = "statefulsets.apps"
REVISIONS = "controllerrevisions.apps"


def web(replicas: int = 3, image: str = "nginx:1", **spec: Any) -> MutableObj:
    labels = {"app": "nginx"}
    container = {"name": "nginx", "image": image}
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "serviceName": "nginx",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
            ],
            **spec,
        },
    }


def names(here: Cluster) -> list[str]:
    return [meta.name_of(p) for p in here.cache("pods").list("default")]


async def settled(here: Cluster, replicas: int) -> MutableObj:
    """Wait until the status of the set, as it is now, says that it is done; answers the set."""
    generation = (await here.client.get(SETS, "web", "default"))["metadata"]["generation"]

    def done() -> MutableObj | None:
        found = here.cache(SETS).get("default", "web") or {}
        status = found.get("status") or {}
        if status.get("observedGeneration") != generation:
            return None
        counts = {status.get(f"{word}eplicas") for word in ("r", "readyR", "updatedR")}
        same = status["currentRevision"] == status["updateRevision"]
        return dict(found) if counts == {replicas} and same else None

    found = await here.until(done, SETS)
    assert found is not None
    return found


async def test_pods_come_one_after_the_other_with_claims_and_names_and_go_in_reverse() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        told: list[str] = []

        def on_pod(old: Any, new: Any) -> None:
            if old is None:
                told.append(f"+{meta.name_of(new)}")
            elif new is None:
                told.append(f"-{meta.name_of(old)}")
            elif podtemplate.is_ready(new) and not podtemplate.is_ready(old):
                told.append(f"ready {meta.name_of(new)}")

        here.cache("pods").add_handler(on_pod)
        await here.client.create(SETS, web(3), "default")
        await settled(here, 3)
        steps = [[f"+web-{i}", f"ready web-{i}"] for i in range(3)]
        assert told == [word for pair in steps for word in pair]
        pod = await here.client.get("pods", "web-1", "default")
        assert pod["spec"]["hostname"] == "web-1"
        assert pod["spec"]["subdomain"] == "nginx"
        assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"
        claims = [v for v in pod["spec"]["volumes"] if v["name"] == "data"]
        assert claims[0]["persistentVolumeClaim"]["claimName"] == "data-web-1"
        told.clear()
        await here.client.patch(SETS, "web", {"spec": {"replicas": 1}}, "default")
        await settled(here, 1)
        assert told == ["-web-2", "-web-1"]
        listed = await here.client.list("persistentvolumeclaims", "default")
        assert [meta.name_of(c) for c in listed.items] == [f"data-web-{i}" for i in range(3)]


async def test_a_new_template_rolls_from_the_top_and_a_rollback_reuses_the_revision() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(SETS, web(2), "default")
        first = (await settled(here, 2))["status"]["currentRevision"]
        image = {"spec": {"template": web(2, "nginx:2")["spec"]["template"]}}
        await here.client.patch(SETS, "web", image, "default")
        second = (await settled(here, 2))["status"]["currentRevision"]
        assert second != first
        pods = (await here.client.list("pods", "default")).items
        assert [p["spec"]["containers"][0]["image"] for p in pods] == ["nginx:2"] * 2
        back = {"spec": {"template": web(2)["spec"]["template"]}}
        await here.client.patch(SETS, "web", back, "default")
        assert (await settled(here, 2))["status"]["currentRevision"] == first
        history = (await here.client.list("controllerrevisions.apps", "default")).items
        assert {meta.name_of(r): r["revision"] for r in history} == {first: 3, second: 2}


async def test_a_revision_that_arrives_late_is_put_in_its_place() -> None:
    """A request that was given up may arrive after all, when nothing else happens any more."""
    async with cluster(FACTORIES, kubelet=True) as here:
        made = web(1)
        made["spec"]["revisionHistoryLimit"] = 0
        await here.client.create(SETS, made, "default")
        await settled(here, 1)
        (listed,) = (await here.client.list(REVISIONS, "default")).items
        kept = {k: listed["metadata"][k] for k in ("labels", "ownerReferences")}
        late = {**listed, "metadata": {"name": "web-late", **kept}, "data": {"spec": {}}}
        await here.client.create(REVISIONS, late, "default")
        await here.gone(REVISIONS, "web-late")


async def test_a_deleted_pod_comes_back_with_its_name_and_claim_and_another_uid() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(SETS, web(2), "default")
        await settled(here, 2)
        old = await here.client.get("pods", "web-0", "default")
        claim = await here.client.get("persistentvolumeclaims", "data-web-0", "default")
        await here.client.delete("pods", "web-0", "default")

        def back() -> bool:
            pod = here.cache("pods").get("default", "web-0")
            return pod is not None and meta.uid_of(pod) != meta.uid_of(old)

        await here.until(back, "pods")
        await settled(here, 2)
        again = await here.client.get("persistentvolumeclaims", "data-web-0", "default")
        assert meta.uid_of(again) == meta.uid_of(claim)


async def test_orphans_are_adopted_and_pods_with_other_labels_are_let_go() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(SETS, web(1), "default")
        found = await settled(here, 1)
        pod = await here.client.get("pods", "web-0", "default")
        await here.client.patch("pods", "web-0", {"metadata": {"ownerReferences": None}}, "default")

        def adopted() -> bool:
            seen = here.cache("pods").get("default", "web-0") or {}
            controller_ref = meta.controller_of(seen)
            return controller_ref is not None and controller_ref["uid"] == meta.uid_of(found)

        await here.until(adopted, "pods")
        await here.client.patch(
            "pods", "web-0", {"metadata": {"labels": {"app": "other"}}}, "default"
        )
        await here.until(lambda: not adopted(), "pods")
        await here.client.delete("pods", "web-0", "default")

        def replaced() -> bool:
            seen = here.cache("pods").get("default", "web-0")
            return seen is not None and meta.uid_of(seen) != meta.uid_of(pod) and adopted()

        await here.until(replaced, "pods")


async def test_parallel_creates_all_pods_without_waiting() -> None:
    async with cluster(FACTORIES) as here:
        await here.client.create(SETS, web(5, podManagementPolicy="Parallel"), "default")
        await here.until(lambda: len(names(here)) == 5, "pods")


async def test_a_settled_set_is_not_written_again() -> None:
    async with cluster(CONTROLLERS, kubelet=True) as here:
        await here.client.create(SETS, web(2), "default")
        await settled(here, 2)
        before = await here.client.get(SETS, "web", "default")
        await here.client.patch(
            SETS, "web", {"metadata": {"annotations": {"note": "a"}}}, "default"
        )
        seen = here.cache(SETS)
        await here.until(
            lambda: "note" in meta.annotations_of(seen.get("default", "web") or {}), SETS
        )
        await here.client.patch(
            SETS, "web", {"metadata": {"annotations": {"note": "b"}}}, "default"
        )
        after = await here.client.get(SETS, "web", "default")
        assert after["status"] == before["status"]
        assert "FailedCreate" not in here.said.reasons()
