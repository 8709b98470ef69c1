"""get: one object."""

from petset.api.errors import not_found
from petset.api.meta import Obj
from petset.apiserver import answer, negotiate, objects
from petset.apiserver.call import Call
from petset.apiserver.verbs import list, listing  # noqa: A004
from petset.base.http import Reply


def find(call: Call) -> Obj:
    """The object that the URL names, decoded. Raises StatusError 404."""
    item = call.backend.store.get(call.route.key)
    if item is None:
        raise not_found(call.route.resource.id, call.route.name)
    return objects.decode(item.value)


async def get(call: Call) -> Reply:
    """The committed state of one object. Raises StatusError 404."""
    route, store = call.route, call.backend.store
    if text := call.request.param("resourceVersion"):
        await list.await_revision(store, listing.parse_revision(text))
    item = store.get(route.key)
    if item is None:
        raise not_found(route.resource.id, route.name)
    accept = call.request.headers.get("accept", "")
    call.format = negotiate.choose(accept, negotiate.OBJECT)
    return answer.stored(call, item.value)
