"""ControllerRevisions: snapshots of a pod template, their names, numbers and history. Pure.

Rules: workload-semantics 1.7, 1.10 and 1.11. Two revisions are equal when their data mean the
same; the hash label is a name, not a proof (a server that writes templates in another way must not
restart every pod).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.api.prune import prune
from petset.reconcile.actions import Action, Create, Delete, Patch

RESOURCE = "controllerrevisions.apps"
HASH_LABEL = "controller.kubernetes.io/hash"
REVISION_LABEL = "controller-revision-hash"
NAME_PREFIX_MAX = 223
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAPS = frozenset(
    {"metadata", "labels", "annotations", "nodeSelector", "resources", "limits", "requests"}
)
"""Fields where an empty mapping means the same as none."""
_TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"
_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


@dataclass(frozen=True, slots=True)
class Resolved:
    """The revisions that a sync works with.

    Attributes:
        current: the revision regarded as fully rolled out.
        update: the revision of the present template.
        listed: all revisions of the owner, oldest first, `update` among them.
        collision_count: to be kept in the owner's status.
        actions: adoption, creation or renumbering that has to be done first.
    """

    current: Obj
    update: Obj
    listed: tuple[Obj, ...]
    collision_count: int
    actions: tuple[Action, ...]


def fnv1_32(data: bytes) -> int:
    """FNV-1 (not 1a) of 32 bits."""
    value = _FNV_OFFSET
    for byte in data:
        value = (value * _FNV_PRIME & 0xFFFFFFFF) ^ byte
    return value


def safe_encode(text: str) -> str:
    """The text in letters that form no words: one letter per character, by its code."""
    return "".join(_ALPHABET[ord(c) % len(_ALPHABET)] for c in text)


def data_of_template(template: Obj) -> MutableObj:
    """The strategic merge patch that puts `template` back in place."""
    return {"spec": {"template": {**_without_nulls(template), "$patch": "replace"}}}


def _in_order(data: Obj) -> MutableObj:
    """The data with its keys sorted: `kubectl rollout undo` compares their text with its own."""
    made: MutableObj = orjson.loads(orjson.dumps(data, option=orjson.OPT_SORT_KEYS))
    return made


def template_of(revision: Obj) -> MutableObj:
    """The template that a revision keeps."""
    template = ((revision.get("data") or {}).get("spec") or {}).get("template") or {}
    return {k: v for k, v in template.items() if k != "$patch"}


def revision_hash(data: Obj, collision_count: int) -> str:
    """The hash that names a revision: over its data, then over the collision count."""
    text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS) + str(collision_count).encode()
    return safe_encode(str(fnv1_32(text)))


def name_for(owner_name: str, hash_text: str) -> str:
    """The name of a revision."""
    return f"{owner_name[:NAME_PREFIX_MAX]}-{hash_text}"


def are_equal(one: Obj, other: Obj) -> bool:
    """Whether two revisions keep the same template."""
    data, other_data = one.get("data") or {}, other.get("data") or {}
    return bool(_plain(data) == _plain(other_data) or _typed(data) == _typed(other_data))


def number_of(revision: Obj) -> int:
    """The revision's number."""
    return int(revision.get("revision") or 0)


def order(revisions: Iterable[Obj]) -> list[Obj]:
    """Oldest first: by number, creation time, name."""

    def key(revision: Obj) -> tuple[int, str, str]:
        created = (revision.get("metadata") or {}).get("creationTimestamp") or ""
        return number_of(revision), created, meta.name_of(revision)

    return sorted(revisions, key=key)


def new_revision(
    owner: Obj, reference: Obj, template: Obj, *, number: int, collision_count: int
) -> MutableObj:
    """The revision object for `template`, owned by `reference`."""
    data = data_of_template(template)
    hash_text = revision_hash(data, collision_count)
    labels = dict((template.get("metadata") or {}).get("labels") or {})
    labels[HASH_LABEL] = hash_text
    metadata: MutableObj = {
        "name": name_for(meta.name_of(owner), hash_text),
        "namespace": meta.namespace_of(owner),
        "labels": labels,
        "ownerReferences": [dict(reference)],
    }
    if annotations := meta.annotations_of(owner):
        metadata["annotations"] = dict(annotations)
    return {
        "kind": "ControllerRevision",
        "apiVersion": "apps/v1",
        "metadata": metadata,
        "data": data,
        "revision": number,
    }


def resolve(
    owner: Obj,
    reference: Obj,
    *,
    template: Obj,
    listed: Sequence[Obj],
    in_namespace: Mapping[str, Obj],
) -> Resolved:
    """Find or make the update revision, and find the current one.

    Args:
        listed: the owner's revisions (adopted ones among them).
        in_namespace: every revision of the namespace by name, to see collisions of names.
    """
    status = owner.get("status") or {}
    revisions = order(listed)
    collisions = int(status.get("collisionCount") or 0)
    actions: list[Action] = []
    number = number_of(revisions[-1]) + 1 if revisions else 1
    candidate = new_revision(owner, reference, template, number=number, collision_count=collisions)
    equal = [r for r in revisions if are_equal(r, candidate)]
    if equal:
        update = equal[-1]
        tied = len(revisions) > 1 and number_of(revisions[-2]) == number_of(update)
        if update is not revisions[-1] or tied:  # a late cache can give one number twice
            actions.append(_renumber(update, number))
            update = {**update, "revision": number}
            revisions = order([*(r for r in revisions if r is not equal[-1]), update])
    else:
        while (other := in_namespace.get(meta.name_of(candidate))) is not None:
            if are_equal(other, candidate):
                break
            collisions += 1
            candidate = new_revision(
                owner, reference, template, number=number, collision_count=collisions
            )
        update = other or {**candidate, "data": _in_order(candidate["data"])}
        if other is None:
            actions.append(Create(RESOURCE, update))
        revisions.append(update)
    name = status.get("currentRevision") or ""
    current = next((r for r in revisions if meta.name_of(r) == name), update)
    return Resolved(current, update, tuple(revisions), collisions, tuple(actions))


def truncate(listed: Sequence[Obj], live: Collection[str], limit: int | None) -> list[Action]:
    """Deletions that bring the revisions not in `live` (by name) down to `limit`, oldest first."""
    if limit is None or limit < 0:
        return []
    dead = [r for r in order(listed) if meta.name_of(r) not in live]
    surplus = dead[: max(0, len(dead) - limit)]
    return [
        Delete(RESOURCE, meta.namespace_of(r), meta.name_of(r), uid=meta.uid_of(r))
        for r in surplus
        if not meta.is_deleting(r)
    ]


def _renumber(revision: Obj, number: int) -> Patch:
    return Patch(
        RESOURCE,
        meta.namespace_of(revision),
        meta.name_of(revision),
        {"revision": number},
        uid=meta.uid_of(revision),
        resource_version=meta.version_of(revision),
    )


def _typed(data: Obj) -> Any:
    """The template in `data` without what the server would leave out today."""
    template = (data.get("spec") or {}).get("template") or data
    return _plain(prune(_TEMPLATE, template))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(v) for v in value]
    return value


def _plain(value: Any) -> Any:
    """The value without members that say nothing: nulls, empty lists, empty maps.

    An empty struct may say something (`namespaceSelector: {}`, `emptyDir: {}`) and stays.
    """
    if isinstance(value, Mapping):
        items = ((k, _plain(v)) for k, v in value.items())
        return {k: v for k, v in items if not _is_silent(k, v)}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _is_silent(field: str, value: Any) -> bool:
    return value is None or value == [] or (value == {} and field in _MAPS)
