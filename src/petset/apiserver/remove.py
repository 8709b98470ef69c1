"""Deleting an object: preconditions, grace, finalizers; at once, or in two steps."""

from petset.api.errors import conflict, not_found
from petset.api.meta import MutableObj, Obj, format_time, parse_time
from petset.apiserver import objects, write
from petset.apiserver.admission import chain
from petset.apiserver.call import Call
from petset.apiserver.objects import Change
from petset.apiserver.verbs.options import DeleteOptions
from petset.apiserver.write import Written
from petset.store.types import ConflictError, Item

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
ORPHANING_KINDS = frozenset({"jobs.batch", "replicationcontrollers"})


async def delete(
    call: Call, name: str, options: DeleteOptions, *, check: Change | None = None
) -> Written:
    """Delete object `name` of the call's collection.

    `check` looks at (and may change) a copy of the object before it is marked or removed. Raises
    StatusError 404, 409.
    """
    route = call.route
    key = f"{route.stored.id}/{route.namespace}/{name}"
    for _ in range(write.WRITE_TRIES):
        item = call.backend.store.head(key)
        if item is None:
            raise not_found(route.resource.id, name)
        try:
            return await _delete_once(call, item, options, check)
        except ConflictError:
            continue
    raise conflict(route.resource.id, name)


async def _delete_once(
    call: Call, item: Item, options: DeleteOptions, check: Change | None
) -> Written:
    old = objects.decode(item.value)
    name = old["metadata"]["name"]
    _check_preconditions(call, old, name, options)
    attrs = write.attributes(call, chain.DELETE)
    chain.refuse_delete(attrs)
    new = objects.decode(item.value)
    new["metadata"] = dict(new["metadata"])
    if check is not None:
        new = check(new)
    at_once = _mark(call, new, options)
    if at_once:
        if call.dry_run:
            return Written(item.value, changed=False, gone=True)
        return await write.remove(call, item, new)
    if new == old:
        return await write.unchanged(call, item)
    if call.dry_run:
        return Written(objects.at_revision(objects.arrange(new), item.revision), changed=False)
    written = await call.backend.store.put(item.key, objects.maker(new), expect=item.revision)
    return Written(written.value)


def _check_preconditions(call: Call, old: Obj, name: str, options: DeleteOptions) -> None:
    meta = old["metadata"]
    pairs = (("UID", options.uid, "uid"), ("ResourceVersion", options.revision, "resourceVersion"))
    for word, wanted, key in pairs:
        if wanted and wanted != meta.get(key):
            why = (
                f"the {word} in the precondition ({wanted}) does not match the {word} in record "
                f"({meta.get(key)}). The object might have been deleted and then recreated"
            )
            raise conflict(call.route.resource.id, name, why)


def _mark(call: Call, obj: MutableObj, options: DeleteOptions) -> bool:
    """Write the marks of deletion into `obj`; True when nothing is left to wait for."""
    now = call.backend.clock.now()
    _set_finalizers(call, obj, options)
    meta = obj["metadata"]
    if call.route.stored.id == "namespaces":
        return _mark_namespace(obj, now)
    if call.behaviour.graceful:
        grace_s = _mark_graceful(obj, options, now)
        return grace_s == 0 and not meta.get("finalizers")
    if not meta.get("finalizers"):
        return True
    _stamp(meta, now, 0)
    return False


def _mark_namespace(obj: MutableObj, now: float) -> bool:
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = format_time(now)
    obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return not meta.get("finalizers") and not (obj.get("spec") or {}).get("finalizers")


def _mark_graceful(obj: MutableObj, options: DeleteOptions, now: float) -> int:
    """Mark a Pod; answers the grace period that it ends up with, in seconds."""
    meta = obj["metadata"]
    present = meta.get("deletionGracePeriodSeconds")
    if meta.get("deletionTimestamp"):
        return _shorten(meta, present, options)
    grace_s = _grace(obj, options)
    _stamp(meta, now, grace_s)
    return grace_s


def _shorten(meta: MutableObj, present: int | None, options: DeleteOptions) -> int:
    if present is None:
        return 0
    wanted = options.grace_s
    if wanted is not None and wanted < 0:
        wanted = 1
    if wanted is None or wanted >= present:
        return present
    stamped = parse_time(meta["deletionTimestamp"])
    if stamped is not None:
        meta["deletionTimestamp"] = format_time(stamped - present + wanted)
    meta["deletionGracePeriodSeconds"] = wanted
    return wanted


def _grace(pod: Obj, options: DeleteOptions) -> int:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Failed", "Succeeded"):
        return 0
    grace_s = options.grace_s
    if grace_s is None:
        grace_s = int(spec.get("terminationGracePeriodSeconds", 30))
    return 1 if grace_s < 0 else grace_s


def _stamp(meta: MutableObj, now: float, grace_s: int) -> None:
    if meta.get("deletionTimestamp"):
        return
    meta["deletionTimestamp"] = format_time(now + grace_s)
    meta["deletionGracePeriodSeconds"] = grace_s
    if meta.get("generation"):
        meta["generation"] += 1


def _set_finalizers(call: Call, obj: MutableObj, options: DeleteOptions) -> None:
    """Add or take away the finalizers by which the garbage collector is told what to do."""
    meta = obj["metadata"]
    before = list(meta.get("finalizers") or ())
    orphan, foreground = _propagation(call, before, options)
    after = [f for f in before if f not in (ORPHAN, FOREGROUND)]
    after += [ORPHAN] if orphan else []
    after += [FOREGROUND] if foreground else []
    if set(after) == set(before):
        return
    meta.pop("finalizers", None)
    if after:
        meta["finalizers"] = after


def _propagation(call: Call, before: list[str], options: DeleteOptions) -> tuple[bool, bool]:
    if options.orphan is not None:
        return options.orphan, False
    if options.policy:
        return options.policy == "Orphan", options.policy == "Foreground"
    if ORPHAN in before or FOREGROUND in before:
        return ORPHAN in before, FOREGROUND in before
    orphans = call.behaviour.default_propagation == "Orphan"
    return orphans or call.route.stored.id in ORPHANING_KINDS, False


def gone_details(call: Call, obj: Obj) -> dict[str, str]:
    """The details of the Status that answers a completed deletion."""
    resource = call.route.resource
    details = {"name": obj["metadata"]["name"]}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.plural
    details["uid"] = obj["metadata"]["uid"]
    return details
