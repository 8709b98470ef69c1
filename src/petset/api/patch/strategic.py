"""Strategic merge patch: a merge patch that knows, by type, how lists merge.

Directives: null deletes a key; `$patch: replace|delete|merge` in a map or list element;
`$retainKeys`; `$setElementOrder/<list>`; `$deleteFromPrimitiveList/<list>`.

Invariant: neither the original nor the patch is changed. The result shares with both what did not
have to be copied: prune it (`api.prune`) or copy it before changing it in place.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from petset.api import errors, schema
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj

PATCH = "$patch"
RETAIN_KEYS = "$retainKeys"
ORDER = "$setElementOrder/"
DELETE = "$deleteFromPrimitiveList/"

_UNTYPED = schema.Field(schema.Value("any"))


def apply(original: Obj, patch: Any, type_name: str) -> MutableObj:
    """`original`, an object of type `type_name`, with `patch` merged in.

    Raises StatusError 400 for a patch that makes no sense.
    """
    if not isinstance(patch, Mapping):
        raise errors.bad_request("a strategic merge patch has to be a JSON object")
    return _merge(original, patch, schema.Value("object", type_name))


def _is_directive(key: str) -> bool:
    """JSON schemas have keys like `$ref`: only the known directives count."""
    return key in (PATCH, RETAIN_KEYS) or key.startswith((ORDER, DELETE))


def _field(owner: schema.Value, key: str) -> schema.Field:
    """What is known of the field `key` in a value; unknown fields merge as untyped JSON."""
    if owner.kind == "object":
        return schema.type_of(owner.type).fields.get(key, _UNTYPED)
    if owner.kind == "map" and owner.item is not None:
        return schema.Field(owner.item)
    return _UNTYPED


def _merge(original: Any, patch: Obj, owner: schema.Value) -> MutableObj:
    merged = dict(original) if isinstance(original, Mapping) else {}
    match patch.get(PATCH):
        case None | "merge":
            pass
        case "replace":
            return {k: _strip(v) for k, v in patch.items() if k != PATCH and v is not None}
        case "delete":
            return {}
        case other:
            raise _bad(f"unknown patch type {errors.show(other)}")
    _retain_keys(merged, patch)
    for key, value in patch.items():
        if not _is_directive(key):
            _merge_key(merged, key, value, _field(owner, key))
    for key, value in patch.items():
        if key.startswith(DELETE):
            _delete_members(merged, key.removeprefix(DELETE), value)
    for key, value in patch.items():
        if key.startswith(ORDER):
            name = key.removeprefix(ORDER)
            _reorder(merged, original, patch, name, value, _field(owner, name).merge_key)
    return merged


def _merge_key(merged: MutableObj, key: str, value: Any, field: schema.Field) -> None:
    present = merged.get(key)
    if value is None:
        merged.pop(key, None)
    elif isinstance(value, Mapping):
        if isinstance(present, Mapping) and "replace" in field.strategies:
            merged[key] = _strip(value)
        else:
            merged[key] = _merge(present, value, field.value)
    elif isinstance(value, list) and isinstance(present, list) and "merge" in field.strategies:
        merged[key] = _merge_list(present, value, field)
    else:
        merged[key] = _strip(value)


def _retain_keys(merged: MutableObj, patch: Obj) -> None:
    keep = patch.get(RETAIN_KEYS)
    if keep is None:
        return
    if not isinstance(keep, list):
        raise _bad("invalid patch format of retainKeys")
    kept = {k for k in keep if isinstance(k, str)}
    if any(k not in kept for k, v in patch.items() if v is not None and not _is_directive(k)):
        raise _bad("invalid patch format of retainKeys")
    for key in [k for k in merged if k not in kept]:
        del merged[key]


def _strip(value: Any) -> Any:
    """A value that is new to the object: its directives and nulls are taken out."""
    if isinstance(value, Mapping):
        return _merge(None, value, _UNTYPED.value)
    if isinstance(value, list):
        return [_strip(v) for v in value if _directive(v) in (None, "merge")]
    return value


# -- lists ----------------------------------------------------------------------------------------


def _merge_list(original: list[Any], patch: list[Any], field: schema.Field) -> list[Any]:
    """A list with a merge key merges element by element, one without is a set of scalars."""
    if not any(isinstance(v, Mapping | list) for v in (*original, *patch)):
        merged = list(dict.fromkeys((*original, *patch)))
        return _interleave(merged, patch, original, "")
    key = field.merge_key
    if not key:
        raise _bad("cannot merge a list of maps that has no merge key")
    return _merge_elements(original, patch, key, field.value.item or _UNTYPED.value)


def _merge_elements(
    original: list[Any], patch: list[Any], key: str, item: schema.Value
) -> list[Any]:
    plain, deleted, replace = _split(patch, key)
    if replace:
        return [_strip(v) for v in plain]
    kept = [v for v in original if _identity(v, key) not in deleted]
    places = {_identity(v, key): i for i, v in reversed(list(enumerate(kept)))}
    merged = list(kept)
    for element in plain:
        identity = _identity(element, key)
        if identity is None or not isinstance(element, Mapping):
            raise _bad(f"{errors.show(element)} does not contain declared merge key: {key}")
        if identity in places:
            place = places[identity]
            merged[place] = _merge(merged[place], element, item)
        else:
            places[identity] = len(merged)
            merged.append(_strip(element))
    return _interleave(merged, plain, kept, key)


def _split(patch: list[Any], key: str) -> tuple[list[Any], set[Hashable], bool]:
    """Ordinary elements, identities to delete, and whether the whole list is replaced."""
    plain: list[Any] = []
    deleted: set[Hashable] = set()
    replace = False
    for element in patch:
        directive = element.get(PATCH) if isinstance(element, Mapping) else None
        if directive in (None, "merge"):
            plain.append(element)
        elif directive == "replace":
            replace = True
            if any(k != PATCH for k in element):
                plain.append({k: v for k, v in element.items() if k != PATCH})
        elif directive == "delete":
            identity = _identity(element, key)
            if identity is None:
                raise _bad(f"{errors.show(element)} does not contain declared merge key: {key}")
            deleted.add(identity)
        else:
            raise _bad(f"unknown patch type {errors.show(directive)}")
    return plain, deleted, replace


def _identity(element: Any, key: str) -> Hashable:
    """What an element is found by: its merge key's value, or itself for scalars."""
    value = element.get(key) if key and isinstance(element, Mapping) else element
    return errors.show(value) if isinstance(value, Mapping | list) else value


