"""Caches of the resources that a test has objects of, and of no others.

The garbage collector follows every resource there is. Where a control plane starts often, most of
the time would go into lists and watches that never bring anything.

Invariant: whoever leaves a resource out looks at the end whether it has stayed empty.
"""

from collections.abc import Set as AbstractSet

from petset.client.cache import Cache
from petset.client.client import Client
from petset.client.reflector import Informers


class NarrowInformers(Informers):
    """`Informers` that ask the server for some resources only.

    Args:
        followed: their names; the cache of any other is empty from the start, and stays so.
    """

    def __init__(self, client: Client, followed: AbstractSet[str]) -> None:
        super().__init__(client)
        self._followed = followed
        self._idle: dict[str, Cache] = {}

    def cache(self, resource: str, *, fields: str = "") -> Cache:
        """The shared cache of `resource`, made on first use."""
        if resource in self._followed:
            return super().cache(resource, fields=fields)
        idle = self._idle.get(resource)
        if idle is None:
            idle = self._idle[resource] = Cache(resource)
            idle.replace([], "")
        return idle
