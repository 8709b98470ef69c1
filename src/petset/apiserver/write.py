"""The path of every write: metadata, defaults, admission, validation, compare-and-swap.

Invariant: between reading the newest state and handing the write to the store nothing is awaited,
so a decision is never made on a state that another write of this server has replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api import names
from petset.api.check import drop, same_semantically
from petset.api.errors import (
    FieldError,
    StatusError,
    already_exists,
    bad_request,
    conflict,
    invalid,
    invalid_object,
    not_found,
)
from petset.api.meta import MutableObj, Obj, format_time, name_of
from petset.api.patch.managed import Entries, same_but_times
from petset.api.prune import copy, prune
from petset.apiserver import objects, ownership
from petset.apiserver.admission import chain, storage, unsupported
from petset.apiserver.call import Call
from petset.apiserver.objects import Change
from petset.store.types import ConflictError, Done, Item

NAME_TRIES = 8
WRITE_TRIES = 16
KEEP_STATUS = frozenset({"nodes"})
"""Resources whose status may come with their creation: agents register Nodes that way."""
GENERATED_BASE_MAX = 58
_NOT_COUNTED = ("kind", "apiVersion", "metadata", "status")
_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
)
_NOT_TAKEN = frozenset((*_SERVER_OWNED, "resourceVersion", "managedFields", "selfLink"))
_NOT_KEPT_EMPTY = ("generateName", "name", "labels", "annotations", "ownerReferences", "finalizers")


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a write.

    Attributes:
        value: the object's bytes as stored, or as they would be (dry run).
        changed: whether anything was written.
        gone: whether the write removed the object.
    """

    value: bytes
    changed: bool = True
    gone: bool = False


def attributes(call: Call, operation: str) -> chain.Attributes:
    """What admission is told of the request."""
    route = call.route
    return chain.Attributes(
        operation=operation,
        resource=route.resource,
        subresource=route.subresource,
        namespace=route.namespace,
        name=route.name,
        identity=call.identity,
        view=call.backend.view,
        config=call.backend.config,
        now=call.backend.clock.now(),
    )


# -- create ---------------------------------------------------------------------------------------


async def create(call: Call, obj: MutableObj, entries: Entries | None = None) -> Written:
    """Store a new object. `obj` is the caller's own and is changed.

    `entries` are its managedFields if an apply has made them.
    """
    _prepare_new(call, obj, entries)
    try:
        return await _put_new(call, obj)
    except ConflictError as error:
        raise _exists(call, obj, error) from None


def put_soon(call: Call, obj: MutableObj, done: Done) -> None:
    """`create` without waiting; not for Services, not for dry runs.

    Raises ConflictError where there is such an object.
    """
    _prepare_new(call, obj, None)
    call.backend.store.put_soon(_key(call, obj), objects.maker(obj), done, expect=0)


def _prepare_new(call: Call, obj: MutableObj, entries: Entries | None) -> None:
    """Make `obj` what is stored, but for its revision. Raises StatusError."""
    sent = (obj.get("metadata") or {}).get("managedFields")
    _own_metadata(call, obj)
    _give_name(call, obj)
    behaviour, resource = call.behaviour, call.route.resource
    behaviour.default(obj)
    if entries is None:
        entries = ownership.created(call, obj, sent)
    attrs = attributes(call, chain.CREATE)
    chain.mutate(attrs, obj, None)
    if resource.has_status and resource.id not in KEEP_STATUS:
        obj["status"] = {}
    behaviour.prepare_create(obj)
    if behaviour.generation:
        obj["metadata"]["generation"] = 1
    ownership.put(obj, entries)
    _check_new(call, obj, attrs, ownership.faults(call, sent))


def _give_name(call: Call, obj: MutableObj) -> None:
    """Make the name of an object that comes with generateName only: one that is free.

    It stays free until the object is handed to the store, because nothing is awaited on the way.
    """
    meta = obj["metadata"]
    if meta.get("name") or not meta.get("generateName"):
        return
    for _ in range(NAME_TRIES):
        meta["name"] = meta["generateName"][:GENERATED_BASE_MAX] + call.backend.ids.suffix()
        if call.backend.store.head(_key(call, obj)) is None:
            return
    raise _no_name_left(call, obj)


def _key(call: Call, obj: Obj) -> str:
    meta = obj["metadata"]
    return f"{call.route.stored.id}/{meta.get('namespace', '')}/{meta['name']}"


def _own_metadata(call: Call, obj: MutableObj) -> None:
    meta = obj["metadata"] = dict(obj.get("metadata") or {})
    if meta.get("resourceVersion"):
        raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
    if not _NOT_TAKEN.isdisjoint(meta):
        for key in _NOT_TAKEN:
            meta.pop(key, None)
    fit_namespace(call, meta)
    if call.route.name and meta.setdefault("name", call.route.name) != call.route.name:
        raise _name_mismatch(meta["name"], call.route.name)
    meta["uid"] = call.backend.ids.uid()
    meta["creationTimestamp"] = format_time(call.backend.clock.now())
    if not all(meta.values()):
        for key in _NOT_KEPT_EMPTY:
            if key in meta and not meta[key]:
                del meta[key]


