"""The EndpointSlice controller on a real server in process."""

from functools import partial
from typing import Any

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.endpointslice import controller
from petset.controllers.endpointslice.plan import Observed
from petset.reconcile.manager import Factory
from tests.unit.controllers.cluster import Cluster, cluster, ready_status

FACTORIES: list[tuple[str, Factory]] = [("endpointslice", controller.make)]
SLICES = "endpointslices.discovery.k8s.io"
LABELS = {"app": "nginx"}


def service(**spec: Any) -> MutableObj:
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "nginx", "namespace": "default"},
        "spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": "web"}], **spec},
    }


def pod(name: str) -> MutableObj:
    ports = [{"name": "web", "containerPort": 8080}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "labels": LABELS},
        "spec": {
            "nodeName": "n1",
            "hostname": name,
            "subdomain": "nginx",
            "containers": [{"name": "c", "image": "nginx", "ports": ports}],
        },
    }


async def make_ready(here: Cluster, name: str, address: str) -> None:
    await here.client.patch("pods", name, ready_status(address), "default", subresource="status")


def told(here: Cluster) -> dict[str, tuple[bool, str]]:
    slices = here.cache(SLICES).list("default")
    mine = [s for s in slices if meta.labels_of(s).get("kubernetes.io/service-name") == "nginx"]
    endpoints = [e for s in mine for e in s.get("endpoints") or ()]
    return {e["addresses"][0]: (e["conditions"]["ready"], e.get("zone", "")) for e in endpoints}


