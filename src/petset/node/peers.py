"""Keeps the routes from this node to the pods of the others."""

import asyncio
import contextlib

from petset.api.meta import Obj, name_of
from petset.client.cache import Cache
from petset.node.network import node as network

HELD_S = 40.0
"""How long a node that was deleted keeps its route: so long its pods stay, and it may come back."""

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
"""Taint of a node that is known to be off: it is not waited for."""


class Peers:
    """Follows the Node objects; `run` sets the routes whenever they change."""

    def __init__(self, nodes: Cache, own: str, where: network.NodeNetwork | None) -> None:
        self._nodes = nodes
        self._own = own
        self._where = where
        self._held: dict[str, tuple[str, str, float]] = {}
        self._changed = asyncio.Event()
        nodes.add_handler(self._on_node)

    def _on_node(self, old: Obj | None, new: Obj | None) -> None:
        if old is None or new is None or route_of(old) != route_of(new):
            self._changed.set()
        name = name_of(new or old or {})
        self._held.pop(name, None)
        if new is None and old is not None and name != self._own and not _is_off(old):
            self._held[name] = (*route_of(old), asyncio.get_running_loop().time() + HELD_S)

    def wanted(self) -> dict[str, str]:
        """Pod CIDR -> address of every other node."""
        now = asyncio.get_running_loop().time()
        self._held = {name: held for name, held in self._held.items() if held[2] > now}
        found = [(cidr, address) for cidr, address, _ in self._held.values()]
        found += [route_of(n) for n in self._nodes.list() if name_of(n) != self._own]
        return {cidr: address for cidr, address in found if cidr and address}

    async def run(self) -> None:
        """Set routes until cancelled."""
        present: dict[str, str] = {}
        while True:
            await self._wait()
            wanted = self.wanted()
            if self._where is not None and wanted != present:
                await asyncio.to_thread(network.set_peer_routes, self._where.netns, present, wanted)
            present = wanted

    async def _wait(self) -> None:
        """Until a node changes, or a route is not held any longer."""
        until = min((at for *_, at in self._held.values()), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        self._changed.clear()


def route_of(node: Obj) -> tuple[str, str]:
    """(pod CIDR, address) of a node, "" where not known."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    found = [a.get("address") or "" for a in addresses if a.get("type") == "InternalIP"]
    return (node.get("spec") or {}).get("podCIDR") or "", found[0] if found else ""


def _is_off(node: Obj) -> bool:
    return any(t.get("key") == OUT_OF_SERVICE for t in (node.get("spec") or {}).get("taints") or ())
