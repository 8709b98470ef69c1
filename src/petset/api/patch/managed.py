"""managedFields: who owns which fields of an object, and how plain writes change that.

An entry belongs to a manager, an operation (Apply or Update), the version of the API that was
written, and a subresource. A field that gets a new value moves to the writer; one that goes leaves
every set.

Invariant: entries and sets that come in are never changed; a list that stays as it is comes back
as the same object.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from petset.api.errors import FieldError, invalid
from petset.api.meta import MutableObj, Obj
from petset.api.patch import fieldset
from petset.api.patch import managed_fields as typed
from petset.api.patch.fieldset import Fields
from petset.api.prune import prune

APPLY, UPDATE = "Apply", "Update"
UPDATERS_MAX = 10
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"

Entries = Sequence[Mapping[str, Any]]
"""metadata.managedFields as objects carry it."""

Key = tuple[str, str, str, str]

SERVER_OWNED = (
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
)
"""Metadata that nobody owns."""
_SERVER_KEYS = frozenset(name.removeprefix("f:") for name in SERVER_OWNED)
_TYPE_KEYS = frozenset({"kind", "apiVersion"})


class Writer(NamedTuple):
    """Who writes: `version` is the apiVersion in which the object was sent."""

    manager: str
    operation: str
    version: str
    subresource: str = ""

    @property
    def key(self) -> Key:
        """What makes an entry the writer's own: an applier keeps it over versions."""
        version = "" if self.operation == APPLY else self.version
        return self.manager, self.operation, version, self.subresource


class Entry(NamedTuple):
    """One entry, its set never empty."""

    writer: Writer
    time: str
    fields: Fields


Managers = dict[Key, Entry]


def _no_other(obj: Obj, version: str) -> tuple[Obj, str] | None:
    del obj, version
    return None


def _no_defaults(obj: MutableObj) -> None:
    del obj


class Forms(NamedTuple):
    """The versions of a kind.

    Attributes:
        version: the apiVersion in which objects are at hand.
        schema: its type.
        convert: an object in another version and that one's type; None for an unknown version.
        default: fills in the kind's defaults, in place.
    """

    version: str
    schema: str
    convert: Callable[[Obj, str], tuple[Obj, str] | None] = _no_other
    default: Callable[[MutableObj], None] = _no_defaults

    def settled(self, obj: Obj) -> MutableObj:
        """`obj` as it will be stored: a private copy with defaults and without what is empty, so
        that leaving out what is a default anyway is no change."""
        made = prune(self.schema, obj)
        self.default(made)
        return made

    def at(self, obj: Obj, version: str) -> tuple[Obj, typed.Shape] | None:
        """`obj` in `version`, and the shape of that; None for an unknown version."""
        if version == self.version == obj.get("apiVersion", version):
            return obj, typed.of_type(self.schema)
        found = self.convert(obj, version)
        return None if found is None else (found[0], typed.of_type(found[1]))


# -- entries --------------------------------------------------------------------------------------


def read(entries: Entries) -> Managers:
    """Entries as stored, by whom they belong to. Raises ValueError for what cannot be read."""
    managers: Managers = {}
    for entry in entries:
        fields = entry.get("fieldsV1")
        if entry.get("fieldsType") != "FieldsV1" or not isinstance(fields, Mapping):
            raise ValueError("fieldsType has to be FieldsV1")
        if fields:
            writer = Writer(
                entry.get("manager") or "",
                entry.get("operation") or "",
                entry.get("apiVersion") or "",
                entry.get("subresource") or "",
            )
            managers[writer.key] = Entry(writer, entry.get("time") or "", fields)
    return managers


def stored(entries: Entries) -> Managers:
    """Entries of a live object; none if they cannot be read."""
    try:
        return read(entries)
    except ValueError:
        return {}


def write(managers: Managers) -> list[MutableObj]:
    """The entries in their order: appliers first, then by age and name."""
    ordered = list(managers.values())
    if len(ordered) > 1:
        ordered.sort(key=lambda e: (e.writer.operation, e.time, *_order(e.writer)))
    made: list[MutableObj] = []
    for writer, time, fields in ordered:
        made.append(_entry(writer, time, fields))
    return made


