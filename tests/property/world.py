"""A small pure API: takes the actions of plans, checks them as the server would, keeps objects.

It is meant for the property tests of planners: no time, no tasks, one writer.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.reconcile.actions import (
    Action,
    Bind,
    Create,
    Delete,
    Emit,
    External,
    Parallel,
    Patch,
    Plan,
    Reported,
    Sequence,
    Update,
)

Key = tuple[str, str, str]


class RefusedError(Exception):
    """The write breaks a rule of the API."""


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class World:
    """Objects by (resource, namespace, name), and what was done to them."""

    def __init__(self) -> None:
        self.objects: dict[Key, MutableObj] = {}
        self.revision = 0
        self.uids = 0
        self.now = 1_700_000_000.0
        self.events: list[tuple[str, str]] = []
        self.writes: list[str] = []
        self.external: list[tuple[str, str]] = []

    # -- reading ----------------------------------------------------------------------------------

    def list(self, resource: str) -> list[MutableObj]:
        return [o for k, o in sorted(self.objects.items()) if k[0] == resource]

    def get(self, resource: str, name: str, namespace: str = "default") -> MutableObj | None:
        return self.objects.get((resource, namespace, name))

    # -- writing as a user or another component ---------------------------------------------------

    def put(self, resource: str, obj: Obj) -> MutableObj:
        """Store an object as it is, with a new version (and a uid if it has none)."""
        metadata = dict(obj.get("metadata") or {})
        if "name" not in metadata:
            self.uids += 1
            metadata["name"] = f"{metadata['generateName']}{self.uids:05d}"
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        old = self.objects.get(key)
        self.revision += 1
        metadata["resourceVersion"] = str(self.revision)
        if "uid" not in metadata:
            self.uids += 1
            metadata["uid"] = f"u{self.uids}"
            metadata.setdefault("creationTimestamp", meta.format_time(self.now))
            metadata.setdefault("generation", 1)
        stored = {**obj, "metadata": metadata}
        if old is not None and old.get("spec") != stored.get("spec"):
            metadata["generation"] = int(old["metadata"].get("generation") or 0) + 1
        self.objects[key] = stored
        over = resource != "pods" or metadata.get("deletionGracePeriodSeconds") == 0
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers") and over:
            del self.objects[key]
        return stored

    def change(self, resource: str, name: str, patch: Obj, namespace: str = "default") -> None:
        """Merge-patch an object that is there."""
        found = self.objects[resource, namespace, name]
        self.put(resource, merge(found, patch))

    def remove(self, resource: str, name: str, namespace: str = "default") -> None:
        """Make an object vanish."""
        self.revision += 1  # as in a store: a removal is a change
        self.objects.pop((resource, namespace, name), None)

    # -- plans ------------------------------------------------------------------------------------

    def execute(self, plan: Plan, *, cut: int | None = None) -> None:
        """Do a plan; with `cut`, crash after so many writes. Raises RefusedError."""
        status = () if plan.status is None else (plan.status,)
        for index, action in enumerate(flatten((*plan.actions, *status))):
            if cut is not None and index >= cut:
                return
            self.act(action)

    def act(self, action: Action) -> None:
        match action:
            case Create(resource, obj):
                self._create(resource, obj)
            case Patch():
                self._patch(action)
            case Update(resource, obj, subresource):
                self._guard(resource, obj)
                self.writes.append(f"update {resource} {meta.key_of(obj)} {subresource}".strip())
                self.put(resource, obj)
            case Delete():
                self._delete(action)
            case Bind(namespace, name, node, _):
                self.writes.append(f"bind {namespace}/{name} {node}")
                self.change("pods", name, {"spec": {"nodeName": node}}, namespace)
            case Emit(_, kind, reason, _):
                self.events.append((kind, reason))
            case External(name, argument):
                self.external.append((name, argument))
            case Reported() | Sequence() | Parallel():
                raise AssertionError("flattened before")

    def _create(self, resource: str, obj: Obj) -> None:
        metadata = obj["metadata"]
        key = (resource, metadata.get("namespace", ""), metadata.get("name", ""))
        if key in self.objects:
            raise RefusedError(f"AlreadyExists {key}")
        self.writes.append(f"create {resource} {metadata.get('name') or metadata['generateName']}")
        created = {**obj}
        if resource == "pods":
            created["status"] = {"phase": "Pending"}
        self.put(resource, created)

    def _guard(self, resource: str, obj: Obj) -> MutableObj:
        key = (resource, meta.namespace_of(obj), meta.name_of(obj))
        found = self.objects.get(key)
        if found is None:
            raise RefusedError(f"NotFound {key}")
        for field in ("uid", "resourceVersion"):
            if (given := obj["metadata"].get(field)) and given != found["metadata"][field]:
                raise RefusedError(f"Conflict {key}: {field}")
        return found

    def _patch(self, action: Patch) -> None:
        guard = {
            "metadata": {
                "namespace": action.namespace,
                "name": action.name,
                "uid": action.uid,
                "resourceVersion": action.resource_version,
            }
        }
        found = self._guard(action.resource, guard)
        path = f"{action.resource}/{action.subresource}".rstrip("/")
        self.writes.append(f"patch {path} {action.name}")
        merged = merge(found, action.patch)
        if merged != found:
            self.put(action.resource, merged)

    def _delete(self, action: Delete) -> None:
        key = (action.resource, action.namespace, action.name)
        found = self.objects.get(key)
        if found is None:
            return
        if action.uid and action.uid != found["metadata"]["uid"]:
            raise RefusedError(f"Conflict {key}: uid")
        if action.resource_version not in ("", found["metadata"]["resourceVersion"]):
            raise RefusedError(f"Conflict {key}: resourceVersion")
        self.writes.append(f"delete {action.resource} {action.name}")
        self.delete(action.resource, found, action.grace_s)

    def delete(self, resource: str, found: Obj, grace_s: int | None = None) -> None:
        """Delete as the API does: pods gracefully, others when no finalizer is left."""
        metadata = {**found["metadata"]}
        metadata.setdefault("deletionTimestamp", meta.format_time(self.now))
        finished = (found.get("status") or {}).get("phase") in ("Failed", "Succeeded")
        unbound = resource == "pods" and not (found.get("spec") or {}).get("nodeName")
        grace = 0 if finished or unbound or resource != "pods" else grace_s
        metadata["deletionGracePeriodSeconds"] = 30 if grace is None else grace
        self.put(resource, {**found, "metadata": metadata})


def flatten(actions: Iterable[Action]) -> Iterator[Action]:
    """The single actions, in order."""
    for action in actions:
        match action:
            case Sequence(inner) | Parallel(inner):
                yield from flatten(inner)
            case Reported(write, success, _, _):
                yield write
                if success is not None:
                    yield success
            case _:
                yield action
