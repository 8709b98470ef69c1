"""The built-in admission plugins, in upstream's order (wire reference, "Request order")."""

import functools
from collections.abc import Container, Sequence

from petset.api.meta import MutableObj, Obj
from petset.apiserver.admission import namespace, nodes, pods, runtimeclass, storage, unsupported
from petset.apiserver.admission.attributes import (
    CREATE,
    DELETE,
    UPDATE,
    Attributes,
    Mutate,
    Validate,
)

__all__ = ["CREATE", "DELETE", "UPDATE", "Attributes", "mutate", "refuse_delete", "validate"]

PODS = frozenset({"pods"})
NODES = frozenset({"nodes"})

MUTATING: Sequence[tuple[Mutate, Container[str] | None]] = (
    (unsupported.refuse, unsupported.REFUSED),
    (namespace.lifecycle, None),
    (pods.service_account, PODS),
    (nodes.taint, NODES),
    (pods.priority, PODS),
    (pods.tolerations, PODS),
    (storage.default_class, {storage.CLAIMS}),
    (storage.protect, storage.PROTECTION),
    (runtimeclass.apply, PODS),
    (pods.place, PODS),
)
"""Plugins and the ids of the resources that they look at, None for all."""

VALIDATING: Sequence[tuple[Validate, Container[str]]] = (
    (pods.one_default_class, {pods.PRIORITY_CLASSES}),
    (storage.resize, {storage.CLAIMS}),
)


def mutate(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Run the mutating plugins."""
    for plugin in _mutating(attrs.resource.id):
        plugin(attrs, obj, old)


@functools.cache
def _mutating(resource_id: str) -> Sequence[Mutate]:
    return [plugin for plugin, ids in MUTATING if ids is None or resource_id in ids]


def validate(attrs: Attributes, obj: Obj, old: Obj | None) -> None:
    """Run the validating plugins."""
    for plugin in _validating(attrs.resource.id):
        plugin(attrs, obj, old)


@functools.cache
def _validating(resource_id: str) -> Sequence[Validate]:
    return [plugin for plugin, ids in VALIDATING if resource_id in ids]


def refuse_delete(attrs: Attributes) -> None:
    """Run the plugins that look at deletions."""
    namespace.immortal(attrs)
