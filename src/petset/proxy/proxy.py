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
from petset.proxy.health import HealthChecks, Listen
from petset.proxy.rules import (
    Place,
    PortRule,
    Target,
    datagram_places,
    health_checks,
    port_rules,
)

DEBOUNCE_S = 0.01
RETRY_MIN_S = 0.1
RETRY_MAX_S = 10.0
NFT_TIMEOUT_S = 30.0
SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"

Apply = Callable[[str], Awaitable[None]]
"""Carries out an nftables transaction. Raises OSError when it was refused."""

_log = logging.getLogger(__name__)


Read = Callable[[], Awaitable[str]]
"""Lists the table that is there, as JSON; "" when there is none."""


def nft_in(netns: Path) -> Apply:
    """Applies transactions in the network namespace at `netns`."""

    async def apply(text: str) -> None:
        code, _, errors = await _nft(netns, ("-f", "-"), text)
        if code:
            raise OSError(f"nft refused the rules: {errors.strip()[:500]}")

    return apply


def table_in(netns: Path) -> Read:
    """Lists the table in the network namespace at `netns`, without elements."""

    async def read() -> str:
        code, listing, _ = await _nft(netns, ("-j", "-t", "list", "table", *nftables.TABLE.split()))
        return "" if code else listing

    return read


async def _nft(netns: Path, words: Sequence[str], text: str = "") -> tuple[int, str, str]:
    """Run nft: its exit code, what it said, and its complaints. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        "nsenter",
        f"--net={netns}",
        "nft",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(NFT_TIMEOUT_S):
            output, errors = await process.communicate(text.encode())
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    return process.returncode or 0, output.decode(), errors.decode(errors="replace")


class Proxy:
    """Services on one node.

    Args:
        informers: caches of Services and EndpointSlices; run by somebody else.
        node: name of the node, for traffic that has to stay on it.
        apply: carries out transactions (`nft_in(netns)`).
        pods: network of the node's pods; "" when it is not known.
        forget: has the kernel forget UDP flows to endpoints that are gone
            (`conntrack.forget_in(connected)`).
        read: lists the table of an earlier agent (`table_in(netns)`), so that the clients
            remembered for session affinity stay so; None begins with an empty one.
        listen: opens the ports at which load balancers ask for endpoints; None: nothing does.

    Attributes:
        rules: what was applied last.
    """

    def __init__(  # noqa: PLR0913 (the seams of a node; all but the first three by name)
        self,
        informers: Informers,
        node: str,
        apply: Apply,
        *,
        pods: str = "",
        forget: Forget | None = None,
        read: Read | None = None,
        listen: Listen | None = None,
    ) -> None:
        self._services = informers.cache("services")
        self._slices = informers.cache(SLICES)
        self._node = node
        self._apply = apply
        self._pods = pods
        self._forget = forget
        self._read = read
        self._checks = None if listen is None else HealthChecks(listen)
        self.rules: Sequence[PortRule] = ()
        self._flows: Mapping[Place, frozenset[Target]] = {}
        self._changed = asyncio.Event()
        self._applied: nftables.Pieces | None = None

    async def run(self) -> None:
        """Keep the rules in step until cancelled. They stay when this ends."""
        try:
            await self._keep()
        finally:
            if self._checks is not None:
                await self._checks.close()

    async def _keep(self) -> None:
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
        services, slices = self._services.list(), self._by_service()
        rules = port_rules(services, slices, self._node)
        try:
            await self._apply_rules(nftables.pieces(rules, self._pods))
            self.rules = rules
        finally:
            if self._checks is not None:
                self._checks.healthy = self._applied is not None
        await self._forget_flows(datagram_places(rules))
        if self._checks is not None:
            await self._checks.set(health_checks(services, slices, self._node))

    async def _apply_rules(self, wanted: nftables.Pieces) -> None:
        if self._applied is None:
            text = nftables.whole(wanted)
            if (found := await self._found()) is not None:
                text = nftables.successor(found, wanted)
        else:
            text = nftables.update(self._applied, wanted)
        if text:
            self._applied = None
            await self._apply(text)
        self._applied = wanted

    async def _found(self) -> nftables.Pieces | None:
        """The table of an earlier agent. It is tried once: what cannot be kept is replaced."""
        read, self._read = self._read, None
        return None if read is None else nftables.present(await read())

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
