"""Mirroring on a real server in process, beside the EndpointSlice controller."""

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.endpointslice import controller as endpointslice
from petset.controllers.endpointslicemirroring import controller
from petset.reconcile.manager import Factory
from tests.unit.controllers.cluster import Cluster, cluster

FACTORIES: list[tuple[str, Factory]] = [
    ("endpointslice", endpointslice.make),
    ("endpointslicemirroring", controller.make),
]
SLICES = "endpointslices.discovery.k8s.io"


def service() -> MutableObj:
    ports = [{"name": "sql", "port": 5432}]
    metadata = {"name": "db", "namespace": "default"}
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"clusterIP": "None", "ports": ports},
    }


def endpoints(*addresses: str) -> MutableObj:
    ports = [{"name": "sql", "port": 5432}]
    subset = {"addresses": [{"ip": a} for a in addresses], "ports": ports}
    metadata = {"name": "db", "namespace": "default"}
    return {"kind": "Endpoints", "apiVersion": "v1", "metadata": metadata, "subsets": [subset]}


def told(here: Cluster) -> list[str]:
    slices = here.cache(SLICES).list("default")
    mine = [s for s in slices if meta.labels_of(s).get("kubernetes.io/service-name") == "db"]
    return sorted(a for s in mine for e in s.get("endpoints") or () for a in e["addresses"])


async def test_slices_follow_the_endpoints_of_a_service_without_selector() -> None:
    async with cluster(FACTORIES) as here:
        await here.client.create("endpoints", endpoints("192.0.2.1"), "default")
        await here.client.create("services", service(), "default")
        await here.until(lambda: told(here) == ["192.0.2.1"], SLICES)
        patch = {"subsets": endpoints("192.0.2.1", "192.0.2.2")["subsets"]}
        await here.client.patch("endpoints", "db", patch, "default")
        await here.until(lambda: told(here) == ["192.0.2.1", "192.0.2.2"], SLICES)
        (slice_,) = [s for s in here.cache(SLICES).list("default") if s["endpoints"][1:]]
        await here.client.delete(SLICES, meta.name_of(slice_), "default")
        await here.gone(SLICES, meta.name_of(slice_))
        await here.until(lambda: told(here) == ["192.0.2.1", "192.0.2.2"], SLICES)
        await here.client.delete("endpoints", "db", "default")
        await here.until(lambda: told(here) == [], SLICES)
        await here.exists("services", "db")


async def test_the_servers_own_endpoints_are_not_mirrored() -> None:
    async with cluster(FACTORIES) as here:
        await here.client.create("services", service(), "default")
        await here.client.create("endpoints", endpoints("192.0.2.1"), "default")
        await here.until(lambda: told(here) == ["192.0.2.1"], SLICES)
        slices = here.cache(SLICES).list("default")
        of = [meta.labels_of(s)["kubernetes.io/service-name"] for s in slices]
        assert sorted(of) == ["db", "kubernetes"]
