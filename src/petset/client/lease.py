"""A Lease that its holder keeps renewing, as nodes do to show that they are alive."""

import contextlib
from dataclasses import dataclass, field

from petset.api import errors, meta
from petset.api.meta import MutableObj, Obj
from petset.base.clock import Clock
from petset.client.client import Client

RESOURCE = "leases.coordination.k8s.io"


@dataclass(slots=True)
class Lease:
    """One lease and the last state its holder saw of it.

    Attributes:
        duration_s: how long a renewal is valid.
        owners: owner references that a lease made here gets.
    """

    client: Client
    clock: Clock
    name: str
    namespace: str
    holder: str
    duration_s: int = 40
    owners: tuple[Obj, ...] = ()
    _seen: MutableObj | None = field(default=None, init=False)

    async def renew(self) -> MutableObj:
        """Create the lease, or renew it on the state seen last, read again if that is stale.

        Raises StatusError and TransportError as the calls do; the next renewal starts afresh.
        """
        seen, self._seen = self._seen, None
        if seen is not None:
            # Refused in many ways: changed by another (409), or gone, which a PUT would make anew
            # but for its resourceVersion. What still stands in the way is met again below.
            with contextlib.suppress(errors.StatusError):
                return await self._update(seen)
        try:
            return await self._update(await self.client.get(RESOURCE, self.name, self.namespace))
        except errors.StatusError as error:
            if error.code != 404:
                raise
        self._seen = await self.client.create(RESOURCE, self._fresh(), self.namespace)
        return self._seen

    async def _update(self, seen: Obj) -> MutableObj:
        spec = {**(seen.get("spec") or {}), **self._spec()}
        self._seen = await self.client.update(RESOURCE, {**seen, "spec": spec})
        return self._seen

    def _spec(self) -> MutableObj:
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.duration_s,
            "renewTime": meta.format_micro_time(self.clock.now()),
        }

    def _fresh(self) -> MutableObj:
        metadata: MutableObj = {"name": self.name, "namespace": self.namespace}
        if self.owners:
            metadata["ownerReferences"] = [dict(owner) for owner in self.owners]
        return {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": metadata,
            "spec": self._spec(),
        }
