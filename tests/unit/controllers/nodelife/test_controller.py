"""Node life on a real server in process."""

import asyncio
import itertools

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.nodelife import controller, taints
from petset.controllers.statefulset import controller as statefulset
from petset.reconcile import podtemplate
from petset.reconcile.context import Config
from petset.reconcile.manager import Factory
from tests.unit.controllers.cluster import Cluster, add_node, cluster

FACTORIES: list[tuple[str, Factory]] = [("nodelife", controller.make)]
PATIENT = Config(orphan_quarantine_s=0.01)
SHORT = Config(node_grace_s=0.6, node_startup_grace_s=0.6, orphan_quarantine_s=0.01)


def node(name: str = "n1", ready: str = "True") -> MutableObj:
    condition = {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "status": {"conditions": [condition]},
    }


def pod(**spec: object) -> MutableObj:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec},
    }


def taint_keys(here: Cluster, name: str = "n1") -> set[str]:
    found = here.cache("nodes").get("", name) or {}
    return {t["key"].rpartition("/")[2] + ":" + t["effect"] for t in taints.of(found)}


async def test_a_node_is_free_of_taints_once_it_is_ready() -> None:
    async with cluster(FACTORIES) as here:
        await add_node(here.client)
        cache = here.cache("nodes")
        await here.until(lambda: cache.get("", "n1") is not None and not taint_keys(here), "nodes")


async def test_nodes_that_come_and_go_are_told_of_once() -> None:
    async with cluster(FACTORIES) as here:
        await add_node(here.client)
        here_now = ("Normal", "RegisteredNode", "Node n1 event: Registered Node n1 in Controller")
        gone = ("Normal", "RemovingNode", "Node n1 event: Removing Node n1 from Controller")
        async with asyncio.timeout(20):
            while here_now not in here.said.events:
                await asyncio.sleep(0.01)
        await here.client.patch("nodes", "n1", {"metadata": {"labels": {"a": "b"}}})
        await here.client.delete("nodes", "n1")
        async with asyncio.timeout(20):
            while gone not in here.said.events:
                await asyncio.sleep(0.01)
        mine = [e for e in here.said.events if e[1] in ("RegisteredNode", "RemovingNode")]
        assert mine == [here_now, gone]


async def test_a_silent_node_is_unknown_and_unreachable_and_its_pods_are_not_ready() -> None:
    async with cluster(FACTORIES, config=SHORT, kubelet=True) as here:
        await here.client.create("pods", pod(), "default")
        pods = here.cache("pods")
        await here.until(lambda: taint_keys(here) == {"unreachable:NoSchedule"}, "nodes")
        found = here.cache("nodes").get("", "n1") or {}
        ready = meta.condition_of(found, "Ready")
        assert ready is not None
        assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
        told = ("Warning", "NodeNotReady", "Node is not ready")
        await here.until(lambda: told in here.said.events, "pods")
        assert pods.get("default", "p") is not None


def reason_of(here: Cluster, name: str) -> str:
    found = here.cache("nodes").get("", name) or {}
    return str((meta.condition_of(found, "Ready") or {}).get("reason"))


async def renew(here: Cluster) -> None:
    """Renew the lease of n1 again and again."""
    for count in itertools.count(1):
        renewed = {"spec": {"renewTime": f"2026-01-01T00:00:00.{count:06}Z"}}
        await here.client.patch("leases.coordination.k8s.io", "n1", renewed, "kube-node-lease")
        await asyncio.sleep(0.02)


def lease() -> MutableObj:
    """The lease of n1."""
    return {
        "kind": "Lease",
        "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"name": "n1", "namespace": "kube-node-lease"},
        "spec": {"renewTime": "2026-01-01T00:00:00.000000Z"},
    }


async def test_pods_have_to_leave_a_lost_node_only_while_another_one_answers() -> None:
    async with cluster(FACTORIES, config=SHORT) as here:
        await here.client.create("leases.coordination.k8s.io", lease(), "kube-node-lease")
        await add_node(here.client)
        await add_node(here.client, "n2")
        both = {"unreachable:NoSchedule", "unreachable:NoExecute"}
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            renewing = group.create_task(renew(here))
            await here.until(lambda: taint_keys(here, "n2") == both, "nodes")
            assert taint_keys(here) == set()
            renewing.cancel()
        spared = [{"unreachable:NoSchedule"}] * 2
        await here.until(lambda: [taint_keys(here, n) for n in ("n1", "n2")] == spared, "nodes")


