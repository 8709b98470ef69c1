"""create: a new object."""

from petset.apiserver import answer, body, negotiate, write
from petset.apiserver.call import Call
from petset.apiserver.verbs import options
from petset.base.http import Reply


async def create(call: Call) -> Reply:
    """Store the object in the body. 201 with what was stored."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OBJECT)
    options.read_write_options(call, "CreateOptions")
    obj = call.inward(body.read_object(call, call.route.resource))
    written = await write.create(call, obj)
    return answer.stored(call, written.value, 201)
