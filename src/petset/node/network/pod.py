"""A pod's network: namespaces of its own, one routed /32 link into the node's namespace.

Routed, not bridged: a pod reaches itself through its Service, and replies of translated
connections always pass the node's nat tables. Every pod's gateway is 169.254.1.1, answered by a
fixed neighbour entry with the node side's hardware address.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from petset.node import kernel
from petset.node.network import namespace, netlink

GATEWAY = "169.254.1.1"
GATEWAY_MAC = b"\xee" * 6
KINDS = ("net", "ipc", "uts")
BASE_SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


def link_name(pod_uid: str) -> str:
    """The node side's name of a pod's link."""
    return "pod" + hashlib.sha256(pod_uid.encode()).hexdigest()[:11]


@dataclass(frozen=True, slots=True)
class Link:
    """A pod's place in the network: its node's namespace, uid, host name and address."""

    node_netns: Path
    uid: str
    hostname: str
    address: str


def setup(directory: Path, link: Link, *, sysctls: Mapping[str, str]) -> None:
    """Make and pin the pod's namespaces in `directory` and link them to the node."""
    pod = namespace.pin(directory, KINDS, lambda: _inside(link.hostname, sysctls))
    address = link.address
    with pod, (directory / "net").open("rb") as pinned:
        name = link_name(link.uid)

        def connect() -> None:
            with netlink.Netlink() as node:
                node.do(netlink.delete_link(name))
                node.do(netlink.make_veth(name, "eth0", pinned.fileno(), GATEWAY_MAC))
                node.do(netlink.add_route(f"{address}/32", index=node.index(name)))

        namespace.within(link.node_netns, connect)
        loopback, eth0 = pod.index("lo"), pod.index("eth0")
        pod.do(
            netlink.set_up(loopback),
            netlink.set_up(eth0),
            netlink.add_address(eth0, address, 32),
            netlink.add_route(f"{GATEWAY}/32", index=eth0),
            netlink.add_route("0.0.0.0/0", index=eth0, gateway=GATEWAY),
            netlink.add_neighbour(eth0, GATEWAY, GATEWAY_MAC),
        )


def _inside(hostname: str, sysctls: Mapping[str, str]) -> netlink.Netlink:
    kernel.set_hostname(hostname)
    namespace.write_sysctls({**BASE_SYSCTLS, **sysctls})
    return netlink.Netlink()


def setup_on_node(directory: Path, hostname: str) -> None:
    """Namespaces of a pod on the node's network: ipc and uts only."""
    namespace.pin(directory, ("ipc", "uts"), lambda: kernel.set_hostname(hostname))


def teardown(directory: Path) -> None:
    """Unpin the pod's namespaces; its link goes with them."""
    namespace.unpin(directory, KINDS)
