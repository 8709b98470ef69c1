"""The cluster's side in the host's own namespace: LAN bridge, way out, routes to pods.

Used by the command line, not by the agent. Everything is found again by name, so that removal
works without the process that made it.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from petset.node.network import netlink

CLUSTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class ClusterNetwork:
    """A cluster of this machine: its name and its index (0..63), which makes its addresses."""

    name: str
    index: int

    @property
    def bridge(self) -> str:
        """The LAN bridge."""
        return f"ps{self.index}"

    @property
    def lan(self) -> str:
        """Addresses of the host (.1) and the nodes (.10 + n)."""
        return f"172.29.{self.index}.0/24"

    @property
    def gateway(self) -> str:
        """The host's address on the LAN."""
        return f"172.29.{self.index}.1"

    @property
    def pods(self) -> str:
        """Addresses of all pods of the cluster."""
        return f"10.{128 + self.index}.0.0/16"

    @property
    def table(self) -> str:
        """Name of the nft table."""
        return f"petset-{self.name}"

    def node_address(self, node: int) -> str:
        """LAN address of node number `node` (0..243)."""
        return f"172.29.{self.index}.{10 + node}"

    def pod_cidr(self, node: int) -> str:
        """Pod addresses of node number `node`."""
        return f"10.{128 + self.index}.{node}.0/24"

    def port(self, node: int) -> str:
        """Bridge port of node number `node`."""
        return f"ps{self.index}n{node}"


def free_index() -> int | None:
    """The lowest cluster index whose bridge does not exist; None when all are taken."""
    for index in range(CLUSTERS_MAX):
        if not Path(f"/sys/class/net/ps{index}").exists():
            return index
    return None


def make(cluster: ClusterNetwork) -> None:
    """Make bridge, forwarding and nft table; what exists is kept or replaced. Raises OSError."""
    with netlink.Netlink() as host:
        host.do(netlink.make_bridge(cluster.bridge, netlink.hardware_address(cluster.gateway)))
        index = host.index(cluster.bridge)
        host.do(netlink.set_up(index), netlink.add_address(index, cluster.gateway, 24))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    _nft(_rules(cluster))
    _open_docker_forward(cluster)


def remove(cluster: ClusterNetwork) -> None:
    """Remove what `make` made; missing parts are fine. Routes go with the bridge."""
    with netlink.Netlink() as host:
        host.do(netlink.delete_link(cluster.bridge))
    if shutil.which("nft") and _has_table(cluster):
        _close_docker_forward(cluster, _forward_chain())
        _nft(f"delete table ip {cluster.table}\n")  # last: it tells that there may be the rest


def add_node(cluster: ClusterNetwork, node: int) -> None:
    """Route node number `node`'s pods to its address, so that the host reaches pods."""
    with netlink.Netlink() as host:
        host.do(netlink.add_route(cluster.pod_cidr(node), gateway=cluster.node_address(node)))


def remove_node(cluster: ClusterNetwork, node: int) -> None:
    """Undo `add_node`, and remove the node's bridge port."""
    with netlink.Netlink() as host:
        host.do(
            netlink.delete_route(cluster.pod_cidr(node)), netlink.delete_link(cluster.port(node))
        )


def _rules(cluster: ClusterNetwork) -> str:
    inside = f"{{ {cluster.pods}, {cluster.lan} }}"
    return f"""table ip {cluster.table} {{}}
delete table ip {cluster.table}
table ip {cluster.table} {{
  chain post {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {inside} ip daddr != {inside} masquerade
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    iifname "{cluster.bridge}" accept
    oifname "{cluster.bridge}" accept
  }}
}}
"""


def _has_table(cluster: ClusterNetwork) -> bool:
    """Whether the cluster's table exists; not where the kernel has no nftables at all."""
    done = subprocess.run(
        ["nft", "list", "table", "ip", cluster.table], capture_output=True, check=False
    )
    return done.returncode == 0


def _nft(rules: str) -> None:
    done = subprocess.run(
        ["nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise OSError(f"nft refused the rules: {done.stderr.strip()}")


def _open_docker_forward(cluster: ClusterNetwork) -> None:
    """An accept in our own table cannot overrule a dropping policy elsewhere (Docker sets one)."""
    listing = _forward_chain()
    _close_docker_forward(cluster, listing)
    if not any(part.get("chain", {}).get("policy") == "drop" for part in listing):
        return
    chain = "insert rule ip filter FORWARD"
    _nft(
        f'{chain} iifname "{cluster.bridge}" accept comment "{cluster.table}"\n'
        f'{chain} oifname "{cluster.bridge}" accept comment "{cluster.table}"\n'
    )


def _close_docker_forward(
    cluster: ClusterNetwork, listing: list[dict[str, dict[str, object]]]
) -> None:
    rules = [part["rule"] for part in listing if "rule" in part]
    own = [rule["handle"] for rule in rules if rule.get("comment") == cluster.table]
    if own:
        _nft("".join(f"delete rule ip filter FORWARD handle {handle}\n" for handle in own))


def _forward_chain() -> list[dict[str, dict[str, object]]]:
    done = subprocess.run(
        ["nft", "-j", "-a", "list", "chain", "ip", "filter", "FORWARD"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return []
    found: list[dict[str, dict[str, object]]] = json.loads(done.stdout)["nftables"]
    return found
