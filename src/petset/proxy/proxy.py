"""The service proxy of a node: follows Services and EndpointSlices, keeps nftables in step.

Invariant: what was applied last is known; only differences are applied, and after a failure the
whole table is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from petset.api import meta
from petset.api.meta import Obj
from petset.client.reflector import Informers
from petset.proxy import nftables
from petset.proxy.conntrack import Forget
from petset.proxy.rules import Place, Target, datagram_places, port_rules

DEBOUNCE_S = 0.01
RETRY_MIN_S = 0.1
RETRY_MAX_S = 10.0
NFT_TIMEOUT_S = 30.0
SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"

Apply = Callable[[str], Awaitable[None]]
"""Carries out an nftables transaction. Raises OSError when it was refused."""

_log = logging.getLogger(__name__)


def nft_in(netns: Path) -> Apply:
    """Applies transactions in the network namespace at `netns`."""

    async def apply(text: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "nsenter",
            f"--net={netns}",
            "nft",
            "-f",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(NFT_TIMEOUT_S):
                _, errors = await process.communicate(text.encode())
        except BaseException:
            if process.returncode is None:
                process.kill()
            raise
        if process.returncode:
            raise OSError(f"nft refused the rules: {errors.decode(errors='replace').strip()[:500]}")

    return apply


class Proxy:
    """Services on one node.

    Args:
        informers: caches of Services and EndpointSlices; run by somebody else.
        node: name of the node, for traffic that has to stay on it.
        apply: carries out transactions (`nft_in(netns)`).
        pods: network of the cluster's pods; "" when it is not known.
        forget: has the kernel forget UDP flows to endpoints that are gone
            (`conntrack.forget_in(connected)`).
    """

    def __init__(
        self,
        informers: Informers,
        node: str,
        apply: Apply,
        *,
        pods: str = "",
        forget: Forget | None = None,
    ) -> None:
        self._services = informers.cache("services")
        self._slices = informers.cache(SLICES)
        self._node = node
        self._apply = apply
        self._pods = pods
        self._forget = forget
        self._flows: Mapping[Place, frozenset[Target]] = {}
        self._changed = asyncio.Event()
        self._applied: nftables.Pieces | None = None

    async def run(self) -> None:
        """Keep the rules in step until cancelled. They stay when this ends."""
        for cache in (self._services, self._slices):
            await cache.wait_synced()
            cache.add_handler(self._on_change)
        self._changed.set()
        delay_s = RETRY_MIN_S
        while True:
            await self._changed.wait()
            await asyncio.sleep(DEBOUNCE_S)
            self._changed.clear()
            try:
                await self._sync()
            except OSError as error:
                _log.warning("proxy: %s; again in %.1f s", error, delay_s)
                self._changed.set()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
            else:
                delay_s = RETRY_MIN_S

    def _on_change(self, old: Obj | None, new: Obj | None) -> None:
        if old is None or new is None or _matters(old) != _matters(new):
            self._changed.set()

    async def _sync(self) -> None:
        rules = port_rules(self._services.list(), self._by_service(), self._node)
        wanted = nftables.pieces(rules, self._pods)
        if self._applied is None:
            text = nftables.whole(wanted)
        else:
            text = nftables.update(self._applied, wanted)
        if text:
            self._applied = None
            await self._apply(text)
            self._applied = wanted
        await self._forget_flows(datagram_places(rules))

    async def _forget_flows(self, places: Mapping[Place, frozenset[Target]]) -> None:
        """Tracked UDP flows outlive the rules: their senders would go on to an endpoint that is
        gone. TCP connections break by themselves."""
        changed = {
            place: places.get(place, frozenset())
            for place in {*self._flows, *places}
            if self._flows.get(place) != places.get(place)
        }
        if changed and self._forget is not None:
            await self._forget(changed)
        self._flows = places

    def _by_service(self) -> Mapping[str, Sequence[Obj]]:
        found: dict[str, list[Obj]] = {}
        for part in self._slices.list():
            name = meta.labels_of(part).get(SERVICE_NAME, "")
            found.setdefault(f"{meta.namespace_of(part)}/{name}", []).append(part)
        return found


def _matters(obj: Obj) -> tuple[object, ...]:
    """What of a Service or slice the rules are made from."""
    names = ("spec", "status", "endpoints", "ports", "addressType")
    return meta.labels_of(obj), *(obj.get(name) for name in names)
