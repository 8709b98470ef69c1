"""A node's network: a namespace of its own on the cluster's LAN bridge.

The DNS address lies on lo and the service range is routed to lo, so that the node's own processes
reach Services too: the nat output hook needs a route to translate.
Invariant: addresses of pods and nodes that are gone are refused at once, so that their peers look
them up again instead of waiting for minutes.
"""

import errno
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from petset.node.network import namespace, netlink

SERVICE_CIDR = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """Where a node is.

    Attributes:
        directory: holds the pin `net` of its namespace.
        bridge: the LAN bridge in the host's namespace; "" for none (single node, no LAN).
        port: name of the bridge port (at most 15 letters).
        address: the node's IPv4 address on the LAN, prefix 24.
        gateway: the host's address on the LAN.
        pod_cidr: addresses of the node's pods.
    """

    directory: Path
    bridge: str
    port: str
    address: str
    gateway: str
    pod_cidr: str
    service_cidr: str = SERVICE_CIDR
    dns_address: str = DNS_ADDRESS

    @property
    def netns(self) -> Path:
        """The pinned namespace file."""
        return self.directory / "net"


def setup(network: NodeNetwork) -> None:
    """Make the node's namespace and its link to the LAN; what exists is kept. Raises OSError."""
    if not namespace.is_pinned(network.netns):
        namespace.unpin(network.directory, ["net"])
        with netlink.Netlink() as host:  # the port of a namespace that is still being taken down
            host.do(netlink.delete_link(network.port))
        namespace.pin(network.directory, ["net"], _sysctls)
    _connect(network)
    namespace.within(network.netns, lambda: _configure(network))


def teardown(network: NodeNetwork) -> None:
    """Remove the namespace; the kernel removes its links. A missing one is fine."""
    with netlink.Netlink() as host:
        host.do(netlink.delete_link(network.port))
    namespace.unpin(network.directory, ["net"])


def _sysctls() -> None:
    namespace.write_sysctls(
        {
            "net.ipv4.ip_forward": "1",
            "net.ipv4.conf.all.route_localnet": "1",
            "net.ipv4.conf.all.rp_filter": "0",
            "net.ipv4.conf.default.rp_filter": "0",
            # a pod that reaches itself through its Service is told of no shorter way: the kernel
            # counts that against the pod, and is silent for a second when it has to refuse
            "net.ipv4.conf.all.send_redirects": "0",
            "net.ipv4.conf.default.send_redirects": "0",
        }
    )


def _connect(network: NodeNetwork) -> None:
    with netlink.Netlink() as host, network.netns.open("rb") as pin:
        bridge = host.index(network.bridge)
        try:
            own = netlink.hardware_address(network.address)
            host.do(netlink.make_veth(network.port, "eth0", pin.fileno(), peer_address=own))
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        host.do(netlink.set_up(host.index(network.port), master=bridge))


def _configure(network: NodeNetwork) -> None:
    with netlink.Netlink() as node:
        loopback, eth0 = node.index("lo"), node.index("eth0")
        node.do(
            netlink.set_up(loopback),
            netlink.set_up(eth0),
            netlink.add_address(eth0, network.address, 24),
            netlink.add_address(loopback, network.dns_address, 32, scope=netlink.SCOPE_HOST),
            netlink.add_route(network.service_cidr, index=loopback, source=network.address),
            netlink.add_route("0.0.0.0/0", index=eth0, gateway=network.gateway),
            netlink.refuse_route(all_pods(network.pod_cidr)),
        )


def all_pods(pod_cidr: str) -> str:
    """The addresses of all nodes' pods: 10.(128+k).0.0/16 in cluster k."""
    own = ipaddress.ip_network(pod_cidr)
    return str(own if own.prefixlen < 16 else own.supernet(new_prefix=16))


def set_peer_routes(netns: Path, old: dict[str, str], new: dict[str, str]) -> None:
    """Change the routes to other nodes' pods: pod CIDR -> node address."""

    def body() -> None:
        with netlink.Netlink() as node:
            gone = [netlink.delete_route(cidr) for cidr in old.keys() - new.keys()]
            fresh = [
                netlink.add_route(cidr, gateway=via)
                for cidr, via in new.items()
                if old.get(cidr) != via
            ]
            if gone or fresh:
                node.do(*gone, *fresh)

    namespace.within(netns, body)
