"""NamespaceLifecycle: objects live in namespaces that exist and are not on their way out."""

from petset.api.errors import StatusError, forbidden, not_found
from petset.api.meta import Obj, is_deleting
from petset.apiserver.admission.attributes import Attributes

IMMORTAL = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})


def lifecycle(attrs: Attributes, obj: Obj, old: Obj | None) -> None:
    """Refuse new objects in a namespace that is missing (404) or terminating (403)."""
    del old
    if not (attrs.creates and attrs.resource.namespaced):
        return
    namespace = attrs.view.get("namespaces", "", attrs.namespace)
    if namespace is None:
        raise not_found("namespaces", attrs.namespace)
    if is_deleting(namespace) or (namespace.get("status") or {}).get("phase") == "Terminating":
        name = (obj.get("metadata") or {}).get("name") or ""
        why = (
            f"unable to create new content in namespace {attrs.namespace} because it is being "
            "terminated"
        )
        error = forbidden(attrs.id, name, why)
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {attrs.namespace} is being terminated",
            "field": "metadata.namespace",
        }
        details = {**error.details, "causes": [cause]}
        raise StatusError(error.code, error.reason, error.message, details)


def immortal(attrs: Attributes) -> None:
    """Refuse to delete the namespaces that the system lives in."""
    if attrs.id == "namespaces" and attrs.name in IMMORTAL and not attrs.subresource:
        raise forbidden("namespaces", attrs.name, "this namespace may not be deleted")
