"""Registers the node, renews its lease, and keeps its status up to date."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from petset.api import errors, meta
from petset.api.meta import MutableObj, Obj
from petset.base.clock import Clock
from petset.client.client import Client
from petset.client.lease import Lease
from petset.client.transport import TransportError
from petset.node import machine, nodeobject
from petset.node.nodeobject import NodeFacts

LEASE_NAMESPACE = "kube-node-lease"
LEASE_EVERY_S = 10.0
STATUS_EVERY_S = 300.0
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 5.0

_log = logging.getLogger(__name__)


class Registration:
    """One node's place in the cluster.

    A Node object that is deleted while the agent runs is not made again: the agent has to be
    started anew, as an operator who removes a node expects.

    Args:
        facts: what is told of the node, asked each time.
    """

    def __init__(
        self, client: Client, clock: Clock, state_dir: Path, facts: Callable[[], NodeFacts]
    ) -> None:
        self._client = client
        self._clock = clock
        self._state_dir = state_dir
        self._facts = facts
        self._node: MutableObj = {}
        self._told: MutableObj = {}
        self._told_at = 0.0
        self.registered = asyncio.Event()

    async def run(self) -> None:
        """Register, then keep lease and status until cancelled, or until the Node is deleted."""
        await self._register()
        self.registered.set()
        lease = Lease(
            self._client,
            self._clock,
            meta.name_of(self._node),
            LEASE_NAMESPACE,
            meta.name_of(self._node),
            owners=(_owner(self._node),),
        )
        alive = True
        while alive:
            try:
                await lease.renew()
            except (TransportError, errors.StatusError) as error:
                _log.warning("node lease not renewed: %s", error)
            alive = await self.beat()
            await asyncio.sleep(LEASE_EVERY_S)
        _log.warning("the Node object was deleted; this agent no longer reports")

    async def _register(self) -> None:
        delay = RETRY_FIRST_S
        while True:
            try:
                self._node = await self._create_or_adopt()
                await self._write_status()
            except (TransportError, errors.StatusError) as error:
                _log.info("node not registered yet: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)
            else:
                return

    async def _create_or_adopt(self) -> MutableObj:
        facts, seen = self._facts(), machine.look(self._state_dir)
        fresh = nodeobject.make(facts, seen, self._clock.now())
        try:
            return await self._client.create("nodes", fresh)
        except errors.StatusError as error:
            if error.code != 409:
                raise
        patch: MutableObj = {"metadata": {"labels": fresh["metadata"]["labels"]}}
        old = await self._client.get("nodes", facts.name)
        if not (old.get("spec") or {}).get("podCIDR"):
            patch["spec"] = fresh["spec"]
        return await self._client.patch("nodes", facts.name, patch)

    async def beat(self) -> bool:
        """Write the status if it changed, or was not written for long. False: no such Node."""
        fresh = self._fresh()
        changed = nodeobject.without_beats(fresh) != nodeobject.without_beats(self._told)
        if not changed and self._clock.now() - self._told_at < STATUS_EVERY_S:
            return True
        try:
            self._node = await self._client.get("nodes", meta.name_of(self._node))
            await self._write_status()
        except errors.StatusError as error:
            return error.code != 404
        except TransportError as error:
            _log.warning("node status not written: %s", error)
        return True

    def _fresh(self) -> MutableObj:
        seen = machine.look(self._state_dir)
        old = self._told or self._node.get("status") or {}
        return nodeobject.status(self._facts(), seen, old, self._clock.now())

    async def _write_status(self) -> None:
        old: Obj = self._node.get("status") or {}
        seen = machine.look(self._state_dir)
        fresh = nodeobject.status(self._facts(), seen, old, self._clock.now())
        name = meta.name_of(self._node)
        patch = {"status": fresh}
        self._node = await self._client.patch("nodes", name, patch, subresource="status")
        self._told, self._told_at = fresh, self._clock.now()


def _owner(node: Obj) -> MutableObj:
    """Leases go with their Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "name": meta.name_of(node),
        "uid": meta.uid_of(node),
    }
