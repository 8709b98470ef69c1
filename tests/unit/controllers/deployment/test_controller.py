"""The Deployment controller, with the ReplicaSet controller, on a real server in process."""

from typing import Any

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.deployment import controller
from petset.controllers.replicaset import controller as replicaset
from petset.reconcile.manager import Factory
from tests.unit.controllers.cluster import Cluster, cluster

FACTORIES: list[tuple[str, Factory]] = [
    ("deployment", controller.make),
    ("replicaset", replicaset.make),
]
DEPLOYMENTS, SETS = "deployments.apps", "replicasets.apps"
REVISION = "deployment.kubernetes.io/revision"


def template(image: str) -> MutableObj:
    containers = [{"name": "c", "image": image}]
    return {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": containers}}


def api(**spec: Any) -> MutableObj:
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "api", "namespace": "default"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "api"}},
            "template": template("one"),
            **spec,
        },
    }


async def change(here: Cluster, **spec: Any) -> None:
    await here.client.patch(DEPLOYMENTS, "api", {"spec": spec}, "default")


async def settled(here: Cluster, replicas: int = 3) -> MutableObj:
    """Wait until the deployment as it is now has rolled out; answers it."""
    generation = (await here.client.get(DEPLOYMENTS, "api", "default"))["metadata"]["generation"]
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")

    def done() -> MutableObj | None:
        found = here.cache(DEPLOYMENTS).get("default", "api") or {}
        status = found.get("status") or {}
        counts = [status.get(name) or 0 for name in names]
        fits = status.get("observedGeneration") == generation and counts == [replicas] * 4
        return dict(found) if fits else None

    found = await here.until(done, DEPLOYMENTS)
    assert found is not None
    return found


def sizes(here: Cluster) -> dict[str, int]:
    """Size of each set by the image of its template."""
    listed = here.cache(SETS).list("default")
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
        for rs in listed
    }


def numbers(here: Cluster) -> dict[str, str]:
    listed = here.cache(SETS).list("default")
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: meta.annotations_of(rs)[REVISION]
        for rs in listed
    }


async def test_a_new_template_gets_a_set_of_its_own_and_going_back_uses_the_old_one() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(DEPLOYMENTS, api(), "default")
        found = await settled(here)
        (first,) = here.cache(SETS).list("default")
        hash_text = meta.labels_of(first)["pod-template-hash"]
        assert meta.name_of(first) == f"api-{hash_text}"
        assert first["spec"]["selector"]["matchLabels"]["pod-template-hash"] == hash_text
        assert meta.annotations_of(found)[REVISION] == "1"
        await change(here, template=template("two"))
        found = await settled(here)
        assert sizes(here) == {"one": 0, "two": 3}
        assert numbers(here) == {"one": "1", "two": "2"}
        await change(here, template=template("one"))
        found = await settled(here)
        await here.until(lambda: numbers(here) == {"one": "3", "two": "2"}, SETS)
        again = await here.client.get(SETS, meta.name_of(first), "default")
        assert meta.uid_of(again) == meta.uid_of(first)
        assert meta.annotations_of(again)["deployment.kubernetes.io/revision-history"] == "1"
        assert meta.annotations_of(found)[REVISION] == "3"
        assert set(here.said.reasons()) == {
            "ScalingReplicaSet",
            "SuccessfulCreate",
            "SuccessfulDelete",
        }


async def test_recreate_starts_new_pods_only_after_the_last_old_one_is_gone() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(DEPLOYMENTS, api(strategy={"type": "Recreate"}), "default")
        await settled(here)
        together: list[set[str]] = []

        def on_pod(old: Any, new: Any) -> None:
            pods = here.cache("pods").list("default")
            together.append({p["spec"]["containers"][0]["image"] for p in pods})

        here.cache("pods").add_handler(on_pod)
        await change(here, template=template("two"))
        await settled(here)
        assert {"one", "two"} not in together
        assert together[-1] == {"two"}


async def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(DEPLOYMENTS, api(), "default")
        await settled(here)
        await change(here, paused=True, template=template("two"))
        await change(here, replicas=5)
        await here.until(lambda: sizes(here) == {"one": 5}, SETS)
        cache = here.cache(DEPLOYMENTS)

        def reason() -> str:
            seen = cache.get("default", "api") or {}
            return str((meta.condition_of(seen, "Progressing") or {}).get("reason"))

        await here.until(lambda: reason() == "DeploymentPaused", DEPLOYMENTS)
        await change(here, paused=None)
        await settled(here, 5)
        assert sizes(here) == {"one": 0, "two": 5}
        await here.until(lambda: reason() == "NewReplicaSetAvailable", DEPLOYMENTS)


async def test_a_name_that_is_taken_leads_to_another_and_is_counted() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(DEPLOYMENTS, api(), "default")
        await settled(here)
        (first,) = here.cache(SETS).list("default")
        await here.client.delete(DEPLOYMENTS, "api", "default", propagation="Background")
        await here.gone(DEPLOYMENTS, "api")
        strange = {
            "metadata": {
                "labels": {"app": None, "pod-template-hash": None},
                "ownerReferences": None,
            }
        }
        await here.client.patch(SETS, meta.name_of(first), strange, "default")
        await here.client.create(DEPLOYMENTS, api(), "default")
        found = await settled(here)
        assert found["status"]["collisionCount"] == 1
        names = {meta.name_of(rs) for rs in here.cache(SETS).list("default")}
        assert len(names) == 2
        assert meta.name_of(first) in names


async def test_an_orphaned_set_is_adopted_with_its_pods() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(DEPLOYMENTS, api(), "default")
        await settled(here)
        before = {meta.uid_of(p) for p in here.cache("pods").list("default")}
        await here.client.delete(DEPLOYMENTS, "api", "default", propagation="Background")
        await here.gone(DEPLOYMENTS, "api")
        (first,) = here.cache(SETS).list("default")
        free = {"metadata": {"ownerReferences": None}}
        await here.client.patch(SETS, meta.name_of(first), free, "default")
        created = await here.client.create(DEPLOYMENTS, api(), "default")
        await settled(here)
        (adopted,) = here.cache(SETS).list("default")
        assert (meta.controller_of(adopted) or {})["uid"] == meta.uid_of(created)
        assert {meta.uid_of(p) for p in here.cache("pods").list("default")} == before


async def test_a_set_that_cannot_be_made_is_told_and_tried_again() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        made = api(replicas=1)
        # with the annotations that a set gets of its own there are too many bytes of them
        made["metadata"]["annotations"] = {"note": "x" * (256 * 1024 - 10)}
        await here.client.create(DEPLOYMENTS, made, "default")

        def refused() -> MutableObj | None:
            seen = here.cache(DEPLOYMENTS).get("default", "api") or {}
            condition = meta.condition_of(seen, "Progressing")
            return None if condition is None else dict(condition)

        condition = await here.until(refused, DEPLOYMENTS)
        assert condition is not None
        assert (condition["status"], condition["reason"]) == ("False", "ReplicaSetCreateError")
        assert condition["message"].startswith('Failed to create new replica set "api-')
        assert "metadata.annotations: Too long" in condition["message"]
        await here.until(lambda: "ReplicaSetCreateError" in here.said.reasons(), DEPLOYMENTS)
        shorter = {"metadata": {"annotations": {"note": "x"}}}
        await here.client.patch(DEPLOYMENTS, "api", shorter, "default")
        await settled(here, 1)
