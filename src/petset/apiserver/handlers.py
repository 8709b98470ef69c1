"""Which function answers which verb, on resources and on what lies below them."""

from collections.abc import Awaitable, Callable, Mapping

from petset.api.errors import method_not_allowed, not_implemented
from petset.apiserver import collection, negotiate, reviews
from petset.apiserver.call import Call
from petset.apiserver.route import NotFoundPathError, Route
from petset.apiserver.subresources import binding, connect, eviction, log, scale, status
from petset.apiserver.verbs import create, delete, get, list, patch, update, watch  # noqa: A004
from petset.base.http import Reply

Handle = Callable[[Call], Awaitable[Reply]]

VERBS: Mapping[str, Handle] = {
    "get": get.get,
    "list": list.list_objects,
    "watch": watch.watch,
    "create": create.create,
    "update": update.update,
    "patch": patch.patch,
    "delete": delete.delete,
    "deletecollection": delete.delete_collection,
}

BELOW: Mapping[tuple[str, str], Handle] = {
    ("status", "get"): get.get,
    ("status", "update"): update.update,
    ("status", "patch"): patch.patch,
    ("scale", "get"): scale.get,
    ("scale", "update"): scale.put,
    ("scale", "patch"): scale.patch_scale,
    ("finalize", "update"): status.finalize,
    ("binding", "create"): binding.bind,
    ("eviction", "create"): eviction.evict,
    ("log", "get"): log.log,
    ("exec", "get"): connect.execute,
    ("exec", "create"): connect.execute,
    ("attach", "get"): connect.attach,
    ("attach", "create"): connect.attach,
    ("portforward", "get"): connect.portforward,
    ("portforward", "create"): connect.portforward,
}

LONG_BELOW = frozenset({"log", "exec", "attach", "portforward", "proxy"})
"""Subresources whose answers may take as long as they like."""


def find(route: Route) -> Handle:
    """The function for `route`.

    Raises StatusError 405 for verbs that the resource does not have, 501 for what is not there
    yet, and NotFoundPathError for subresources that do not exist.
    """
    resource = route.resource
    if route.subresource:
        return _find_below(route)
    if resource.namespaced and not route.namespace and route.verb not in ("list", "watch"):
        raise method_not_allowed()
    misplaced = route.verb == ("create" if route.name else "patch")
    if misplaced or route.verb not in resource.verbs:
        raise method_not_allowed()
    if resource.id in reviews.REVIEWS:
        return reviews.review
    if resource.id == "bindings":
        return binding.bind_any
    if resource.id == "componentstatuses":
        return no_components
    return VERBS[route.verb]


def _find_below(route: Route) -> Handle:
    described = route.find_subresource()
    if described is None:
        raise NotFoundPathError
    if route.verb not in described.verbs:
        raise method_not_allowed()
    found = BELOW.get((route.subresource, route.verb))
    if found is None:
        raise not_implemented(f"{route.resource.id}/{route.subresource}")
    return found


async def no_components(call: Call) -> Reply:
    """ComponentStatuses are long deprecated: there are none."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.LIST)
    return await collection.listed(call, [], {"resourceVersion": str(call.backend.store.revision)})
