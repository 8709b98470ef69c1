"""*/status, */approval and namespaces/finalize: one part of an object, written on its own."""

from petset.api.meta import MutableObj
from petset.apiserver import answer, body, negotiate, write
from petset.apiserver.call import Call
from petset.apiserver.verbs import options
from petset.base.http import Reply


async def finalize(call: Call) -> Reply:
    """Replace a Namespace's spec.finalizers; the last one gone, it goes too."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OBJECT)
    options.read_write_options(call, "UpdateOptions")
    wanted = body.read_object(call, call.route.resource)
    finalizers = (wanted.get("spec") or {}).get("finalizers") or []

    def change(old: MutableObj) -> MutableObj:
        spec = {k: v for k, v in (old.get("spec") or {}).items() if k != "finalizers"}
        if finalizers:
            spec["finalizers"] = finalizers
        meta = dict(old["metadata"])
        given = wanted.get("metadata") or {}
        for key in ("name", "uid", "resourceVersion"):
            meta[key] = given.get(key) or ("" if key == "resourceVersion" else meta[key])
        return {**old, "metadata": meta, "spec": spec}

    written = await write.update(call, change, about=write.PART)
    return answer.stored(call, written.value)
