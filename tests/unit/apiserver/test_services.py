"""Addresses of Services: given, asked for, kept, given back."""

import asyncio
from typing import Any

import pytest

from petset.store.drivers.memory import MemoryDriver, MemoryStore
from petset.store.log import Log
from petset.store.types import Item, Make
from petset.store.worker import Inline
from tests.unit.apiserver.harness import SERVICES, HandClock, Server, serving


def service(name: str, kind: str = "ClusterIP", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"type": kind, "ports": [{"port": 80}], **spec},
    }


async def test_addresses_come_from_the_range(server: Server) -> None:
    seen = set()
    for number in range(30):
        spec = (await server.make(SERVICES, service(f"s{number}")))["spec"]
        assert spec["clusterIP"].startswith("10.96.")
        assert spec["clusterIPs"] == [spec["clusterIP"]]
        assert spec["ipFamilies"] == ["IPv4"]
        seen.add(spec["clusterIP"])
    assert len(seen) == 30


async def test_an_address_can_be_asked_for_once(server: Server) -> None:
    made = await server.make(SERVICES, service("a", clusterIP="10.96.5.5"))
    assert made["spec"]["clusterIPs"] == ["10.96.5.5"]
    taken = await server.ask("POST", SERVICES, service("b", clusterIP="10.96.5.5"))
    assert taken.status == 422
    assert "provided IP is already allocated" in taken.body["message"]
    system = await server.ask("POST", SERVICES, service("b", clusterIP="10.96.0.1"))
    assert system.status == 422
    outside = await server.ask("POST", SERVICES, service("b", clusterIP="192.168.0.1"))
    assert (
        "is not in the valid range. The range of valid IPs is 10.96.0.0/16"
        in (outside.body["message"])
    )
    await server.ask("DELETE", f"{SERVICES}/a")
    assert await server.make(SERVICES, service("b", clusterIP="10.96.5.5"))


async def test_refused_creations_give_their_address_back(server: Server) -> None:
    await server.make(SERVICES, service("a"))
    again = await server.ask("POST", SERVICES, service("a", clusterIP="10.96.5.5"))
    assert again.status == 409
    dry = await server.ask("POST", f"{SERVICES}?dryRun=All", service("c", clusterIP="10.96.5.5"))
    assert dry.body["spec"]["clusterIP"] == "10.96.5.5"
    assert await server.make(SERVICES, service("b", clusterIP="10.96.5.5"))


async def test_headless_and_external_services_have_none(server: Server) -> None:
    headless = await server.make(SERVICES, service("h", clusterIP="None"))
    assert headless["spec"]["clusterIPs"] == ["None"]
    external = await server.make(
        SERVICES, service("e", "ExternalName", externalName="example.com", ports=[])
    )
    assert "clusterIP" not in external["spec"]


async def test_updates_keep_what_they_do_not_mention(server: Server) -> None:
    made = await server.make(SERVICES, service("a", "NodePort"))
    port = made["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    answer = await server.ask("PUT", f"{SERVICES}/a", service("a", "NodePort", selector={"a": "b"}))
    spec = answer.body["spec"]
    assert spec["clusterIP"] == made["spec"]["clusterIP"]
    assert spec["ports"][0]["nodePort"] == port
    refused = await server.patch(f"{SERVICES}/a", {"spec": {"clusterIP": "10.96.9.9"}})
    assert refused.status == 422


async def test_a_change_of_type_gives_and_takes(server: Server) -> None:
    await server.make(SERVICES, service("a", clusterIP="10.96.5.5"))
    external = {
        "spec": {
            "type": "ExternalName",
            "externalName": "example.com",
            "clusterIP": None,
            "clusterIPs": None,
        }
    }
    changed = await server.patch(f"{SERVICES}/a", external)
    assert changed.status == 200
    assert "clusterIP" not in changed.body["spec"]
    assert await server.make(SERVICES, service("b", clusterIP="10.96.5.5"))
    back = await server.patch(f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}})
    assert back.body["spec"]["clusterIP"] not in ("", "10.96.5.5")


@pytest.mark.parametrize(
    ("port", "words"),
    [(80, "provided port is not in the valid range"), (30080, "provided port is already")],
)
async def test_node_ports_that_cannot_be_had(server: Server, port: int, words: str) -> None:
    await server.make(SERVICES, service("a", "NodePort", ports=[{"port": 1, "nodePort": 30080}]))
    body = service("b", "NodePort", ports=[{"port": 1, "nodePort": port}])
    refused = await server.ask("POST", SERVICES, body)
    assert refused.status == 422
    assert words in refused.body["message"]
    assert refused.body["details"]["causes"][0]["field"] == "spec.ports[0].nodePort"


async def test_what_is_in_use_outlives_a_restart() -> None:
    driver = MemoryDriver()
    async with serving(Log(driver, Inline(), HandClock())) as server:
        await server.make(SERVICES, service("a", clusterIP="10.96.5.5"))
        uid = (await server.get(f"{SERVICES}/kubernetes")).body["metadata"]["uid"]
    async with serving(Log(driver, Inline(), HandClock()), secure_port=7443) as server:
        taken = await server.ask("POST", SERVICES, service("b", clusterIP="10.96.5.5"))
        assert taken.status == 422
        same = (await server.get(f"{SERVICES}/kubernetes")).body["metadata"]["uid"]
        assert same == uid
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
        assert (await server.get(path)).body["ports"][0]["port"] == 7443