async def test_a_renewed_lease_keeps_a_node() -> None:
    async with cluster(FACTORIES, config=SHORT) as here:
        await here.client.create("leases.coordination.k8s.io", lease(), "kube-node-lease")
        await add_node(here.client)
        silent = {**node("n2"), "status": {}}
        await here.client.create("nodes", silent)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            renewing = group.create_task(renew(here))
            await here.until(lambda: reason_of(here, "n2") == "NodeStatusNeverUpdated", "nodes")
            renewing.cancel()
        assert "unreachable:NoExecute" not in taint_keys(here)


async def test_pods_leave_a_node_that_is_gone_without_their_agents_word() -> None:
    factories: list[tuple[str, Factory]] = [*FACTORIES, ("statefulset", statefulset.make)]
    async with cluster(factories, config=PATIENT) as here:
        await add_node(here.client)
        labels = {"app": "a"}
        template = {"metadata": {"labels": labels}, "spec": pod()["spec"]}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        web = {"kind": "StatefulSet", "apiVersion": "apps/v1", "metadata": {"name": "web"}}
        await here.client.create("statefulsets.apps", {**web, "spec": spec}, "default")
        pods = here.cache("pods")
        first = await here.until(lambda: pods.get("default", "web-0"), "pods")
        assert first is not None
        target = {"apiVersion": "v1", "kind": "Node", "name": "n1"}
        binding = {"kind": "Binding", "apiVersion": "v1", "metadata": {"name": "web-0"}}
        await here.client.create(
            "pods", {**binding, "target": target}, "default", name="web-0", subresource="binding"
        )
        await here.client.delete("nodes", "n1")

        def again() -> bool:
            found = pods.get("default", "web-0")
            return found is not None and meta.uid_of(found) != meta.uid_of(first)

        await here.until(again, "pods")
        fresh = pods.get("default", "web-0") or {}
        assert "nodeName" not in fresh["spec"]


async def test_a_taint_that_goes_in_time_lets_the_pod_stay_and_says_so() -> None:
    async with cluster(FACTORIES) as here:
        await add_node(here.client)
        mark = {"key": "a", "effect": "NoExecute"}
        patient = [{**mark, "operator": "Exists", "tolerationSeconds": 300}]
        await here.client.create("pods", pod(nodeName="n1", tolerations=patient), "default")
        words = ("Normal", "TaintManagerEviction", "Cancelling deletion of Pod default/p")

        async def taint(*marks: dict[str, str]) -> None:
            await here.client.patch("nodes", "n1", {"spec": {"taints": list(marks)}})
            await here.until(lambda: len(taint_keys(here)) == len(marks), "nodes")

        await taint(mark)
        async with asyncio.timeout(20):
            while words not in here.said.events:
                await taint()
                await asyncio.sleep(0.05)  # a look at the pod may miss a taint that goes at once
                await taint(mark)
                await asyncio.sleep(0.05)
        await here.exists("pods", "p")


async def test_an_untolerated_taint_evicts_and_says_so() -> None:
    async with cluster(FACTORIES, kubelet=True) as here:
        tolerant = pod(tolerations=[{"operator": "Exists"}])
        tolerant["metadata"]["name"] = "tolerant"
        await here.client.create("pods", pod(), "default")
        await here.client.create("pods", tolerant, "default")
        pods = here.cache("pods")

        def placed(name: str) -> bool:
            return podtemplate.is_ready(pods.get("default", name) or {})

        await here.until(lambda: placed("p") and placed("tolerant"), "pods")
        mark = {"key": "example.com/leave", "effect": "NoExecute"}
        await here.client.patch("nodes", "n1", {"spec": {"taints": [mark]}})
        await here.gone("pods", "p")
        assert "TaintManagerEviction" in here.said.reasons()
        assert placed("tolerant")