def _entry(writer: Writer, time: str, fields: Fields) -> MutableObj:
    entry: MutableObj = {
        "manager": writer.manager,
        "operation": writer.operation,
        "apiVersion": writer.version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    if not time:
        del entry["time"]
    if writer.subresource:
        entry["subresource"] = writer.subresource
    return entry


def _order(writer: Writer) -> tuple[str, str, str]:
    return writer.manager, writer.version, writer.subresource


def given(sent: Any, live: Entries) -> Entries:
    """The entries that a write of a main resource starts from.

    A client may send them changed. None at all, or what cannot be read, leaves those of the live
    object; an empty list, or one empty entry, clears them.
    """
    if not isinstance(sent, list) or sent == live:
        return live
    if not any(sent):
        return [] if len(sent) < 2 else live
    try:
        clean = [{**e, "fieldsV1": fieldset.read(e.get("fieldsV1") or {}) or {}} for e in sent]
        return write(read(clean)) or live
    except (ValueError, TypeError):
        return live


def faults(sent: Any) -> list[FieldError]:
    """What is wrong with entries that a client sent, if they can be read at all."""
    entries = sent if isinstance(sent, list) else []
    if any(entry.get("fieldsType") != "FieldsV1" for entry in entries):
        return []
    path, why = "metadata.managedFields", "must be `Apply` or `Update`"
    return [
        invalid(f"{path}[{index}].operation", entry.get("operation") or "", why)
        for index, entry in enumerate(entries)
        if entry.get("operation") not in (APPLY, UPDATE)
    ]


def same_but_times(a: Entries, b: Entries) -> bool:
    """Whether two lists differ in times only."""
    return a == b or [_timeless(e) for e in a] == [_timeless(e) for e in b]


def _timeless(entry: Mapping[str, Any]) -> MutableObj:
    return {k: v for k, v in entry.items() if k != "time"}


# -- tracking -------------------------------------------------------------------------------------


def strip(fields: Fields | None) -> Fields | None:
    """A set without what nobody owns."""
    if fields is None:
        return None
    made = {k: v for k, v in fields.items() if k not in ("f:kind", "f:apiVersion")}
    meta = made.get("f:metadata")
    if meta is not None:
        owned = {k: v for k, v in meta.items() if k not in SERVER_OWNED and k != fieldset.SELF}
        if owned:
            made["f:metadata"] = owned
        else:
            del made["f:metadata"]
    return made or None


def of_new(forms: Forms, obj: Obj) -> Fields | None:
    """The fields of a new object that its creator owns."""
    owned = {k: v for k, v in obj.items() if k not in _TYPE_KEYS}
    if "metadata" in owned:
        owned["metadata"] = {k: v for k, v in obj["metadata"].items() if k not in _SERVER_KEYS}
    return typed.created(typed.of_type(forms.schema), owned)


def only(by: Writer, fields: Fields | None, now: str) -> Entries:
    """The entries of a new object that came without any."""
    return [] if fields is None else [_entry(by, now, fields)]


def take(entries: Entries, writer: Writer, fields: Fields | None, now: str) -> Entries:
    """`entries` with `fields` given to `writer`, on a new object: nobody loses any."""
    if fields is None:
        return entries
    if not entries:
        return write({writer.key: Entry(writer, now, fields)})
    managers = stored(entries)
    _give(managers, writer, fields, now)
    return write(managers)


def track(forms: Forms, states: tuple[Obj, Obj], entries: Entries, by: Writer, now: str) -> Entries:
    """`entries` after a plain write by `by` that led from one state to another.

    An object whose entries are empty is not tracked: they were cleared.
    """
    if not entries:
        return entries
    differences = Differences(forms, *states)
    comes, goes = differences.at(by.version) or (None, None)
    comes, goes = strip(comes), strip(goes)
    if comes is None and goes is None:
        return entries
    managers = stored(entries)
    if lose(managers, differences) or comes is not None:
        if comes is not None:
            _give(managers, by, comes, now)
            _cap(managers)
        return write(managers)
    return entries


def _give(managers: Managers, writer: Writer, fields: Fields, now: str) -> None:
    mine = managers.get(writer.key)
    both = fieldset.union(mine.fields if mine else None, fields)
    assert both is not None
    managers[writer.key] = Entry(writer, now, both)


Difference = tuple[Fields | None, Fields | None]


class Differences:
    """What differs between two states: (new or another value, gone), in any version."""

    def __init__(self, forms: Forms, old: Obj, new: Obj) -> None:
        self._forms = forms
        self._old = old
        self._new = new
        self._found: dict[str, Difference | None] = {}

    def at(self, version: str) -> Difference | None:
        """The differences in the words of `version`; None for an unknown one."""
        if version not in self._found:
            self._found[version] = self._find(version)
        return self._found[version]

    def _find(self, version: str) -> Difference | None:
        old, new = self._forms.at(self._old, version), self._forms.at(self._new, version)
        if old is None or new is None:
            return None
        if old[0] == new[0]:
            return None, None
        return typed.changed(new[1], old[0], new[0])


def lose(managers: Managers, differences: Differences, *, but: Key | None = None) -> bool:
    """Take from every set (but one) what has changed and gone; whether any set is different."""
    lost = False
    for key, entry in list(managers.items()):
        if key == but:
            continue
        found = differences.at(entry.writer.version)
        if found is None:
            lost = True
            del managers[key]
            continue
        left: Fields | None = entry.fields
        for part in found:
            left = fieldset.difference(left, part)
        if left is not entry.fields:
            lost = True
            if left is None:
                del managers[key]
            else:
                managers[key] = entry._replace(fields=left)
    return lost


def _cap(managers: Managers) -> None:
    """Merge the oldest Update entries of a version when there are too many."""
    updaters = [e for e in managers.values() if e.writer.operation != APPLY]
    excess = len(updaters) - UPDATERS_MAX
    if excess <= 0:
        return
    first: dict[str, Entry] = {}
    for entry in sorted(updaters, key=lambda e: (e.time, _order(e.writer))):
        version = entry.writer.version
        bucket = Writer(ANCIENT, UPDATE, version)
        if version not in first:
            first[version] = entry
            continue
        if entry.writer == bucket:
            continue
        if bucket.key not in managers:
            managers[bucket.key] = managers.pop(first[version].writer.key)._replace(writer=bucket)
        managers.pop(entry.writer.key)
        _give(managers, bucket, entry.fields, entry.time)
        excess -= 1
        if not excess:
            return
