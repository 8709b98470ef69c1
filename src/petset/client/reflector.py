"""Keeps caches up to date: list, watch, and list again when the history is gone."""

from petset.client.cache import Cache
from petset.client.client import Client


class Informers:
    """Shared caches of one process: one reflector per (resource, field selector).

    `cache()` may be called before `run`; a cache asked for later starts at once.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def cache(self, resource: str, *, fields: str = "") -> Cache:
        """The shared cache of `resource`, made on first use."""
        raise NotImplementedError

    async def run(self) -> None:
        """Reflect every cache until cancelled: list+watch, back off on errors, relist on 410."""
        raise NotImplementedError

    async def wait_synced(self) -> None:
        """Wait until every cache asked for so far has its first list."""
        raise NotImplementedError
