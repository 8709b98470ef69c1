"""pods/binding and bindings: a pod gets its node."""

from dataclasses import replace

from petset.api.errors import FieldError, conflict, invalid_object, not_supported, required
from petset.api.meta import MutableObj, Obj, format_time, is_deleting
from petset.api.registry import by_path
from petset.apiserver import answer, body, negotiate, write
from petset.apiserver.admission.pods import place_labels
from petset.apiserver.call import Call
from petset.apiserver.verbs import options
from petset.base.http import Reply

BINDINGS = by_path("", "v1", "bindings")


async def bind_any(call: Call) -> Reply:
    """POST bindings: the pod is named in the body."""
    pods = by_path("", "v1", "pods")
    assert pods is not None
    call.route = replace(call.route, resource=pods, stored=pods, subresource="binding")
    return await bind(call)


async def bind(call: Call) -> Reply:
    """Set spec.nodeName of a pod that has none; 409 if it has one or is on its way out."""
    assert BINDINGS is not None
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OTHER)
    options.read_write_options(call, "CreateOptions")
    binding = body.read_object(call, BINDINGS)
    meta, target = binding.get("metadata") or {}, binding.get("target") or {}
    name = call.route.name or meta.get("name") or ""
    write.fit_namespace(call, dict(meta))
    if faults := _faults(name, meta, target):
        raise invalid_object("", "Binding", name, faults)

    def change(pod: MutableObj) -> MutableObj:
        return _bound(call, pod, binding)

    await write.update(call, change, name=name, about=write.PART)
    return answer.value_of(call, answer.success(code=201), 201)


def _faults(name: str, meta: Obj, target: Obj) -> list[FieldError]:
    faults = []
    if not name:
        faults.append(required("metadata.name", "name or generateName is required"))
    elif meta.get("name") not in (None, "", name):
        faults.append(FieldError("metadata.name", "FieldValueInvalid", "must match the URL"))
    if target.get("kind") not in (None, "", "Node"):
        faults.append(not_supported("target.kind", target["kind"], ["Node"]))
    if not target.get("name"):
        faults.append(required("target.name"))
    return faults


def _bound(call: Call, pod: MutableObj, binding: Obj) -> MutableObj:
    meta, node = binding.get("metadata") or {}, binding["target"]["name"]
    mine = pod["metadata"]
    name = mine["name"]
    spec = pod.get("spec") or {}
    if is_deleting(pod):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise conflict("pods/binding", name, why)
    if spec.get("nodeName"):
        why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
        raise conflict("pods/binding", name, why)
    if spec.get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
        raise conflict("pods/binding", name, why)
    changed = dict(mine)
    for key in ("uid", "resourceVersion"):
        if meta.get(key):
            changed[key] = meta[key]
    for key in ("annotations", "labels"):
        if meta.get(key):
            changed[key] = {**(changed.get(key) or {}), **meta[key]}
    if places := place_labels(call.backend.view, node):
        changed["labels"] = {**(changed.get("labels") or {}), **places}
    now = format_time(call.backend.clock.now())
    status = pod.get("status") or {}
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastTransitionTime": now,
    }
    conditions = [c for c in status.get("conditions") or () if c.get("type") != "PodScheduled"]
    return {
        **pod,
        "metadata": changed,
        "spec": {**spec, "nodeName": node},
        "status": {**status, "conditions": [*conditions, scheduled]},
    }