async def test_a_range_can_be_used_up() -> None:
    async with serving(service_cidr="10.0.0.0/29", cluster_dns="") as server:
        for number in range(5):
            await server.make(SERVICES, service(f"s{number}"))
        full = await server.ask("POST", SERVICES, service("last"))
        assert (full.status, full.body["reason"]) == (500, "InternalError")


async def test_a_family_that_is_not_served_is_refused(server: Server) -> None:
    body = service("a", ipFamilyPolicy="RequireDualStack")
    refused = await server.ask("POST", SERVICES, body)
    assert refused.status == 422
    assert "this cluster is not configured for dual-stack services" in refused.body["message"]
    anybody = (await server.make(SERVICES, service("b", clusterIP="None")))["spec"]
    assert anybody["ipFamilies"] == ["IPv4", "IPv6"]
    assert anybody["ipFamilyPolicy"] == "RequireDualStack"
    same = await server.ask("PUT", f"{SERVICES}/b", service("b", clusterIP="None"))
    assert same.body["spec"] == anybody


async def test_the_same_port_over_udp_and_tcp_shares_a_node_port(server: Server) -> None:
    ports = [{"name": p, "port": 53, "protocol": p.upper()} for p in ("tcp", "udp")]
    made = await server.make(SERVICES, service("a", "NodePort", ports=ports))
    one, other = (p["nodePort"] for p in made["spec"]["ports"])
    assert one == other


async def test_the_low_ends_of_the_ranges_are_drawn_last() -> None:
    few = (30000, 30099)
    async with serving(service_cidr="10.0.0.0/24", cluster_dns="", node_ports=few) as server:
        seen = []
        for number in range(100):
            spec = (await server.make(SERVICES, service(f"s{number}", "NodePort")))["spec"]
            seen.append((spec["clusterIP"], spec["ports"][0]["nodePort"]))
        assert all(int(ip.rpartition(".")[2]) > 16 for ip, _ in seen)
        assert all(port >= 30016 for _, port in seen[:84])
        assert sorted(port for _, port in seen) == list(range(30000, 30100))


async def test_a_balancer_may_do_without_node_ports_but_not_take_others(server: Server) -> None:
    await server.make(SERVICES, service("a", "NodePort", ports=[{"port": 1, "nodePort": 30080}]))
    without = service("b", "LoadBalancer", allocateLoadBalancerNodePorts=False)
    assert "nodePort" not in (await server.make(SERVICES, without))["spec"]["ports"][0]
    taking = service(
        "c",
        "LoadBalancer",
        allocateLoadBalancerNodePorts=False,
        ports=[{"port": 1, "nodePort": 30080}],
    )
    refused = await server.ask("POST", SERVICES, taking)
    assert "provided port is already allocated" in refused.body["message"]


async def test_ports_come_back_when_the_type_has_none(server: Server) -> None:
    await server.make(SERVICES, service("a", "NodePort", ports=[{"port": 1, "nodePort": 30080}]))
    changed = await server.patch(f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}})
    assert "nodePort" not in changed.body["spec"]["ports"][0]
    again = service("b", "NodePort", ports=[{"port": 1, "nodePort": 30080}])
    assert await server.make(SERVICES, again)


class TardyStore(MemoryStore):
    """A store that stores, but does not come to say so."""

    tardy = False

    async def put(self, key: str, make: Make, *, expect: int) -> Item:
        item = await super().put(key, make, expect=expect)
        if self.tardy:
            await asyncio.Event().wait()
        return item


async def test_addresses_of_a_write_that_came_too_late_to_be_answered_stay_taken() -> None:
    store = TardyStore(HandClock())
    async with serving(store, request_timeout_s=0.5) as server:
        store.tardy = True
        late = service("a", "NodePort", clusterIP="10.96.5.5")
        assert (await server.ask("POST", SERVICES, late)).status == 504
        await server.ask("PUT", f"{SERVICES}/a", service("a", "ExternalName", externalName="x.y"))
        store.tardy = False
        moved = await server.ask("GET", f"{SERVICES}/a")
        assert moved.body["spec"]["type"] == "ExternalName"
        other = await server.ask("POST", SERVICES, service("b", clusterIP="10.96.5.5"))
        assert other.status == 422


async def test_an_address_is_not_given_twice_after_a_write_that_came_too_late() -> None:
    store = TardyStore(HandClock())
    async with serving(store, request_timeout_s=0.5) as server:
        store.tardy = True
        assert (
            await server.ask("POST", SERVICES, service("a", clusterIP="10.96.5.5"))
        ).status == 504
        store.tardy = False
        assert (await server.ask("GET", f"{SERVICES}/a")).body["spec"]["clusterIP"] == "10.96.5.5"
        other = await server.ask("POST", SERVICES, service("b", clusterIP="10.96.5.5"))
        assert other.status == 422
        await server.ask("DELETE", f"{SERVICES}/a")
        assert await server.make(SERVICES, service("b", clusterIP="10.96.5.5"))
