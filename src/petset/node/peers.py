"""Keeps the routes from this node to the pods of the others."""

import asyncio

from petset.api.meta import Obj, name_of
from petset.client.cache import Cache
from petset.node.network import node as network


class Peers:
    """Follows the Node objects; `run` sets the routes whenever they change."""

    def __init__(self, nodes: Cache, own: str, where: network.NodeNetwork | None) -> None:
        self._nodes = nodes
        self._own = own
        self._where = where
        self._changed = asyncio.Event()
        nodes.add_handler(self._on_node)

    def _on_node(self, old: Obj | None, new: Obj | None) -> None:
        if old is None or new is None or route_of(old) != route_of(new):
            self._changed.set()

    def wanted(self) -> dict[str, str]:
        """Pod CIDR -> address of every other node."""
        found = [route_of(n) for n in self._nodes.list() if name_of(n) != self._own]
        return {cidr: address for cidr, address in found if cidr and address}

    async def run(self) -> None:
        """Set routes until cancelled."""
        present: dict[str, str] = {}
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self.wanted()
            if self._where is not None and wanted != present:
                await asyncio.to_thread(network.set_peer_routes, self._where.netns, present, wanted)
            present = wanted


def route_of(node: Obj) -> tuple[str, str]:
    """(pod CIDR, address) of a node, "" where not known."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    found = [a.get("address") or "" for a in addresses if a.get("type") == "InternalIP"]
    return (node.get("spec") or {}).get("podCIDR") or "", found[0] if found else ""
