"""All controllers together on a real server in process."""

import asyncio
from pathlib import Path

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.registry import CONTROLLERS
from petset.reconcile import podtemplate
from petset.reconcile.context import Config
from tests.unit.controllers.cluster import Cluster, cluster

SETS, CLAIMS, SLICES = (
    "statefulsets.apps",
    "persistentvolumeclaims",
    "endpointslices.discovery.k8s.io",
)
LABELS = {"app": "nginx"}


def service() -> MutableObj:
    ports = [{"name": "web", "port": 80}]
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "nginx", "namespace": "default", "labels": LABELS},
        "spec": {"clusterIP": "None", "selector": LABELS, "ports": ports},
    }


def web(replicas: int, **retention: str) -> MutableObj:
    ports = [{"name": "web", "containerPort": 80}]
    mounts = [{"name": "www", "mountPath": "/usr/share/nginx/html"}]
    container = {"name": "nginx", "image": "nginx", "ports": ports, "volumeMounts": mounts}
    size = {"requests": {"storage": "1Gi"}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": size}
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "serviceName": "nginx",
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}},
            "volumeClaimTemplates": [{"metadata": {"name": "www"}, "spec": claim}],
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
                **retention,
            },
        },
    }


def budget() -> MutableObj:
    return {
        "kind": "PodDisruptionBudget",
        "apiVersion": "policy/v1",
        "metadata": {"name": "nginx", "namespace": "default"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}},
    }


def config(root: Path) -> Config:
    return Config(volumes_root=str(root / "volumes"), ca_text="CA")


async def ready(here: Cluster, replicas: int) -> None:
    cache = here.cache(SETS)

    def done() -> bool:
        status = (cache.get("default", "web") or {}).get("status") or {}
        return bool(status.get("readyReplicas") == status.get("replicas") == replicas)

    await here.until(done, SETS)


def told(here: Cluster) -> dict[str, bool]:
    """Hostname and readiness of each endpoint of the service."""
    slices = here.cache(SLICES).list("default")
    mine = [s for s in slices if meta.labels_of(s).get("kubernetes.io/service-name") == "nginx"]
    return {
        e["hostname"]: e["conditions"]["ready"] for s in mine for e in (s.get("endpoints") or ())
    }


async def test_a_set_with_service_volumes_and_budget_comes_up_and_then_nothing_is_written(
    tmp_path: Path,
) -> None:
    async with cluster(CONTROLLERS, config=config(tmp_path), kubelet=True) as here:
        await here.client.create("services", service(), "default")
        await here.client.create("poddisruptionbudgets.policy", budget(), "default")
        await here.client.create(SETS, web(3), "default")
        await ready(here, 3)
        names = {f"web-{i}": True for i in range(3)}
        await here.until(lambda: told(here) == names, SLICES)
        budgets = here.cache("poddisruptionbudgets.policy")

        def allowed() -> bool:
            status = (budgets.get("default", "nginx") or {}).get("status") or {}
            return bool(status.get("disruptionsAllowed") == 1)

        await here.until(allowed, "poddisruptionbudgets.policy")
        claims = (await here.client.list(CLAIMS, "default")).items
        assert {c["status"]["phase"] for c in claims} <= {"Bound", "Pending"}
        cache = here.cache(CLAIMS)
        bound = "Bound"
        await here.until(
            lambda: all(c["status"]["phase"] == bound for c in cache.list("default")), CLAIMS
        )
        assert len(list((tmp_path / "volumes").iterdir())) == 3
        before = await quiet(here)
        for name in ("statefulset", "endpointslice", "disruption"):
            for key in ("default/web", "default/nginx"):
                here.manager.loops[name].queue.add(key)
        for claim in claims:
            volume = f"pvc-{meta.uid_of(claim)}"
            here.manager.loops["volumebinder"].queue.add(f"claim/{meta.key_of(claim)}")
            here.manager.loops["volumebinder"].queue.add(f"volume/{volume}")
            here.manager.loops["garbage"].queue.add(f"{CLAIMS}|default|{meta.name_of(claim)}")
        here.manager.loops["namespace"].queue.add("default")
        assert await quiet(here) == before, "nothing at all was written"


async def quiet(here: Cluster) -> str:
    """Wait until no controller works and nothing is written; answers the store's revision."""
    last, same = "", 0
    while same < 5:
        await asyncio.sleep(0.02)
        now = (await here.client.list("nodes")).resource_version
        busy = any(loop.busy for loop in here.manager.loops.values())
        same = same + 1 if now == last and not busy else 0
        last = now
    return last


async def test_deleting_a_set_takes_its_pods_and_revisions_and_leaves_the_claims(
    tmp_path: Path,
) -> None:
    async with cluster(CONTROLLERS, config=config(tmp_path), kubelet=True) as here:
        await here.client.create(SETS, web(2), "default")
        await ready(here, 2)
        await here.client.delete(SETS, "web", "default")
        for name in ("web-0", "web-1"):
            await here.gone("pods", name)
        revisions = here.cache("controllerrevisions.apps")
        await here.until(lambda: not revisions.list("default"), "controllerrevisions.apps")
        assert len((await here.client.list(CLAIMS, "default")).items) == 2


async def test_orphaned_pods_run_on_and_a_new_set_adopts_them(tmp_path: Path) -> None:
    async with cluster(CONTROLLERS, config=config(tmp_path), kubelet=True) as here:
        await here.client.create(SETS, web(2), "default")
        await ready(here, 2)
        before = (await here.client.list("pods", "default")).items
        await here.client.delete(SETS, "web", "default", propagation="Orphan")
        await here.gone(SETS, "web")
        await here.client.create(SETS, web(2), "default")
        await ready(here, 2)
        after = (await here.client.list("pods", "default")).items
        assert [meta.uid_of(p) for p in after] == [meta.uid_of(p) for p in before]


async def test_claims_go_with_a_scale_down_or_the_set_where_the_policy_says_so(
    tmp_path: Path,
) -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    async with cluster(CONTROLLERS, config=config(tmp_path), kubelet=True) as here:
        await here.client.create(SETS, web(2, **policy), "default")
        await ready(here, 2)
        pod = await here.client.get("pods", "web-0", "default")
        claim = await here.client.get(CLAIMS, "www-web-0", "default")
        await here.client.delete("pods", "web-0", "default")
        pods = here.cache("pods")

        def again() -> bool:
            found = pods.get("default", "web-0") or {}
            return podtemplate.is_ready(found) and meta.uid_of(found) != meta.uid_of(pod)

        await here.until(again, "pods")
        kept = await here.client.get(CLAIMS, "www-web-0", "default")
        assert meta.uid_of(kept) == meta.uid_of(claim), "a replaced pod keeps its claim"
        await here.client.patch(SETS, "web", {"spec": {"replicas": 1}}, "default")
        await here.gone(CLAIMS, "www-web-1")
        await here.exists(CLAIMS, "www-web-0")
        await here.client.patch(SETS, "web", {"spec": {"replicas": 2}}, "default")
        await ready(here, 2)
        await here.client.delete(SETS, "web", "default")
        await here.gone(CLAIMS, "www-web-0")
        await here.gone(CLAIMS, "www-web-1")
        volumes = here.cache("persistentvolumes")
        await here.until(lambda: not volumes.list(), "persistentvolumes")
        assert list((tmp_path / "volumes").iterdir()) == []
