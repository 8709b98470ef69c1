"""Server-side apply: a configuration is merged into an object, and owns what it names.

What an applier named before and names no more goes, unless somebody else owns it. A field whose
value another manager owns is a conflict, unless forced.

Invariant: neither the live object nor the configuration is changed. A result that is not the live
object itself is a private copy.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from petset.api import decode
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj, annotations_of
from petset.api.patch import fieldset, managed
from petset.api.patch import managed_fields as typed
from petset.api.patch.fieldset import Fields, difference, union
from petset.api.patch.managed import Differences, Entries, Entry, Forms, Managers, Writer
from petset.api.patch.managed_fields import ATOM, KEYED, MAP, STRUCT, Shape, applied, named
from petset.api.prune import prune as decoded

KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ANNOTATIONS_MAX_BYTES = 256 * 1024


class Order(NamedTuple):
    """Who applies, whether over conflicts, and when."""

    by: Writer
    force: bool
    now: str


class Configuration(NamedTuple):
    """What is applied: the object, its fields, and those of them that an applier can own."""

    obj: Obj
    fields: Fields | None
    owned: Fields | None


class Applied(NamedTuple):
    """What came of an apply: the object, and its managedFields."""

    obj: MutableObj
    entries: Entries


class Conflict(NamedTuple):
    """Fields that another manager owns and that would get another value."""

    writer: Writer
    fields: Fields


class ConflictsError(Exception):
    """Fields of other managers are in the way."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__("conflicts")
        self.conflicts = conflicts


def configuration(schema: str, obj: Obj) -> Configuration:
    """`obj` as something to apply. It has been checked and has canonical values."""
    fields = applied(typed.of_type(schema), obj)
    return Configuration(obj, fields, managed.strip(fields))


def apply(
    forms: Forms, live: Obj, config: Configuration, entries: Entries, order: Order
) -> Applied:
    """`live` with `config` applied. Both are of the version that the writer sent.

    Raises StatusError 409 for conflicts.
    """
    if not entries:
        by = order.by
        first = Writer(managed.BEFORE_FIRST_APPLY, managed.UPDATE, by.version, by.subresource)
        entries = managed.take((), first, managed.of_new(forms, live), order.now)
    try:
        return _apply(forms, live, config, entries, order)
    except ConflictsError as error:
        conflicts = error.conflicts
        if order.by.manager == KUBECTL:
            conflicts = _unexplained(forms, live, conflicts)
        if conflicts:
            raise conflict_error(conflicts) from None
    return _apply(forms, live, config, entries, order._replace(force=True))


def create(config: Configuration, order: Order) -> Entries:
    """managedFields of an object that an apply makes."""
    return managed.take((), order.by, config.owned, order.now)


def _apply(
    forms: Forms, live: Obj, config: Configuration, entries: Entries, order: Order
) -> Applied:
    by, mine = order.by, config.owned
    managers = managed.stored(entries)
    last = managers.get(by.key)
    merged = merge(typed.of_type(forms.schema), live, config.obj)
    same = last.fields == mine and last.writer == by if last else mine is None
    if last is not None and not same and not fieldset.contains(mine, last.fields):
        with_mine = {**managers, by.key: Entry(by, order.now, config.fields or fieldset.LEAF)}
        merged = _prune(forms, merged, last, with_mine)
    if merged is not live:
        merged = forms.settled(merged)
    if same and merged == live:
        return Applied(merged, entries)
    differences = Differences(forms, live, merged)
    if not order.force and (found := _conflicts(managers, differences, by)):
        raise ConflictsError(found)
    managed.lose(managers, differences, but=by.key)
    managers.pop(by.key, None)
    if mine is not None:
        managers[by.key] = Entry(by, order.now, mine)
    return Applied(merged, managed.write(managers))


# -- merging --------------------------------------------------------------------------------------


def merge(shape: Shape, live: Any, config: Any) -> Any:
    """`live` with what `config` says; the very same object if that is nothing new."""
    if shape.kind == ATOM or type(live) is not type(config):
        return live if live == config and type(live) is type(config) else config
    if shape.kind in (STRUCT, MAP):
        return _merge_members(shape, live, config)
    return _merge_list(shape, live, config)


def _merge_members(shape: Shape, live: Obj, config: Obj) -> Any:
    made: MutableObj | None = None
    struct = shape.kind == STRUCT
    for key, value in config.items():
        merged = value
        if key in live:
            before = live[key]
            if before == value and type(before) is type(value):
                continue
            inner = shape.places[key][1] if struct else shape.item
            if inner.kind != ATOM and (merged := merge(inner, before, value)) is before:
                continue
        if made is None:
            made = dict(live)
        made[key] = merged
    return live if made is None else made


def _merge_list(shape: Shape, live: list[Any], config: list[Any]) -> list[Any]:
    """The elements of `config` in their order, and between them those that only `live` has, each
    as early as the order of `live` allows."""
    theirs = [typed.element_name(shape, element) for element in live]
    ours = [typed.element_name(shape, element) for element in config]
    places = {name: index for index, name in reversed(list(enumerate(theirs)))}
    wanted = set(ours)
    shared = [name for name in ours if name in places]
    made: list[Any] = []
    at = done = 0
    for name, element in zip(ours, config, strict=True):
        while at < len(live):
            other = theirs[at]
            if other not in wanted:
                made.append(live[at])
            elif done < len(shared) and other == shared[done]:
                break
            at += 1
        if name not in places:
            made.append(element)
            continue
        before = live[places[name]]
        made.append(merge(shape.item, before, element) if shape.kind == KEYED else before)
        done += 1
        if at < len(live) and theirs[at] == name:
            at += 1
    made += [live[i] for i in range(at, len(live)) if theirs[i] not in wanted]
    same = len(made) == len(live) and all(a is b for a, b in zip(made, live, strict=True))
    return live if same else made


