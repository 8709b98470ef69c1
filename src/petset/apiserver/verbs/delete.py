"""delete and deletecollection."""

from petset.api.errors import StatusError
from petset.apiserver import answer, collection, negotiate, objects, remove, selection
from petset.apiserver.call import Call
from petset.apiserver.verbs import listing, options
from petset.apiserver.verbs.options import DeleteOptions
from petset.base.http import Reply


async def delete(call: Call) -> Reply:
    """Delete one object: answers with it while it is still there, else with a Status."""
    accept = call.request.headers.get("accept", "")
    call.format = negotiate.choose(accept, negotiate.OBJECT)
    given = _options(call)
    written = await remove.delete(call, call.route.name, given)
    if not written.gone or call.behaviour.deletion_returns_object:
        return answer.stored(call, written.value)
    details = remove.gone_details(call, objects.decode(written.value))
    return answer.value_of(call, answer.success(details))


def _options(call: Call) -> DeleteOptions:
    given = options.read_delete_options(call)
    if call.behaviour.deletion_warning and not given.policy and given.orphan is None:
        call.warn([call.behaviour.deletion_warning])
    return given


async def delete_collection(call: Call) -> Reply:
    """Delete every object that matches; answers with what was matched."""
    request, route = call.request, call.route
    call.format = negotiate.choose(request.headers.get("accept", ""), negotiate.LIST)
    given = _options(call)
    bounds = listing.of_request(request, watch=False)
    chosen = selection.of_request(request, route.resource, call.shown, "")
    snapshot = call.backend.store.list(route.prefix)
    matched: list[bytes] = []
    for item in snapshot.items:
        if bounds.limit and len(matched) >= bounds.limit:
            break
        obj = objects.decode(item.value)
        if chosen.is_everything or chosen.matches(obj):
            matched.append(item.value)
            await _delete_one(call, obj["metadata"]["name"], given)
    return await collection.listed(call, matched, {"resourceVersion": str(snapshot.revision)})


async def _delete_one(call: Call, name: str, given: DeleteOptions) -> None:
    try:
        await remove.delete(call, name, given)
    except StatusError as error:
        if error.code != 404:
            raise
