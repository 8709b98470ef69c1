"""What to do next for one namespace. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.reconcile.actions import Action, Create, Delete, Parallel, Patch, Plan, Update

RESOURCE = "namespaces"
ACCOUNTS = "serviceaccounts"
CONFIG_MAPS = "configmaps"
ACCOUNT = "default"
CA_MAP = "kube-root-ca.crt"
CA_KEY = "ca.crt"
FINALIZER = "kubernetes"
LOOK_AGAIN_S = 1.0
"""Content of kinds that are not watched here is looked for again after so long."""

_CONDITIONS = {
    "NamespaceDeletionDiscoveryFailure": (
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": (
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
}


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a namespace.

    Attributes:
        account: its ServiceAccount `default`, config_map: its ConfigMap with the CA.
        content: every object in it by resource, from a live look; empty unless it is going.
    """

    namespace: Obj
    account: Obj | None
    config_map: Obj | None
    ca_text: str
    content: Mapping[str, Sequence[Obj]]


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen` at wall-clock time `now`."""
    if meta.is_deleting(seen.namespace):
        return _leave(seen, now)
    return Plan(tuple(_furnish(seen)))


def _furnish(seen: Observed) -> list[Action]:
    namespace = meta.name_of(seen.namespace)
    actions: list[Action] = []
    if seen.account is None:
        body = {"kind": "ServiceAccount", "apiVersion": "v1"}
        actions.append(Create(ACCOUNTS, _named(body, namespace, ACCOUNT)))
    if not seen.ca_text:
        return actions
    data = {CA_KEY: seen.ca_text}
    if seen.config_map is None:
        note = "Contains a CA bundle that can be used to verify the API server of this cluster."
        made = _named({"kind": "ConfigMap", "apiVersion": "v1"}, namespace, CA_MAP)
        made["metadata"]["annotations"] = {"kubernetes.io/description": note}
        actions.append(Create(CONFIG_MAPS, {**made, "data": data}))
    elif (seen.config_map.get("data") or {}) != data:
        actions.append(Update(CONFIG_MAPS, {**seen.config_map, "data": data}))
    return actions


def _leave(seen: Observed, now: float) -> Plan:
    objects = [(resource, o) for resource, found in seen.content.items() for o in found]
    name = meta.name_of(seen.namespace)
    if not objects:
        spec = seen.namespace.get("spec") or {}
        left = [f for f in spec.get("finalizers") or () if f != FINALIZER]
        if left == list(spec.get("finalizers") or ()):
            return Plan()
        done = {**seen.namespace, "spec": {**spec, "finalizers": left}}
        return Plan((Update(RESOURCE, done, subresource="finalize"),))
    deletions = tuple(
        Delete(resource, name, meta.name_of(o), uid=meta.uid_of(o), propagation="Background")
        for resource, o in objects
        if not meta.is_deleting(o)
    )
    conditions = _conditions(seen.namespace, objects, now)
    status = None
    if conditions is not None:
        patch = {"status": {"conditions": conditions}}
        uid = meta.uid_of(seen.namespace)
        status = Patch(RESOURCE, "", name, patch, subresource="status", uid=uid)
    if not deletions:
        return Plan(status=status, requeue_after_s=LOOK_AGAIN_S)
    # looked at again at once: most content is gone with the deletion
    return Plan((Parallel(deletions),), requeue_after_s=0.0)


def _conditions(
    namespace: Obj, objects: Iterable[tuple[str, Obj]], now: float
) -> list[MutableObj] | None:
    """The conditions that tell what remains; None when they are told already."""
    remaining: dict[str, int] = {}
    finalizers: dict[str, int] = {}
    for resource, obj in objects:
        remaining[resource] = remaining.get(resource, 0) + 1
        for finalizer in (obj.get("metadata") or {}).get("finalizers") or ():
            finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
    told = {kind: ("False", *words) for kind, words in _CONDITIONS.items()}
    if remaining:
        counts = ", ".join(f"{k} has {n} resource instances" for k, n in sorted(remaining.items()))
        words = f"Some resources are remaining: {counts}"
        told["NamespaceContentRemaining"] = ("True", "SomeResourcesRemain", words)
    if finalizers:
        counts = ", ".join(f"{k} in {n} resource instances" for k, n in sorted(finalizers.items()))
        words = f"Some content in the namespace has finalizers remaining: {counts}"
        told["NamespaceFinalizersRemaining"] = ("True", "SomeFinalizersRemain", words)
    present = {c.get("type"): c for c in (namespace.get("status") or {}).get("conditions") or ()}
    if all(_says(present.get(kind), words) for kind, words in told.items()):
        return None
    return [_condition(present.get(kind), kind, words, now) for kind, words in told.items()]


def _says(condition: Obj | None, words: tuple[str, str, str]) -> bool:
    if condition is None:
        return False
    return (condition.get("status"), condition.get("reason"), condition.get("message")) == words


def _condition(old: Obj | None, kind: str, words: tuple[str, str, str], now: float) -> MutableObj:
    status, reason, message = words
    since = meta.format_time(now)
    if old is not None and old.get("status") == status:
        since = old.get("lastTransitionTime") or since
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }


def _named(body: Obj, namespace: str, name: str) -> MutableObj:
    return {**body, "metadata": {"name": name, "namespace": namespace}}
