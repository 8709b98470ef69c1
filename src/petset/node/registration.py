"""Registers the node, renews its lease, and keeps its status up to date."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from petset.api import errors, meta
from petset.api.meta import MutableObj, Obj
from petset.base.clock import Clock
from petset.client.client import Client
from petset.client.lease import Lease
from petset.client.transport import TransportError
from petset.node import machine, nodeobject
from petset.node.machine import Machine
from petset.node.nodeobject import NodeFacts

LEASE_NAMESPACE = "kube-node-lease"
LEASE_EVERY_S = 10.0
STATUS_EVERY_S = 300.0
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 5.0

Say = Callable[[str, str, str], None]

_log = logging.getLogger(__name__)


class Registration:
    """One node's place in the cluster.

    A Node object that is deleted while the agent runs is not made again, as upstream: the agent
    has to be started anew, as an operator who removes a node expects. Should somebody else make
    it again, it is reported to.

    Args:
        facts: what is told of the node, asked each time.
        say: tells what happened to the node: type, reason, message of an event.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        state_dir: Path,
        facts: Callable[[], NodeFacts],
        say: Say,
    ) -> None:
        self._client = client
        self._clock = clock
        self._state_dir = state_dir
        self._facts = facts
        self._say = say
        self._node: MutableObj = {}
        self._told: MutableObj = {}
        self._told_at = 0.0
        self._cordoned = False
        self._lost = False
        self._there = asyncio.Event()
        self._wake = asyncio.Event()
        self.registered = asyncio.Event()

    async def run(self) -> None:
        """Register, then keep lease and status until cancelled."""
        self._say("Normal", "Starting", "Starting kubelet.")
        await self._persist(self._create_or_adopt)
        self.registered.set()
        while True:
            await self._report()
            _log.warning("the Node object was deleted; this agent no longer reports")
            await self._persist(self._adopt_when_there)
            _log.info("there is a Node object again; this agent reports to it")

    def node_changed(self, old: Obj | None, new: Obj | None) -> None:
        """Take a change of a Node as a watch tells of it; others than our own are passed over.

        A Node that was deleted is noticed at once, so is one that was told to be silent.
        """
        name, own = meta.name_of(self._node), meta.uid_of(self._node)
        if not own or meta.name_of(new or old or {}) != name:
            return
        if new is None:
            self._there.clear()
            self._lost = self._lost or (old is not None and meta.uid_of(old) == own)
            self._wake.set()
            return
        self._there.set()
        if meta.uid_of(new) != own:
            self._lost = True
            self._wake.set()
            return
        if self._told and nodeobject.news(new.get("status") or {}, self._told):
            self._told = {}  # somebody took us for dead
            self._wake.set()
        cordoned = bool((new.get("spec") or {}).get("unschedulable"))
        if cordoned != self._cordoned:
            self._cordoned = cordoned
            self._tell("NodeNotSchedulable" if cordoned else "NodeSchedulable")

    async def _report(self) -> None:
        """Keep lease and status until the Node is deleted."""
        lease = Lease(
            self._client,
            self._clock,
            meta.name_of(self._node),
            LEASE_NAMESPACE,
            meta.name_of(self._node),
            owners=(_owner(self._node),),
        )
        while not self._lost:
            self._wake.clear()
            try:
                await lease.renew()
            except (TransportError, errors.StatusError) as error:
                _log.warning("node lease not renewed: %s", error)
            if not await self.beat():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEASE_EVERY_S):
                    await self._wake.wait()

    async def _persist(self, begin: Callable[[], Awaitable[MutableObj]]) -> None:
        """Find or make the Node by `begin` and write its status, however long the API needs."""
        delay = RETRY_FIRST_S
        while True:
            try:
                self._node = await begin()
                self._lost = False
                await self._write_status()
            except (TransportError, errors.StatusError) as error:
                _log.info("node not registered yet: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)
            else:
                return

    async def _adopt_when_there(self) -> MutableObj:
        """Take the Node that somebody else has made."""
        await self._there.wait()
        return await self._adopt(self._facts(), machine.look(self._state_dir))

    async def _create_or_adopt(self) -> MutableObj:
        facts, seen = self._facts(), machine.look(self._state_dir)
        fresh = nodeobject.make(facts, seen, self._clock.now())
        try:
            made = await self._client.create("nodes", fresh)
        except errors.StatusError as error:
            if error.code != 409:
                raise
            return await self._adopt(facts, seen)
        return {**made, "status": {}}  # nothing was known of it before: all of it is news

    async def _adopt(self, facts: NodeFacts, seen: Machine) -> MutableObj:
        fresh = nodeobject.make(facts, seen, self._clock.now())
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
        for reason in nodeobject.news(old, fresh):
            self._tell(reason)
        boot = nodeobject.rebooted(old, fresh)
        if boot:
            self._say("Warning", "Rebooted", f"Node {name} has been rebooted, boot id: {boot}")

    def _tell(self, reason: str) -> None:
        name = meta.name_of(self._node)
        self._say("Normal", reason, f"Node {name} status is now: {reason}")


def _owner(node: Obj) -> MutableObj:
    """Leases go with their Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "name": meta.name_of(node),
        "uid": meta.uid_of(node),
    }