def fit_namespace(call: Call, meta: MutableObj) -> None:
    """Give the object the URL's namespace. Raises StatusError 400 when it names another one."""
    route = call.route
    if not route.resource.namespaced:
        if not meta.get("namespace"):
            meta.pop("namespace", None)
        return
    if not meta.get("namespace"):
        meta["namespace"] = route.namespace
    if meta["namespace"] != route.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _check_new(call: Call, obj: Obj, attrs: chain.Attributes, faults: Sequence[FieldError]) -> None:
    behaviour, resource = call.shown, call.route.resource
    faults = [*names.validate_metadata(obj, resource.namespaced, behaviour.name_rule), *faults]
    refuse(call, obj, [*faults, *behaviour.validate(obj)])
    chain.validate(attrs, obj, None)
    call.warn(unsupported.warnings(resource.id))
    call.warn(behaviour.warnings(obj))


def refuse(call: Call, obj: Obj, faults: Sequence[FieldError]) -> None:
    """Raise StatusError 422 if there are faults."""
    if faults:
        resource = call.route.resource
        raise invalid_object(resource.group, resource.kind, name_of(obj), faults)


async def _put_new(call: Call, obj: Obj) -> Written:
    backend, resource, key = call.backend, call.route.stored, _key(call, obj)
    if call.dry_run:
        found = backend.store.head(key)
        if found is not None:
            raise ConflictError(key, found)
        with backend.services.reserve(resource.id, obj, None, keep=False) as final:
            return Written(objects.at_revision(objects.arrange(final), 0), changed=False)
    with backend.services.reserve(resource.id, obj, None) as final:
        item = await backend.store.put(key, objects.maker(final), expect=0)
        return Written(item.value)


def _exists(call: Call, obj: Obj, error: ConflictError) -> StatusError:
    found = already_exists(call.route.resource.id, name_of(obj))
    current = objects.decode_item(error.current)
    if current and current["metadata"].get("deletionTimestamp"):
        message = f"object is being deleted: {found.message}"
        return StatusError(found.code, found.reason, message, found.details)
    return found


def _no_name_left(call: Call, obj: Obj) -> StatusError:
    found = already_exists(call.route.resource.id, name_of(obj))
    message = f"{found.message}, the server was not able to generate a unique name for the object"
    return StatusError(409, "AlreadyExists", message, {**found.details, "retryAfterSeconds": 1})


def _name_mismatch(given: str, wanted: str) -> StatusError:
    return bad_request(
        f"the name of the object ({given}) does not match the name on the URL ({wanted})"
    )


# -- update ---------------------------------------------------------------------------------------


MAIN, STATUS, PART = "main", "status", "part"
"""What an update is about: the object without its status; its status; a part that the server
itself has checked (a binding, finalizers of a namespace)."""


async def update(call: Call, change: Change, *, name: str = "", about: str = MAIN) -> Written:
    """Replace an object by what `change` makes of it, again if another write comes between.

    Where that is about STATUS or a PART, `change` leaves what it is given as it is, unless it is an
    apply: its result may share with it.
    """
    route = call.route
    name = name or route.name
    key = f"{route.stored.id}/{route.namespace}/{name}"
    for _ in range(WRITE_TRIES):
        item = call.backend.store.head(key)
        if item is None:
            raise not_found(route.resource.id, name)
        try:
            return await _update_once(call, item, change, about)
        except ConflictError:
            continue
    raise conflict(route.resource.id, name)


async def _update_once(call: Call, item: Item, change: Change, about: str) -> Written:
    old = objects.decode(item.value)
    new = change(objects.decode(item.value) if about == MAIN or call.applies else old)
    sent = (new.get("metadata") or {}).get("managedFields")
    _carry_metadata(call, new, old, item.revision)
    if new == old and not ownership.is_sent(call, old, sent):
        call.warn(call.behaviour.warnings_of_update(new, old) if about == MAIN else ())
        return await unchanged(call, item)
    attrs = attributes(call, chain.UPDATE)
    faults: list[FieldError] = []
    if about == STATUS:
        new = _only_status(call, new, old)
        faults = call.behaviour.validate_status(new, old)
    elif about == MAIN:
        faults = _prepare_main(call, new, old, attrs)
    faults = [*names.validate_metadata_update(new, old), *ownership.faults(call, sent), *faults]
    refuse(call, new, faults)
    chain.validate(attrs, new, old)
    same = new == old
    entries = ownership.updated(call, new, old, sent)
    if same and same_but_times(entries, ownership.of_live(old)):
        return await unchanged(call, item)
    ownership.put(new, entries)
    return await store_change(call, item, new, old)


async def unchanged(call: Call, item: Item) -> Written:
    """The answer to an update that changes nothing, given once the stored state is durable."""
    await call.backend.store.durable(item.revision)
    return Written(item.value, changed=False)


