"""Where a resource lies: from the id of a resource to its names and paths."""

from petset.api.resource import Resource

_GROUPS = {
    "apps": "v1",
    "batch": "v1",
    "certificates.k8s.io": "v1",
    "coordination.k8s.io": "v1",
    "discovery.k8s.io": "v1",
    "events.k8s.io": "v1",
    "networking.k8s.io": "v1",
    "policy": "v1",
    "rbac.authorization.k8s.io": "v1",
    "scheduling.k8s.io": "v1",
    "storage.k8s.io": "v1",
}


def resource(resource_id: str) -> Resource:
    """The resource named `plural` or `plural.group`. Raises KeyError for an unknown group."""
    plural, _, group = resource_id.partition(".")
    version = _GROUPS[group] if group else "v1"
    return Resource(group, version, plural, "", "", True, "")