async def test_endpoints_follow_their_pods_and_go_with_the_service() -> None:
    async with cluster(FACTORIES) as here:
        await here.client.create("services", service(), "default")
        await here.client.create("pods", pod("a"), "default")
        await make_ready(here, "a", "10.128.0.2")
        await here.until(lambda: told(here) == {"10.128.0.2": (True, "")}, SLICES)
        zone = {"topology.kubernetes.io/zone": "z1"}
        node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1", "labels": zone}}
        await here.client.create("nodes", node)
        await here.until(lambda: told(here) == {"10.128.0.2": (True, "z1")}, SLICES)
        await here.client.patch("pods", "a", {"metadata": {"labels": {"app": "x"}}}, "default")
        await here.until(lambda: told(here) == {}, SLICES)
        await here.client.patch("pods", "a", {"metadata": {"labels": LABELS}}, "default")
        await here.until(lambda: told(here) == {"10.128.0.2": (True, "z1")}, SLICES)

        def own() -> list[Obj]:
            every = here.cache(SLICES).list("default")
            return [s for s in every if meta.name_of(s) != "kubernetes"]

        await here.until(lambda: len(own()) == 1, SLICES)  # the one it replaces goes last
        (slice_,) = own()
        assert slice_["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
        legacy = await here.client.get("endpoints", "nginx", "default")
        assert legacy["subsets"][0]["addresses"][0]["ip"] == "10.128.0.2"
        await here.client.delete("services", "nginx", "default")
        await here.gone("endpoints", "nginx")
        await here.gone(SLICES, meta.name_of(slice_))
        await here.exists("endpoints", "kubernetes")
        await here.exists(SLICES, "kubernetes")


async def test_a_pod_that_goes_serves_on_but_is_not_ready() -> None:
    async with cluster(FACTORIES) as here:
        await here.client.create("services", service(clusterIP="None"), "default")
        await here.client.create("pods", pod("a"), "default")
        await make_ready(here, "a", "10.128.0.2")
        await here.client.delete("pods", "a", "default")

        def leaving() -> bool:
            found = [
                e["conditions"]
                for s in here.cache(SLICES).list("default")
                for e in s.get("endpoints") or ()
                if "targetRef" in e
            ]
            return found == [{"ready": False, "serving": True, "terminating": True}]

        await here.until(leaving, SLICES)


async def test_unready_pods_are_published_where_the_service_says_so() -> None:
    async with cluster(FACTORIES) as here:
        wanted = service(clusterIP="None", publishNotReadyAddresses=True)
        await here.client.create("services", wanted, "default")
        await here.client.create("pods", pod("a"), "default")
        status = ready_status("10.128.0.2")
        status["status"]["conditions"][0]["status"] = "False"
        await here.client.patch("pods", "a", status, "default", subresource="status")
        await here.until(lambda: told(here) == {"10.128.0.2": (True, "")}, SLICES)


async def test_a_service_that_selects_otherwise_has_other_endpoints() -> None:
    async with cluster(FACTORIES) as here:
        await here.client.create("pods", pod("a"), "default")
        await make_ready(here, "a", "10.128.0.2")
        await here.client.create("services", service(selector={"app": "x"}), "default")
        other = pod("b")
        other["metadata"]["labels"] = {"app": "x", "more": "1"}
        await here.client.create("pods", other, "default")
        await make_ready(here, "b", "10.128.0.3")
        await here.until(lambda: told(here) == {"10.128.0.3": (True, "")}, SLICES)
        patch: MutableObj = {"spec": {"selector": LABELS}}
        await here.client.patch("services", "nginx", patch, "default")
        await here.until(lambda: told(here) == {"10.128.0.2": (True, "")}, SLICES)
        await here.client.delete("pods", "a", "default", grace_s=0)
        await here.until(lambda: told(here) == {}, SLICES)


def is_labelled(here: Cluster, name: str, value: str) -> bool:
    return meta.labels_of(here.cache("pods").get("default", name) or {}).get("x") == value


async def test_a_service_is_planned_for_what_can_change_its_endpoints_only() -> None:
    planned: list[str] = []

    class Counted(controller.EndpointSlices):
        async def observe(self, key: str) -> Observed:
            planned.append(key)
            return await super().observe(key)

    async with cluster([("endpointslice", Counted)]) as here:
        await here.client.create("services", service(), "default")
        await here.client.create("pods", pod("a"), "default")
        await make_ready(here, "a", "10.128.0.1")
        await here.until(lambda: told(here) == {"10.128.0.1": (True, "")}, SLICES)
        await make_ready(here, "a", "10.128.0.2")
        await here.until(lambda: told(here) == {"10.128.0.2": (True, "")}, SLICES)
        quiet = service(selector={"app": "quiet"})
        quiet["metadata"]["name"] = "quiet"
        await here.client.create("services", quiet, "default")
        await here.until(lambda: "default/quiet" in planned, SLICES)
        before = len(planned)
        silent = pod("b")  # it has no address yet
        silent["metadata"]["labels"] = {"app": "quiet"}
        await here.client.create("pods", silent, "default")
        for number in "123456":
            patch: MutableObj = {"metadata": {"labels": {"x": number}}}
            await here.client.patch("pods", "b", patch, "default")
            await here.until(partial(is_labelled, here, "b", number), "pods")
        await make_ready(here, "a", "10.128.0.3")
        await here.until(lambda: told(here) == {"10.128.0.3": (True, "")}, SLICES)
        await make_ready(here, "a", "10.128.0.4")
        await here.until(lambda: told(here) == {"10.128.0.4": (True, "")}, SLICES)
        assert planned[before:].count("default/quiet") <= 1  # (which may follow its own slice)
        # A change is planned once, or twice if the next one comes while its plan is carried out.
        assert 2 <= planned[before:].count("default/nginx") <= 4
        name = next(
            meta.name_of(s)
            for s in here.cache(SLICES).list("default")
            if meta.labels_of(s).get("kubernetes.io/service-name") == "nginx"
        )
        gone: MutableObj = {"endpoints": None}
        await here.client.patch(SLICES, name, gone, "default")  # somebody else's change is undone
        await here.until(lambda: told(here) == {}, SLICES)
        await here.until(lambda: told(here) == {"10.128.0.4": (True, "")}, SLICES)
        assert 3 <= planned[before:].count("default/nginx") <= 6


async def test_endpoints_that_somebody_wrote_go_with_the_service_and_may_come_before_it() -> None:
    subsets = [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]
    metadata = {"name": "nginx", "namespace": "default"}
    by_hand = {"kind": "Endpoints", "apiVersion": "v1", "metadata": metadata, "subsets": subsets}
    async with cluster(FACTORIES) as here:
        cached, known = here.cache("endpoints"), here.cache("services")
        for _ in range(2):
            await here.client.create("endpoints", by_hand, "default")
            await here.until(lambda: cached.get("default", "nginx"), "endpoints")
            await here.client.create("services", service(selector=None), "default")
            await here.until(lambda: known.get("default", "nginx"), "services")
            assert cached.get("default", "nginx") is not None
            await here.client.delete("services", "nginx", "default")
            await here.gone("endpoints", "nginx")
