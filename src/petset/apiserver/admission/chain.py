"""The built-in admission plugins, in upstream's order (wire reference, "Request order")."""

from collections.abc import Sequence

from petset.api.meta import MutableObj, Obj
from petset.apiserver.admission import namespace, nodes, pods, storage, unsupported
from petset.apiserver.admission.attributes import (
    CREATE,
    DELETE,
    UPDATE,
    Attributes,
    Mutate,
    Validate,
)

__all__ = ["CREATE", "DELETE", "UPDATE", "Attributes", "mutate", "refuse_delete", "validate"]

MUTATING: Sequence[Mutate] = (
    unsupported.refuse,
    namespace.lifecycle,
    pods.service_account,
    nodes.taint,
    pods.priority,
    pods.tolerations,
    storage.default_class,
    storage.protect,
)
VALIDATING: Sequence[Validate] = (pods.one_default_class, storage.resize)


def mutate(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Run the mutating plugins."""
    for plugin in MUTATING:
        plugin(attrs, obj, old)


def validate(attrs: Attributes, obj: Obj, old: Obj | None) -> None:
    """Run the validating plugins."""
    for plugin in VALIDATING:
        plugin(attrs, obj, old)


def refuse_delete(attrs: Attributes) -> None:
    """Run the plugins that look at deletions."""
    namespace.immortal(attrs)
