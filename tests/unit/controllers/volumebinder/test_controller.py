"""The volume binder on a real server in process, with real directories."""

from pathlib import Path

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.volumebinder import controller
from petset.reconcile.context import Config
from petset.reconcile.manager import Factory
from tests.unit.controllers.cluster import Cluster, cluster

FACTORIES: list[tuple[str, Factory]] = [("volumebinder", controller.make)]
CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"


def claim(name: str, class_name: str | None = None) -> MutableObj:
    spec: MutableObj = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    if class_name is not None:
        spec["storageClassName"] = class_name
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def user(name: str, **metadata: object) -> MutableObj:
    """A pod on a node that uses the claim `data`."""
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    containers = [{"name": "c", "image": "nginx"}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"containers": containers, "volumes": volumes, "nodeName": "n1"},
    }


async def bound(here: Cluster, name: str) -> str:
    """Wait until the claim is bound; answers the volume's name."""
    cache = here.cache(CLAIMS)

    def volume() -> str:
        found = cache.get("default", name) or {}
        done = (found.get("status") or {}).get("phase") == "Bound"
        return str(found["spec"]["volumeName"]) if done else ""

    return await here.until(volume, CLAIMS)


async def waits(here: Cluster, name: str) -> None:
    """Wait until a claim is being deleted, and see that it stays while others are served."""
    cache = here.cache(CLAIMS)
    await here.until(lambda: meta.is_deleting(cache.get("default", name) or {}), CLAIMS)
    await here.client.create(CLAIMS, claim("probe"), "default")
    await bound(here, "probe")
    await here.exists(CLAIMS, name)


def config(root: Path) -> Config:
    return Config(volumes_root=str(root / "volumes"))


async def test_a_claim_of_the_default_class_gets_a_directory_that_goes_with_it(
    tmp_path: Path,
) -> None:
    async with cluster(FACTORIES, config=config(tmp_path)) as here:
        await here.client.create(CLAIMS, claim("data"), "default")
        name = await bound(here, "data")
        volume = await here.client.get(VOLUMES, name)
        path = Path(volume["spec"]["hostPath"]["path"])
        assert path.is_dir()
        assert path.parent == tmp_path / "volumes"
        assert volume["status"]["phase"] == "Bound"
        (path / "file").write_text("data")
        await here.client.delete(CLAIMS, "data", "default")
        await here.gone(VOLUMES, name, "")
        assert not path.exists()
        assert list(path.parent.iterdir()) == []


async def test_a_used_claim_waits_for_its_pod(tmp_path: Path) -> None:
    async with cluster(FACTORIES, config=config(tmp_path)) as here:
        await here.client.create(CLAIMS, claim("data"), "default")
        await bound(here, "data")
        await here.client.create("pods", user("p"), "default")
        await here.client.delete(CLAIMS, "data", "default")
        await waits(here, "data")
        await here.client.delete("pods", "p", "default", grace_s=0)
        await here.gone(CLAIMS, "data")


async def test_a_claim_goes_when_its_pod_is_shut_down_though_the_pod_stays(tmp_path: Path) -> None:
    async with cluster(FACTORIES, config=config(tmp_path)) as here:
        await here.client.create(CLAIMS, claim("data"), "default")
        await bound(here, "data")
        await here.client.create("pods", user("p", finalizers=["test/waits"]), "default")
        await here.client.delete("pods", "p", "default", grace_s=30)
        await here.client.delete(CLAIMS, "data", "default")
        await waits(here, "data")
        await here.client.delete("pods", "p", "default", grace_s=0)
        await here.gone(CLAIMS, "data")
        await here.exists("pods", "p")


async def test_a_volume_made_by_hand_is_bound_by_a_claim_without_class(tmp_path: Path) -> None:
    async with cluster(FACTORIES, config=config(tmp_path)) as here:
        volume = {
            "kind": "PersistentVolume",
            "apiVersion": "v1",
            "metadata": {"name": "hand"},
            "spec": {
                "capacity": {"storage": "2Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/data"},
            },
        }
        await here.client.create(CLAIMS, claim("data", ""), "default")
        await here.client.create(VOLUMES, volume)
        assert await bound(here, "data") == "hand"
        await here.client.delete(CLAIMS, "data", "default")
        cache = here.cache(VOLUMES)

        def phase() -> bool:
            status = (cache.get("", "hand") or {}).get("status") or {}
            return bool(status.get("phase") == "Released")

        await here.until(phase, VOLUMES)


async def test_expansion_is_granted(tmp_path: Path) -> None:
    async with cluster(FACTORIES, config=config(tmp_path)) as here:
        await here.client.create(CLAIMS, claim("data"), "default")
        await bound(here, "data")
        more = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
        await here.client.patch(CLAIMS, "data", more, "default")
        cache = here.cache(CLAIMS)

        def granted() -> bool:
            status = (cache.get("default", "data") or {}).get("status") or {}
            return bool(status.get("capacity") == {"storage": "3Gi"})

        await here.until(granted, CLAIMS)