def _interleave(
    merged: Sequence[Any], wanted: Sequence[Any], live: Sequence[Any], key: str
) -> list[Any]:
    """`merged` in the order that `wanted` gives; the others stand where they stood in `live`.

    An element that is not wanted goes before the next wanted one that it preceded in `live`, or
    to the end.
    """
    order = {_identity(v, key): i for i, v in reversed(list(enumerate(wanted)))}
    place = {_identity(v, key): i for i, v in reversed(list(enumerate(live)))}
    ours = sorted(
        (v for v in merged if _identity(v, key) in order), key=lambda v: order[_identity(v, key)]
    )
    others = sorted(
        (v for v in merged if _identity(v, key) not in order),
        key=lambda v: place.get(_identity(v, key), len(place)),
    )
    result: list[Any] = []
    at = 0
    for element in ours:
        here = place.get(_identity(element, key), -1)
        while at < len(others) and place.get(_identity(others[at], key), len(place)) < here:
            result.append(others[at])
            at += 1
        result.append(element)
    return result + others[at:]


def _delete_members(merged: MutableObj, name: str, members: Any) -> None:
    if not isinstance(members, list):
        raise _bad(f"{DELETE}{name} has to be a list")
    if isinstance(present := merged.get(name), list):
        gone = {_identity(v, "") for v in members}
        merged[name] = [v for v in present if _identity(v, "") not in gone]


def _reorder(
    merged: MutableObj, original: Any, patch: Obj, name: str, order: Any, key: str
) -> None:
    if not isinstance(order, list):
        raise _bad(f"{ORDER}{name} has to be a list")
    ranks = {_identity(v, key): i for i, v in reversed(list(enumerate(order)))}
    sent = patch.get(name)
    mine = [v for v in sent if _directive(v) is None] if isinstance(sent, list) else []
    places = [ranks.get(_identity(v, key), -1) for v in mine]
    if -1 in places or places != sorted(places):
        raise _bad(f"the order of list {name} in the patch does not match {ORDER}{name}")
    if isinstance(present := merged.get(name), list):
        live = original.get(name) if isinstance(original, Mapping) else None
        merged[name] = _interleave(present, order, live if isinstance(live, list) else (), key)


def _directive(element: Any) -> Any:
    return element.get(PATCH) if isinstance(element, Mapping) else None


def _bad(why: str) -> StatusError:
    return errors.bad_request(why)
