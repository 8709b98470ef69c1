"""The agent process of one node: pods, DNS and Services of that node.

Started by `petset up`; `python -m petset.cli.load agent --state DIR --run DIR --node NAME`.
Invariant: reaches the cluster over the API only. Its death leaves pods, names in use and Service
rules as they are; the next one takes over.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from petset.base import log, tlsconfig
from petset.base.clock import SystemClock
from petset.base.ids import Ids
from petset.cli import paths, process, state
from petset.cli.failure import Failure
from petset.client.client import Client
from petset.client.reflector import Informers
from petset.client.tls import Tls
from petset.dns.forward import ResolvConf
from petset.dns.index import Index
from petset.dns.server import DnsServer
from petset.node.agent import Agent, AgentRunningError
from petset.node.config import AgentConfig
from petset.node.images import collect
from petset.node.images.service import ImageService
from petset.node.network import namespace
from petset.node.network.host import ClusterNetwork
from petset.node.network.node import NodeNetwork
from petset.node.runtime.base import RuntimeFailedError
from petset.proxy import conntrack
from petset.proxy.proxy import Proxy, nft_in, table_in

DOMAIN = "cluster.local"
_log = logging.getLogger("petset.agent")


def main() -> None:
    """Entry point: keep the node until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="petset-agent", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the cluster's state directory")
    parser.add_argument("--run", type=Path, required=True, help="the cluster's run directory")
    parser.add_argument("--node", required=True, help="name of the node")
    parser.add_argument("--ready-fd", type=int, default=-1, help="where to say that it is ready")
    parser.add_argument("--go-fd", type=int, default=-1, help="where to wait for the word to begin")
    arguments = parser.parse_args()
    if not process.await_go(arguments.go_fd):
        return
    log.setup()
    where = paths.Paths(arguments.state, arguments.run)
    try:
        cluster = state.load(where)
        if cluster is None or arguments.node not in cluster.nodes:
            raise OSError(f"there is no node {arguments.node} in {where.state}")
        asyncio.run(_run(where, cluster, arguments.node, arguments.ready_fd))
    except (AgentRunningError, RuntimeFailedError, Failure, OSError) as error:
        _log.error("%s", error)
        process.tell(arguments.ready_fd, f"node {arguments.node} cannot start: {error}")
        sys.exit(1)


def agent_config(where: paths.Paths, cluster: state.Cluster, node: str) -> AgentConfig:
    """How the agent of `node` is set up: all of it follows from the cluster and node numbers."""
    number = cluster.nodes[node]
    lan = ClusterNetwork(cluster.name, cluster.index)
    address, pods = cluster.node_ip(number), cluster.node_pod_cidr(number)
    return AgentConfig(
        name=node,
        run_dir=where.node_run(node),
        state_dir=where.node_state(node),
        cluster=cluster.name,
        address=address,
        pod_cidr=pods,
        network=NodeNetwork(
            directory=where.node_run(node),
            bridge=lan.bridge,
            port=lan.port(number),
            address=address,
            gateway=lan.gateway,
            pod_cidr=pods,
        ),
        domain=DOMAIN,
        tls=_endpoint_tls(where, node),
    )


def _endpoint_tls(where: paths.Paths, node: str) -> ssl.SSLContext:
    return tlsconfig.server_context(
        where.pki / f"node-{node}.crt",
        where.pki / f"node-{node}.key",
        where.pki / "ca.crt",
        require=True,
    )


async def _run(where: paths.Paths, cluster: state.Cluster, node: str, ready_fd: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = agent_config(where, cluster, node)
    client = Client(
        Tls(
            cluster.url,
            ca_file=where.pki / "ca.crt",
            cert_file=where.pki / f"node-{node}.crt",
            key_file=where.pki / f"node-{node}.key",
        ),
        manager="kubelet",
    )
    try:
        work = asyncio.create_task(_keep(config, client, ready_fd, stop), name="node")
        ending = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait([work, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
    finally:
        await client.close()


async def _keep(config: AgentConfig, client: Client, ready_fd: int, stop: asyncio.Event) -> None:
    """Node, DNS and proxy over the same caches; SIGUSR1 or 2 ends the pods and then sets `stop`."""
    clock, ids = SystemClock(), Ids()
    informers = Informers(client)
    images = ImageService(paths.images(), clock=clock)
    agent = Agent(config, client, clock, ids, images, informers=informers)
    await agent.prepare()
    assert config.network is not None
    proxy = _proxy(informers, config.name, config.network)
    async with _closing(images), _dns_sockets(config) as (udp, tcp):
        dns = DnsServer(
            informers,
            udp,
            tcp,
            upstreams=ResolvConf(exclude={config.dns_address}),
            ids=ids,
            index=Index(DOMAIN),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(agent.run(), name="agent")
            group.create_task(dns.run(), name="dns")
            group.create_task(proxy.run(), name="proxy")
            group.create_task(collect.collect(images.store), name="images")
            group.create_task(informers.run(), name="informers")
            await agent.ready.wait()
            group.create_task(_end_pods(agent, config.run_dir, stop), name="end of pods")
            process.tell(ready_fd, "ok")
            gc.collect()
            gc.freeze()


async def _end_pods(agent: Agent, run_dir: Path, stop: asyncio.Event) -> None:
    """Wait for a signal, end the node's pods with grace, and then the agent.

    SIGUSR1 stops the node, SIGUSR2 the cluster: then its pods rest until it is started again, and
    their containers have as many seconds to end as the file says.
    """
    asked: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        asyncio.get_running_loop().add_signal_handler(number, asked.put_nowait, number)
    if await asked.get() == signal.SIGUSR1:
        await agent.shut_down()
    else:
        await agent.rest(paths.read_rest(run_dir))
    stop.set()


def _proxy(informers: Informers, node: str, network: NodeNetwork) -> Proxy:
    netns = network.netns
    return Proxy(
        informers,
        node,
        nft_in(netns),
        pods=network.pod_cidr,
        forget=conntrack.forget_in(lambda: namespace.within(netns, conntrack.connect)),
        read=table_in(netns),
        listen=lambda port: namespace.bound_socket(netns, socket.SOCK_STREAM, ("", port)),
    )


@contextlib.asynccontextmanager
async def _closing(images: ImageService) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await images.close()


@contextlib.asynccontextmanager
async def _dns_sockets(
    config: AgentConfig,
) -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    """UDP and TCP port 53 of the cluster's DNS address, inside the node's namespace."""
    assert config.network is not None
    address = (config.dns_address, 53)
    udp = namespace.bound_socket(config.network.netns, socket.SOCK_DGRAM, address)
    try:
        tcp = namespace.bound_socket(config.network.netns, socket.SOCK_STREAM, address)
        try:
            yield udp, tcp
        finally:
            tcp.close()
    finally:
        udp.close()
