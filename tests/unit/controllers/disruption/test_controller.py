"""Budgets, their controller and evictions, on a real server in process."""

from typing import Any

import pytest

from petset.api import meta
from petset.api.errors import StatusError
from petset.controllers.disruption import controller as disruption
from petset.controllers.statefulset import controller as statefulset
from petset.reconcile.manager import Factory
from tests.unit.controllers.cluster import Cluster, cluster

FACTORIES: list[tuple[str, Factory]] = [
    ("disruption", disruption.make),
    ("statefulset", statefulset.make),
]
BUDGETS, SETS = "poddisruptionbudgets.policy", "statefulsets.apps"
LABELS = {"app": "web"}


def web(replicas: int) -> Any:
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }
    spec = {
        "serviceName": "web",
        "replicas": replicas,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": LABELS},
        "template": template,
    }
    metadata = {"name": "web", "namespace": "default"}
    return {"kind": "StatefulSet", "apiVersion": "apps/v1", "metadata": metadata, "spec": spec}


def budget(**spec: Any) -> Any:
    metadata = {"name": "b", "namespace": "default"}
    spec["selector"] = {"matchLabels": LABELS}
    kind = {"kind": "PodDisruptionBudget", "apiVersion": "policy/v1"}
    return {**kind, "metadata": metadata, "spec": spec}


async def allows(here: Cluster, count: int) -> None:
    cache = here.cache(BUDGETS)

    def told() -> bool:
        status = (cache.get("default", "b") or {}).get("status") or {}
        return bool(status.get("disruptionsAllowed") == count and status.get("expectedPods"))

    await here.until(told, BUDGETS)


async def evict(here: Cluster, name: str) -> None:
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name}}
    await here.client.create("pods", body, "default", name=name, subresource="eviction")


async def test_one_member_after_the_other_may_be_evicted() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(SETS, web(3), "default")
        await here.client.create(BUDGETS, budget(maxUnavailable=1), "default")
        await allows(here, 1)
        first = await here.client.get("pods", "web-0", "default")
        await evict(here, "web-0")
        with pytest.raises(StatusError) as refused:
            await evict(here, "web-1")
        assert refused.value.code == 429
        assert "disruption budget" in str(refused.value)

        def again() -> bool:
            found = here.cache("pods").get("default", "web-0")
            return found is not None and meta.uid_of(found) != meta.uid_of(first)

        await here.until(again, "pods")
        await allows(here, 1)
        await evict(here, "web-1")


async def test_a_budget_follows_the_size_of_the_set() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        await here.client.create(SETS, web(2), "default")
        await here.client.create(BUDGETS, budget(minAvailable="50%"), "default")
        await allows(here, 1)
        await here.client.patch(SETS, "web", {"spec": {"replicas": 4}}, "default")
        await allows(here, 2)