def _prepare_main(
    call: Call, new: MutableObj, old: Obj, attrs: chain.Attributes
) -> list[FieldError]:
    behaviour, resource = call.behaviour, call.route.resource
    behaviour.default(new)
    chain.mutate(attrs, new, old)
    if resource.has_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = copy(old["status"])
    behaviour.prepare_update(new, old)
    count_generation(call, new, old)
    call.warn(behaviour.warnings_of_update(new, old))
    return call.shown.faults_of_update(new, old)


def count_generation(call: Call, new: MutableObj, old: Obj) -> None:
    """Raise metadata.generation if the spec differs."""
    if not call.behaviour.generation:
        return
    before = old["metadata"].get("generation", 0)
    wanted, had = _counted(new), _counted(old)
    if same_semantically(wanted, had):
        return
    settled = prune(call.route.stored.schema, old)  # what is stored may be older than its rules
    if not same_semantically(wanted, _counted(settled)):
        new["metadata"]["generation"] = before + 1


def _counted(obj: Obj) -> object:
    """What a change of counts: the spec, or all but metadata and status where there is none."""
    return obj["spec"] if "spec" in obj else drop(obj, *_NOT_COUNTED)


def _only_status(call: Call, new: MutableObj, old: Obj) -> MutableObj:
    """The old object with the new status; of metadata, what upstream lets through."""
    result = {**old}
    meta = dict(old["metadata"])
    if call.route.stored.id in ("nodes", "pods"):
        for key in ("labels", "annotations"):
            meta.pop(key, None)
            if new["metadata"].get(key):
                meta[key] = new["metadata"][key]
    result["metadata"] = meta
    result.pop("status", None)
    if new.get("status") is not None:
        result["status"] = new["status"]
    if call.route.stored.id == storage.VOLUMES:
        storage.note_phase(result, old, call.backend.clock.now())
    quality = (old.get("status") or {}).get("qosClass")
    if quality and not (new.get("status") or {}).get("qosClass"):
        result["status"] = {**(new.get("status") or {}), "qosClass": quality}
    return result


def _carry_metadata(call: Call, new: MutableObj, old: Obj, revision: int) -> None:
    """Check the preconditions in `new` and give it what the server owns."""
    before = old["metadata"]
    meta = new["metadata"] = dict(new.get("metadata") or {})
    name = before["name"]
    if meta.setdefault("name", name) != name:
        raise _name_mismatch(meta["name"], name)
    fit_namespace(call, meta)
    check_version(call, meta, name, revision)
    if meta.get("uid") and meta["uid"] != before["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {meta['uid']}, "
            f"UID in object meta: {before['uid']}"
        )
        raise conflict(call.route.resource.id, name, why)
    for key in (*_SERVER_OWNED, "resourceVersion", "generateName", "managedFields"):
        meta.pop(key, None)
        if key in before:
            meta[key] = before[key]
    meta.pop("selfLink", None)
    for key in ("labels", "annotations", "ownerReferences", "finalizers"):
        if key in meta and not meta[key]:
            del meta[key]
    new["kind"], new["apiVersion"] = old["kind"], old["apiVersion"]


def check_version(call: Call, meta: Obj, name: str, revision: int) -> None:
    """Raise StatusError where the resourceVersion in `meta` does not allow the write."""
    wanted = meta.get("resourceVersion")
    if wanted:
        if wanted != str(revision):
            raise conflict(call.route.resource.id, name)
        return
    if call.request.method == "PUT" and not call.behaviour.unconditional_update:
        fault = invalid("metadata.resourceVersion", 0, "must be specified for an update")
        text = fault.message.replace("Invalid value: 0:", "Invalid value: 0x0:")
        resource = call.route.resource
        raise invalid_object(
            resource.group, resource.kind, name, [FieldError(fault.field, fault.reason, text)]
        )


async def store_change(call: Call, item: Item, new: MutableObj, old: Obj) -> Written:
    """Write `new` over `item`, or remove it if that was all its deletion waited for."""
    backend = call.backend
    if is_finished(new, old):
        if call.dry_run:
            return Written(objects.at_revision(objects.arrange(new), 0), False, gone=True)
        return await remove(call, item, new)
    resource_id = call.route.stored.id
    if call.dry_run:
        with backend.services.reserve(resource_id, new, old, keep=False) as final:
            value = objects.at_revision(objects.arrange(final), item.revision)
            return Written(value, changed=False)
    with backend.services.reserve(resource_id, new, old) as final:
        written = await backend.store.put(item.key, objects.maker(final), expect=item.revision)
        return Written(written.value)


def is_finished(new: Obj, old: Obj) -> bool:
    """Whether the object's deletion waited for nothing but this write."""
    meta = new["metadata"]
    if not old["metadata"].get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if new.get("kind") == "Namespace" and (new.get("spec") or {}).get("finalizers"):
        return False
    return not meta.get("deletionGracePeriodSeconds")


async def remove(call: Call, item: Item, last: Obj) -> Written:
    """Take the object out of the store; `last` is its last state."""
    backend = call.backend
    gone = await backend.store.delete(item.key, objects.maker(last), expect=item.revision)
    backend.services.forget(call.route.stored.id, last)
    return Written(gone.value, gone=True)
