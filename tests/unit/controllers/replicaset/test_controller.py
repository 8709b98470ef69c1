"""The ReplicaSet controller on a real server in process."""

import re
from typing import Any

from petset.api import meta
from petset.api.meta import MutableObj
from petset.base.clock import SystemClock
from petset.base.ids import Ids
from petset.controllers.replicaset import controller
from petset.controllers.replicaset.plan import is_active
from petset.reconcile.context import Config, Context
from tests.unit.controllers.cluster import Cluster, cluster

FACTORIES = [("replicaset", controller.make)]
SETS = "replicasets.apps"


def api(name: str = "api", replicas: int = 3, **spec: Any) -> MutableObj:
    labels = {"app": "api"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template,
            **spec,
        },
    }


def active(here: Cluster) -> list[str]:
    return [meta.name_of(p) for p in here.cache("pods").list("default") if is_active(p)]


async def settled(here: Cluster, replicas: int, name: str = "api") -> MutableObj:
    def done() -> MutableObj | None:
        found = here.cache(SETS).get("default", name) or {}
        status = found.get("status") or {}
        generation = (found.get("metadata") or {}).get("generation")
        counts = [status.get(f"{word}eplicas") or 0 for word in ("r", "readyR", "availableR")]
        fits = status.get("observedGeneration") == generation and counts == [replicas] * 3
        return dict(found) if fits else None

    found = await here.until(done, SETS)
    assert found is not None
    return found


async def test_pods_have_random_names_and_are_told_of() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(SETS, api(), "default")
        found = await settled(here, 3)
        names = active(here)
        assert len(names) == 3
        assert all(re.fullmatch(r"api-[a-z0-9]{5}", name) for name in names)
        pod = await here.client.get("pods", names[0], "default")
        assert pod["metadata"]["generateName"] == "api-"
        assert (meta.controller_of(pod) or {})["uid"] == meta.uid_of(found)

        def told() -> bool:
            words = {(r, m) for _, r, m in here.said.events}
            return words == {("SuccessfulCreate", f"Created pod: {name}") for name in names}

        await here.until(told, "pods")


async def test_a_removed_or_ended_pod_is_replaced_at_once() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(SETS, api(replicas=2), "default")
        await settled(here, 2)
        first, second = active(here)
        await here.client.delete("pods", first, "default")
        failed = {"status": {"phase": "Failed"}}
        await here.client.patch("pods", second, failed, "default", subresource="status")
        await here.until(lambda: not {first, second} & set(active(here)), "pods")
        await settled(here, 2)
        assert here.cache("pods").get("default", second) is not None, "an ended pod is kept"


async def test_scaling_down_removes_the_cheapest_pods() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(SETS, api(), "default")
        await settled(here, 3)
        dear = active(here)[1]
        mark = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "9"}}}
        await here.client.patch("pods", dear, mark, "default")
        marked = lambda: meta.annotations_of(here.cache("pods").get("default", dear) or {})  # noqa: E731
        await here.until(marked, "pods")
        await here.client.patch(SETS, "api", {"spec": {"replicas": 1}}, "default")
        await here.until(lambda: active(here) == [dear], "pods")
        await settled(here, 1)
        assert here.said.reasons().count("SuccessfulDelete") == 2


async def test_the_pods_of_all_sets_of_one_owner_are_looked_at_together() -> None:
    owner = {"kind": "Deployment", "apiVersion": "apps/v1", "name": "api", "uid": "d"}
    async with cluster(FACTORIES, kubelet=True) as here:
        for name, replicas in (("old", 2), ("new", 1), ("other", 1)):
            made = api(name, replicas)
            uid = "x" if name == "other" else "d"
            made["metadata"]["ownerReferences"] = [{**owner, "uid": uid, "controller": True}]
            await here.client.create(SETS, made, "default")
        for name, replicas in (("old", 2), ("new", 1), ("other", 1)):
            await settled(here, replicas, name)
        clock, ids = SystemClock(), Ids(1)
        ctx = Context(here.informers, here.client, clock, ids, lambda _: here.said, Config())
        seen = await controller.make(ctx).observe("default/old")
        assert seen is not None
        owners = [(meta.controller_of(pod) or {})["name"] for pod in seen.related]
        assert sorted(owners) == ["new", "old", "old"]


async def test_orphans_are_adopted_and_pods_with_other_labels_are_let_go() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        lone = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": "lone", "labels": {"app": "api"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        await here.client.create("pods", lone, "default")
        await here.client.create(SETS, api(replicas=2), "default")
        found = await settled(here, 2)
        assert "lone" in active(here)

        def owner() -> str:
            pod = here.cache("pods").get("default", "lone") or {}
            return str((meta.controller_of(pod) or {}).get("uid", ""))

        assert owner() == meta.uid_of(found)
        other = {"metadata": {"labels": {"app": "other"}}}
        await here.client.patch("pods", "lone", other, "default")
        await here.until(lambda: not owner(), "pods")
        await here.until(lambda: len(active(here)) == 3, "pods")
        await settled(here, 2)


async def test_a_refused_pod_is_told_in_the_status_until_it_can_be_made() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        made = api(replicas=1)
        made["spec"]["template"]["spec"]["priorityClassName"] = "absent"
        await here.client.create(SETS, made, "default")

        def failing() -> MutableObj | None:
            seen = here.cache(SETS).get("default", "api") or {}
            condition = meta.condition_of(seen, "ReplicaFailure")
            return None if condition is None else dict(condition)

        condition = await here.until(failing, SETS)
        assert condition is not None
        assert (condition["status"], condition["reason"]) == ("True", "FailedCreate")
        assert condition["message"].endswith("no PriorityClass with name absent was found")
        await here.until(lambda: "FailedCreate" in here.said.reasons(), SETS)
        first = {"kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "value": 1}
        await here.client.create(
            "priorityclasses.scheduling.k8s.io", {**first, "metadata": {"name": "absent"}}
        )
        found = await settled(here, 1)
        assert meta.condition_of(found, "ReplicaFailure") is None
