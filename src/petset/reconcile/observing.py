"""How controllers find what they own: indexes by owner, and a live look before adopting."""

from collections.abc import Iterable

from petset.api import errors, meta
from petset.api.meta import Obj
from petset.client.cache import Cache
from petset.client.client import Client

OWNER = "controller-uid"
ORPHAN = "orphan-namespace"


def index_owned(cache: Cache, *, orphans: bool = False) -> None:
    """Have `cache` file objects under the uid of their controller (index `OWNER`), and those that
    have none under their namespace (index `ORPHAN`) if asked for."""
    cache.add_index(OWNER, _controller_uids)
    if orphans:
        cache.add_index(ORPHAN, _orphan_namespaces)


async def is_there(client: Client, resource: str, obj: Obj) -> bool:
    """A live look: whether this very object is there and not being deleted.

    Raises what the client raises but for NotFound.
    """
    if meta.is_deleting(obj):
        return False
    try:
        live = await client.get(resource, meta.name_of(obj), meta.namespace_of(obj))
    except errors.StatusError as error:
        if error.code == 404:
            return False
        raise
    return meta.uid_of(live) == meta.uid_of(obj) and not meta.is_deleting(live)


def _controller_uids(obj: Obj) -> Iterable[str]:
    controller = meta.controller_of(obj)
    return () if controller is None else (str(controller.get("uid")),)


def _orphan_namespaces(obj: Obj) -> Iterable[str]:
    return (meta.namespace_of(obj),) if meta.controller_of(obj) is None else ()
