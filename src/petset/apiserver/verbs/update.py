"""update: an object is replaced by another state of it."""

from petset.api.errors import bad_request
from petset.api.meta import MutableObj
from petset.apiserver import answer, body, negotiate, write
from petset.apiserver.call import Call
from petset.apiserver.verbs import options
from petset.base.http import Reply


async def update(call: Call) -> Reply:
    """Replace the object (or its status) by the body."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OBJECT)
    options.read_write_options(call, "UpdateOptions")
    wanted = call.inward(body.read_object(call, call.route.resource))
    given = (wanted.get("metadata") or {}).get("name")
    if given != call.route.name:
        raise bad_request(
            f"the name of the object ({given or ''}) does not match the name on the URL "
            f"({call.route.name})"
        )
    if _creates(call):
        written = await write.create(call, wanted)
        return answer.stored(call, written.value, 201)

    def change(old: MutableObj) -> MutableObj:
        del old
        return {**wanted, "metadata": dict(wanted.get("metadata") or {})}

    about = write.STATUS if call.route.subresource == "status" else write.MAIN
    written = await write.update(call, change, about=about)
    return answer.stored(call, written.value)


def _creates(call: Call) -> bool:
    """Whether this PUT makes a new object: some kinds allow that."""
    if call.route.subresource or not call.behaviour.create_on_update:
        return False
    return call.backend.store.head(call.route.key) is None
