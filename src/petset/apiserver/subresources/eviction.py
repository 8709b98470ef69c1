"""pods/eviction: delete a pod if its disruption budget allows it (wire reference, section 9)."""

from typing import Any

from petset.api import selectors
from petset.api.errors import StatusError, bad_request, too_many_requests
from petset.api.meta import (
    MutableObj,
    Obj,
    condition_of,
    format_time,
    is_condition_true,
    is_deleting,
    labels_of,
)
from petset.api.resource import Resource
from petset.apiserver import answer, body, negotiate, objects, remove
from petset.apiserver.call import Call
from petset.apiserver.objects import maker
from petset.apiserver.subresources.podtarget import find_pod
from petset.apiserver.verbs import options
from petset.apiserver.verbs.options import DeleteOptions
from petset.base.http import Reply
from petset.store.types import ConflictError

BUDGETS = "poddisruptionbudgets.policy"
EVICTION = Resource(
    "policy", "v1", "evictions", "eviction", "Eviction", True, "io.k8s.api.policy.v1.Eviction"
)
TRIES = 8
PROCESSING_RETRY_S = 10


async def evict(call: Call) -> Reply:
    """Evict a pod: 201 and it is on its way out, 429 if its budget is used up."""
    call.format = negotiate.choose(call.request.headers.get("accept", ""), negotiate.OTHER)
    options.read_write_options(call, "CreateOptions")
    wanted = body.read_object(call, EVICTION)
    given = (wanted.get("metadata") or {}).get("name")
    if given and given != call.route.name:
        raise bad_request(
            f"name in URL does not match name in Eviction object: {call.route.name}: {given}"
        )
    delete_options = options.delete_options(wanted.get("deleteOptions") or {})
    call.dry_run = call.dry_run or delete_options.dry_run
    pod = find_pod(call)
    if _is_free(pod):
        await remove.delete(call, call.route.name, delete_options)
    else:
        await _evict_within_budget(call, pod, delete_options)
    return answer.value_of(call, answer.success(code=201), 201)


def _is_free(pod: Obj) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Pending", "Succeeded", "Failed") or is_deleting(pod)


async def _evict_within_budget(call: Call, pod: Obj, given: DeleteOptions) -> None:
    budget = _budget_of(call, pod)
    if budget is not None and not _passes_unready(pod, budget):
        await _spend(call, pod, budget["metadata"]["name"])

    def mark(current: MutableObj) -> MutableObj:
        return _disrupted(current, call.backend.clock.now())

    await remove.delete(call, call.route.name, given, check=mark)


def _budget_of(call: Call, pod: Obj) -> Obj | None:
    found = [
        budget
        for budget in call.backend.view.list(BUDGETS, call.route.namespace)
        if selectors.from_object((budget.get("spec") or {}).get("selector")).matches(labels_of(pod))
    ]
    if len(found) > 1:
        message = (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does "
            "not support."
        )
        raise StatusError(500, "InternalError", message, {"causes": [{"message": message}]})
    return found[0] if found else None


def _passes_unready(pod: Obj, budget: Obj) -> bool:
    """Whether a pod that is not ready may go whatever the budget says."""
    if is_condition_true(pod, "Ready"):
        return False
    spec, status = budget.get("spec") or {}, budget.get("status") or {}
    if spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    return bool(healthy >= desired > 0)


async def _spend(call: Call, pod: Obj, name: str) -> None:
    """Take one disruption from the budget and note the pod in it. Raises StatusError 429."""
    store = call.backend.store
    key = f"{BUDGETS}/{call.route.namespace}/{name}"
    for _ in range(TRIES):
        item = store.head(key)
        if item is None:
            return
        budget = objects.decode(item.value)
        status = _spent(budget, pod, call.backend.clock.now())
        if call.dry_run:
            return
        try:
            await store.put(key, maker({**budget, "status": status}), expect=item.revision)
        except ConflictError:
            continue
        return
    raise too_many_requests("Cannot evict pod: its disruption budget changes too often.", 10)


def _spent(budget: Obj, pod: Obj, now: float) -> MutableObj:
    meta, status = budget["metadata"], dict(budget.get("status") or {})
    name = meta["name"]
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        message = f"The disruption budget {name} is still being processed by the server."
        raise _refusal(message, PROCESSING_RETRY_S)
    allowed = status.get("disruptionsAllowed", 0)
    if allowed <= 0:
        raise _refusal(f"The disruption budget {name} {_hindrance(status)}", 0)
    status["disruptionsAllowed"] = allowed - 1
    noted = dict(status.get("disruptedPods") or {})
    noted[pod["metadata"]["name"]] = format_time(now)
    status["disruptedPods"] = noted
    return status


def _hindrance(status: Obj) -> str:
    """Why a budget allows nothing now. Where its status could not be made, numbers say nothing."""
    told = condition_of({"status": status}, "DisruptionAllowed") or {}
    why = (told.get("message") or "") if told.get("status") == "False" else ""
    if why and told.get("reason") == "SyncFailed":
        return f"does not allow evicting pods currently because it failed sync: {why}"
    needs, has = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    if has <= needs:
        return f"needs {needs} healthy pods and has {has} currently"
    detail = f" ({told.get('reason')}): {why}" if why else ""
    return f"does not allow evicting pods currently{detail}"


def _refusal(why: str, retry_s: int) -> StatusError:
    cause: dict[str, Any] = {"reason": "DisruptionBudget", "message": why}
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return too_many_requests(message, retry_s, [cause])


def _disrupted(pod: MutableObj, now: float) -> MutableObj:
    status = dict(pod.get("status") or {})
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastTransitionTime": format_time(now),
    }
    others = [c for c in status.get("conditions") or () if c.get("type") != "DisruptionTarget"]
    status["conditions"] = [*others, condition]
    return {**pod, "status": status}
