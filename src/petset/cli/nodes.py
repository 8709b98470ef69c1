"""`petset node add|remove|stop|kill`."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Sequence

from petset.api.errors import StatusError
from petset.base.clock import SystemClock
from petset.cli import checks, paths, process, state, thin, up
from petset.cli.failure import Failure
from petset.client.client import Client
from petset.client.transport import TransportError

PODS_GONE_S = 10.0
"""How long the pods of a removed node may take to go."""

OFF = {
    "key": "node.kubernetes.io/out-of-service",
    "value": "nodeshutdown",
    "effect": "NoSchedule",
}
"""Taint of a node that is known to be off."""

_STEP_S = 0.05


def _cluster(name: str) -> tuple[paths.Paths, state.Cluster]:
    where = state.find(name)
    cluster = state.load(where)
    if cluster is None:
        raise Failure(f"there is no cluster {name!r}", "start one with `petset up`")
    if process.read(where.pid_file("server")) is None:
        raise Failure(f"cluster {name} is not running", f"start it with: petset up --name {name}")
    return where, cluster


def _known(cluster: state.Cluster, node: str) -> str:
    if node not in cluster.nodes:
        there = ", ".join(sorted(cluster.nodes)) or "none"
        raise Failure(f"cluster {cluster.name} has no node {node!r}", f"there are: {there}")
    return node


def add(name: str, node: str) -> None:
    """Add a node and wait until it is Ready. One whose adding was cut short is added now."""
    checks.machine()
    with state.lock(f"cluster {state.check_name(name)}"):
        where, cluster = _cluster(name)
        begun = [n for n in cluster.nodes if not where.node_state(n).exists()]  # never ran
        number = cluster.free_number()
        node = state.check_name(node or next(iter(begun), f"node-{number}"), "node")
        if node in cluster.nodes and node not in begun:
            raise Failure(f"cluster {name} already has a node {node!r}")
        number = cluster.nodes.setdefault(node, number)
        from petset.cli import pki

        pki.ensure_node(where.pki, node, cluster.node_ip(number))
        state.save(where, cluster)
        try:
            started = up.start_agent(where, cluster, node)
            if started is not None:
                up.expect_ready(started, f"node {node}")
        except BaseException:
            take_back(where, cluster, [node])
            del cluster.nodes[node]
            state.save(where, cluster)
            raise
    print(f"Node {node} is ready.")


def kill(name: str, node: str) -> None:
    """Kill a node's agent and containers at once and take its namespaces and mounts, as a power
    failure does; its Node object stays and turns NotReady."""
    checks.machine()
    with state.lock(f"cluster {state.check_name(name)}"):
        where, cluster = _cluster(name)
        lose(where, _known(cluster, node))
        from petset.node.runtime import teardown

        teardown.destroy_node(where.node_run(node), where.node_state(node))
    print(f"Node {node} is lost: its agent and containers are dead.")
    print(f"  petset node remove {node} --name {name}   gives its pods to other nodes")
    print(f"  petset up --name {name}                   brings it back")


def stop(name: str, node: str, grace_s: float) -> None:
    """End a node's pods with their hooks and grace, then its agent; its Node object stays.

    Args:
        grace_s: after so many seconds what is left is killed.
    """
    checks.machine()
    with state.lock(f"cluster {state.check_name(name)}"):
        where, cluster = _cluster(name)
        agent = process.read(where.pid_file(f"agent-{_known(cluster, node)}"))
        if agent is None and not where.node_run(node).exists():  # a stop was not cut short
            raise Failure(f"node {node} is not running", f"start it with: petset up --name {name}")
        agents = [agent] if agent else []
        process.send(agents, signal.SIGUSR1)
        late = process.wait_gone(agents, grace_s)
        lose(where, node)
        from petset.node.runtime import teardown

        teardown.destroy_node(where.node_run(node), where.node_state(node))
    end = f"what did not end within {grace_s:g} s was killed" if late else "its pods have ended"
    print(f"Node {node} is stopped: {end}.")
    print(f"  petset up --name {name}   brings it back")


def lose(where: paths.Paths, node: str) -> None:
    """SIGKILL the agent first (so that it repairs nothing), then everything it ran."""
    from petset.node.runtime import teardown

    pid_file = where.pid_file(f"agent-{node}")
    if agent := process.read(pid_file):
        process.send([agent], signal.SIGKILL)
        process.wait_gone([agent], 5)
    pid_file.unlink(missing_ok=True)
    teardown.kill_node(where.node_run(node), where.node_state(node))


def remove(name: str, node: str) -> None:
    """Fence the node (all it ran is dead and unmounted), then take it out of the API."""
    checks.machine()
    with state.lock(f"cluster {state.check_name(name)}"):
        where, cluster = _cluster(name)
        _known(cluster, node)
        take_down(where, cluster, node)
        asyncio.run(_delete_objects(where, cluster, node))
        forget(where, node)
        del cluster.nodes[node]  # last: as long as it is there, it can be removed again
        state.save(where, cluster)
    print(f"Node {node} is removed; its pods start again on the nodes that are left.")


def take_down(where: paths.Paths, cluster: state.Cluster, node: str) -> None:
    """End all that a node ran, and take its mounts, namespaces and routes."""
    from petset.node.network import host
    from petset.node.runtime import teardown

    lose(where, node)
    teardown.destroy_node(where.node_run(node), where.node_state(node))
    host.remove_node(host.ClusterNetwork(cluster.name, cluster.index), cluster.nodes[node])


def forget(where: paths.Paths, node: str) -> None:
    """Delete what is kept of a node that was taken down."""
    shutil.rmtree(where.node_state(node), ignore_errors=True)
    for suffix in ("crt", "key"):
        (where.pki / f"node-{node}.{suffix}").unlink(missing_ok=True)


def take_back(where: paths.Paths, cluster: state.Cluster, added: Sequence[str]) -> None:
    """Take down nodes that are not to be, and what is known of them; the API may not answer."""
    for node in added:
        take_down(where, cluster, node)
        if process.read(where.pid_file("server")):
            with contextlib.suppress(StatusError, TransportError):
                asyncio.run(_delete_objects(where, cluster, node))
        forget(where, node)


async def _delete_objects(where: paths.Paths, cluster: state.Cluster, node: str) -> None:
    client = thin.connect_to(where, cluster)
    try:
        with contextlib.suppress(StatusError):  # so that nobody waits for it to come back
            await client.patch("nodes", node, {"spec": {"taints": [OFF]}}, kind="strategic")
        for resource, namespace in (
            ("nodes", ""),
            ("leases.coordination.k8s.io", "kube-node-lease"),
        ):
            try:
                await client.delete(resource, node, namespace)
            except StatusError as error:
                if error.code != 404:
                    raise
        await _collect_pods(client, node)
    finally:
        await client.close()


async def _collect_pods(client: Client, node: str) -> None:
    """Remove the node's pods from the API: they are known to have ended.

    The server would do so too, but only after it has waited for the node to come back. A pod that
    somebody keeps by a finalizer is not waited for any longer than the limit.
    """
    from petset.controllers.nodelife import pods
    from petset.reconcile.execute import Executor
    from petset.reconcile.metrics import Metrics

    clock = SystemClock()
    executor = Executor("remove", client, lambda _: None, metrics=Metrics(), externals={})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PODS_GONE_S):
            while True:
                listed = await client.list("pods", fields=f"spec.nodeName={node}")
                if not listed.items:
                    return
                for pod in listed.items:
                    gone = pods.ObservedPod(pod, None, 0.0, node_gone=True, quarantine_s=0.0)
                    await executor.execute(pods.plan_pod(gone, clock.now()))
                await asyncio.sleep(_STEP_S)
