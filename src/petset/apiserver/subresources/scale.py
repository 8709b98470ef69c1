"""*/scale: the replica count of a workload as a Scale of its own."""

from typing import Any

from petset.api import selectors
from petset.api.errors import StatusError, invalid, invalid_object
from petset.api.meta import MutableObj, Obj
from petset.apiserver import answer, body, negotiate, objects, write
from petset.apiserver.call import Call
from petset.apiserver.verbs import apply, options, patch
from petset.apiserver.verbs.get import find
from petset.base.http import Reply

SCALE = apply.SCALE


def scale_of(obj: Obj) -> MutableObj:
    """The Scale of a workload."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    result: dict[str, Any] = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {k: meta[k] for k in kept if k in meta},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {"replicas": status.get("replicas", 0)},
    }
    if text := _selector_text(spec.get("selector")):
        result["status"]["selector"] = text
    return result


def _selector_text(selector: Any) -> str:
    if not isinstance(selector, dict):
        return ""
    if "matchLabels" in selector or "matchExpressions" in selector:
        return str(selectors.from_object(selector))
    return str(selectors.from_labels(selector))


async def get(call: Call) -> Reply:
    """Answer with the Scale."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OBJECT)
    return answer.value_of(call, scale_of(find(call)))


async def put(call: Call) -> Reply:
    """Replace the Scale."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OBJECT)
    options.read_write_options(call, "UpdateOptions")
    wanted = body.read_object(call, SCALE)
    return await _store(call, lambda scale: wanted)


async def patch_scale(call: Call) -> Reply:
    """Patch the Scale, or apply one."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OBJECT)
    applies = patch.patch_type(call) == patch.APPLY
    options.read_write_options(call, "PatchOptions", applies=applies)
    if not applies:
        return await _store(call, patch.reader(call, SCALE))
    call.applies = True
    config = apply.read_config(call, SCALE)
    return await _write(call, lambda parent: apply.scaled(call, config, parent))


async def _store(call: Call, change: objects.Change) -> Reply:
    def change_parent(parent: MutableObj) -> MutableObj:
        wanted = change(scale_of(parent))
        return _apply(call, parent, wanted)

    return await _write(call, change_parent)


async def _write(call: Call, change: objects.Change) -> Reply:
    written = await write.update(call, change)
    return answer.value_of(call, scale_of(objects.decode(written.value)))


def _apply(call: Call, parent: MutableObj, scale: Obj) -> MutableObj:
    meta = scale.get("metadata") or {}
    name = parent["metadata"]["name"]
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        fault = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise _invalid_scale(name, fault)
    given = meta.get("name") or name
    kept = dict(parent["metadata"], name=given)
    for key in ("uid", "resourceVersion"):
        if key in meta or call.request.method == "PUT":
            kept[key] = meta.get(key, "")
    return {
        **parent,
        "metadata": kept,
        "spec": {**(parent.get("spec") or {}), "replicas": replicas},
    }


def _invalid_scale(name: str, fault: Any) -> StatusError:
    return invalid_object("autoscaling", "Scale", name, [fault])
