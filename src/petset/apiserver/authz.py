"""Authorization. There are no rules yet: every authenticated user may do everything.

RBAC takes this module's place: `check` is asked once for every request on a resource.
"""

from typing import Any

from petset.api.errors import StatusError, forbidden
from petset.apiserver.route import Route
from petset.base.http import Identity

AUTHENTICATED = "system:authenticated"
PUBLIC = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/"})
_PUBLIC_BELOW = ("/healthz/", "/livez/", "/readyz/")


def is_public(path: str) -> bool:
    """Whether a path is public: served without credentials."""
    return path in PUBLIC or path.startswith(_PUBLIC_BELOW)


def check(identity: Identity, route: Route) -> None:
    """Raise StatusError 403 where `identity` may not do what `route` says."""
    if AUTHENTICATED in identity.groups:
        return
    resource = route.resource
    what = f"{resource.plural}/{route.subresource}" if route.subresource else resource.plural
    where = f'in the namespace "{route.namespace}"' if route.namespace else "at the cluster scope"
    why = (
        f'User "{identity.user}" cannot {route.verb} resource "{what}" in API group '
        f'"{resource.group}" {where}'
    )
    raise forbidden(resource.id, route.name, why)


def check_path(identity: Identity | None, path: str) -> None:
    """Raise StatusError 401 where a path needs an identity and there is none."""
    if identity is None and not is_public(path):
        raise StatusError(401, "Unauthorized", "Unauthorized")


def verdict(identity: Identity) -> dict[str, Any]:
    """The status of an access review."""
    if AUTHENTICATED in identity.groups:
        return {"allowed": True, "reason": "petset has no RBAC yet: all who are known may do all"}
    return {"allowed": False, "reason": "not authenticated"}


def all_rules() -> dict[str, Any]:
    """The status of a rules review."""
    return {
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": False,
    }
