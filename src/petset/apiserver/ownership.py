"""Who owns which fields: what writes do to metadata.managedFields (rules in `api.patch.managed`).

Bindings are not tracked: what they set belongs to nobody, as upstream has it.
"""

import functools
from typing import Any

from petset.api import convert, registry
from petset.api.behaviours import behaviour
from petset.api.errors import FieldError
from petset.api.meta import MutableObj, Obj, format_time
from petset.api.patch import managed
from petset.api.patch.managed import Entries, Forms, Writer
from petset.api.resource import Resource
from petset.apiserver.call import Call

UNTRACKED = frozenset({"binding"})


def writer(call: Call, operation: str = managed.UPDATE) -> Writer:
    """Who makes this call, for managedFields."""
    route = call.route
    return Writer(call.manager, operation, route.resource.api_version, route.subresource)


def now(call: Call) -> str:
    """The time of the call, for managedFields."""
    return format_time(call.backend.clock.now())


def forms(call: Call) -> Forms:
    """The versions in which the call's objects are served, the call's own first."""
    resource = call.route.resource
    return _forms(resource.group, resource.version, resource.plural)


@functools.cache
def _forms(group: str, version: str, plural: str) -> Forms:
    resource = registry.by_path(group, version, plural)
    assert resource is not None, plural
    served = {r.api_version: r for r in registry.served(registry.storage(resource).id)}
    if len(served) < 2:
        default = behaviour(resource.id).default
        return Forms(resource.api_version, resource.schema, default=default)

    def convert_to(obj: Obj, wanted: str) -> tuple[Obj, str] | None:
        target = served.get(wanted)
        if target is None:
            return None
        return _convert(served, obj, target), target.schema

    return Forms(resource.api_version, resource.schema, convert_to)


def _convert(served: dict[str, Resource], obj: Obj, target: Resource) -> Obj:
    source = served[obj["apiVersion"]]
    if source is target:
        return obj
    return convert.from_storage(target, convert.to_storage(source, obj))


def of_live(obj: Obj) -> Entries:
    """The entries of a stored object, possibly none."""
    entries: Entries = obj["metadata"].get("managedFields") or ()
    return entries


def created(call: Call, obj: MutableObj, sent: Any) -> Entries:
    """The entries of a new object, defaults in it and nothing else that the server adds.

    `sent` are those that the client sent along.
    """
    served = call.outward(obj)
    if call.route.resource.has_status and "status" in served:
        served = {k: v for k, v in served.items() if k != "status"}
    fields = managed.of_new(forms(call), served)
    if sent is None:
        return managed.only(writer(call), fields, now(call))
    return managed.take(managed.given(sent, ()), writer(call), fields, now(call))


def updated(call: Call, new: MutableObj, old: Obj, sent: Any) -> Entries:
    """The entries after an update. `sent` are those that the change came with."""
    live = of_live(old)
    route = call.route
    if call.applies:
        applied: Entries = sent or ()
        return applied
    if route.subresource in UNTRACKED:
        return live
    start = live if route.subresource else managed.given(sent, live)
    states = (call.outward(dict(old)), call.outward(new))
    return managed.track(forms(call), states, start, writer(call), now(call))


def is_sent(call: Call, old: Obj, sent: Any) -> bool:
    """Whether an update brings managedFields that are not those of the live object."""
    live = of_live(old)
    if call.applies:
        return list(sent or ()) != list(live)
    return not call.route.subresource and managed.given(sent, live) is not live


def faults(call: Call, sent: Any) -> list[FieldError]:
    """What is wrong with the entries that a client sent."""
    if sent is None or call.applies or call.route.subresource:
        return []
    return managed.faults(sent)


def put(obj: MutableObj, entries: Entries) -> None:
    """Give an object its entries."""
    meta = obj["metadata"] = dict(obj["metadata"])
    meta.pop("managedFields", None)
    if entries:
        meta["managedFields"] = entries
