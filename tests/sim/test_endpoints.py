"""The EndpointSlice controller where its own writes come back to it late."""

from petset.api import meta
from petset.testing.breakable import CONTROL_WIRE, BreakableWorld
from petset.testing.clock import run_virtual
from petset.testing.world import ADMIN

SLICES = "endpointslices.discovery.k8s.io"
LABELS = {"app": "db"}
LATE_S = 20.0
"""Longer than a controller waits for its own writes."""
SERVICE = {
    "kind": "Service",
    "apiVersion": "v1",
    "metadata": {"name": "db"},
    "spec": {"clusterIP": "None", "selector": LABELS, "ports": [{"port": 80}]},
}
POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "db-0", "labels": LABELS},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}


def test_a_pod_that_is_ready_again_before_its_slice_is_seen_is_named_again() -> None:
    async def story() -> None:
        async with BreakableWorld(nodes=0) as world:

            def told() -> list[bool]:
                mine = [s for s in world.objects(SLICES, "default") if "endpoints" in s]
                named = [s for s in mine if meta.name_of(s) != "kubernetes"]
                return [e["conditions"]["ready"] for s in named for e in s["endpoints"]]

            async def be(ready: str) -> None:
                status = {
                    "phase": "Running",
                    "podIP": "10.128.0.2",
                    "podIPs": [{"ip": "10.128.0.2"}],
                    "conditions": [{"type": "Ready", "status": ready}],
                }
                patch = {"status": status}
                await client.patch("pods", "db-0", patch, "default", subresource="status")

            client = world.client_for(ADMIN, lag_s=0.0)
            await client.create("services", SERVICE, "default")
            await client.create("pods", POD, "default")
            await be("True")
            await world.wait_for(lambda: told() == [True])
            await world.sleep(0.1)
            world.wires[CONTROL_WIRE].stall("endpointslices", LATE_S)
            await be("False")
            await world.wait_for(lambda: told() == [False])
            await be("True")
            await world.sleep(2 * LATE_S)
            assert told() == [True]

    run_virtual(story())