# -- pruning --------------------------------------------------------------------------------------


def _prune(forms: Forms, merged: Obj, last: Entry, managers: Managers) -> Any:
    """`merged` without what the applier owned before and nobody owns now.

    A declared field goes whole when nothing below it is owned any more; a list element goes with
    its owner's, whatever others have put into it without owning the element.
    """
    version = last.writer.version
    found = forms.at(merged, version)
    if found is None:
        return merged
    whole, shape = found
    before = named(shape, last.fields)
    kept: Any = remove(shape, whole, before)
    for other in sorted({e.writer.version for e in managers.values()}, key=lambda v: v != version):
        kept = _keep_owned(forms, (whole, kept), other, managers)
    final = forms.at(kept, version)
    assert final is not None
    gone = difference(_everything(shape, whole), _everything(shape, final[0]))
    pruned = remove(shape, whole, fieldset.intersection(gone, before))
    back = forms.at(pruned, forms.version)
    return merged if back is None else back[0]


def _keep_owned(forms: Forms, states: tuple[Obj, Obj], version: str, managers: Managers) -> Any:
    """All of the first state but what is neither in the second nor owned by a manager of
    `version`."""
    whole, kept = (forms.at(state, version) for state in states)
    if whole is None or kept is None:
        return states[1]
    obj, shape = whole
    owned: Fields | None = None
    for entry in managers.values():
        if entry.writer.version == version:
            owned = union(owned, entry.fields)
    stays = union(_everything(shape, kept[0]), named(shape, owned) if owned else None)
    return remove(shape, obj, difference(_everything(shape, obj), stays))


def _everything(shape: Shape, value: Any) -> Fields | None:
    fields = applied(shape, value)
    return named(shape, fields) if fields else None


def remove(shape: Shape, value: Any, fields: Fields | None) -> Any:
    """`value` without the members of `fields`. A container that gets empty on the way stays."""
    if fields is None or shape.kind == ATOM:
        return value
    if isinstance(value, Mapping):
        struct = shape.kind == STRUCT
        made = {}
        for key, item in value.items():
            node = fields.get(f"f:{key}")
            if node is None or not fieldset.is_member(node):
                inner = shape.places[key][1] if struct else shape.item
                made[key] = remove(inner, item, node)
        return made
    kept = []
    for item in value:
        node = fields.get(typed.element_name(shape, item))
        if node is None or not fieldset.is_member(node):
            kept.append(remove(shape.item, item, node))
    return kept


# -- conflicts ------------------------------------------------------------------------------------


def _conflicts(managers: Managers, differences: Differences, by: Writer) -> list[Conflict]:
    found = []
    for key, entry in managers.items():
        change = differences.at(entry.writer.version) if key != by.key else None
        both = fieldset.intersection(entry.fields, change[0]) if change else None
        if both is not None:
            found.append(Conflict(entry.writer, both))
    return found


def conflict_error(conflicts: Sequence[Conflict]) -> StatusError:
    """409 that names every conflict."""
    lines: list[str] = []
    causes = []
    for writer, fields in sorted(conflicts, key=lambda c: c.writer):
        who = _who(writer)
        paths = list(fieldset.paths(fields))
        lines += [f"conflicts with {who}:", *(f"- {path}" for path in paths)]
        causes += [
            {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
            for path in paths
        ]
    message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    if len(causes) == 1:
        only = causes[0]
        message = f"Apply failed with 1 conflict: {only['message']}: {only['field']}"
    return StatusError(409, "Conflict", message, {"causes": causes})


def _who(writer: Writer) -> str:
    text = orjson.dumps(writer.manager).decode()
    if writer.subresource:
        text += f' with subresource "{writer.subresource}"'
    return f"{text} using {writer.version}" if writer.operation == managed.UPDATE else text


# -- from client-side apply -----------------------------------------------------------------------


def _unexplained(forms: Forms, live: Obj, conflicts: Sequence[Conflict]) -> list[Conflict]:
    """The conflicts on fields that kubectl did not itself apply from the client's side."""
    explained = _from_client_side(forms, live)
    left = ((c.writer, difference(c.fields, explained)) for c in conflicts)
    return [Conflict(writer, fields) for writer, fields in left if fields is not None]


def _from_client_side(forms: Forms, live: Obj) -> Fields | None:
    """The fields of the last-applied annotation that the object still has as they were applied."""
    text = annotations_of(live).get(LAST_APPLIED)
    if not text:
        return None
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(given, dict) or given.get("apiVersion") != forms.version:
        return None
    found = decode.check(forms.schema, given)
    if found.errors or found.unknown:
        return None
    shape = typed.of_type(forms.schema)
    config = decoded(forms.schema, given)
    fields = applied(shape, config)
    for part in typed.changed(shape, config, live):
        fields = difference(fields, part)
    return fields


def note_last_applied(obj: Obj, sent: Obj) -> Obj:
    """`obj` with its last-applied annotation, if it has one, brought up to what was sent."""
    present = annotations_of(obj)
    if not present.get(LAST_APPLIED):
        return obj
    meta = dict(sent.get("metadata") or {})
    if isinstance(meta.get("annotations"), Mapping):
        meta["annotations"] = {k: v for k, v in meta["annotations"].items() if k != LAST_APPLIED}
    body = orjson.dumps({**sent, "metadata": meta}, option=orjson.OPT_SORT_KEYS)
    annotations = {**present, LAST_APPLIED: body.decode() + "\n"}
    size = sum(len(k.encode()) + len(str(v).encode()) for k, v in annotations.items())
    if size > ANNOTATIONS_MAX_BYTES:
        del annotations[LAST_APPLIED]
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
