"""From method and path to what is asked: verb, resource, namespace, name, subresource."""

from dataclasses import dataclass
from functools import lru_cache

from petset.api import registry
from petset.api.resource import Resource, Subresource

COLLECTION = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
SINGLE = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
KEPT_MAX = 1024
KEPT_LENGTH_MAX = 256
"""Routes that are remembered, and the length of the paths that they may belong to."""
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class NotFoundPathError(Exception):
    """No such path: answered with a plain text 404, as upstream does."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a request on a resource asks for.

    Attributes:
        verb: get, list, watch, create, update, patch, delete, deletecollection.
        stored: the resource in whose form the store keeps the objects; mostly the same.
        subresource: "" for the resource itself.
        rest: what follows the subresource in the path (proxy targets).
    """

    verb: str
    resource: Resource
    stored: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def key(self) -> str:
        """The store's key of the object named."""
        return f"{self.stored.id}/{self.namespace}/{self.name}"

    @property
    def prefix(self) -> str:
        """The store's prefix of the collection asked for."""
        if self.namespace:
            return f"{self.stored.id}/{self.namespace}/"
        return f"{self.stored.id}/"

    @property
    def converts(self) -> bool:
        """Whether objects are served in another form than they are stored in."""
        return self.stored is not self.resource

    def find_subresource(self) -> Subresource | None:
        """The subresource's description, if the resource has it."""
        found = (s for s in self.resource.subresources if s.name == self.subresource)
        return next(found, None)


def is_true(text: str) -> bool:
    """A boolean of a query, as Go's ParseBool reads it; everything else is false."""
    return text in TRUE


def resolve(method: str, path: str, *, watch: bool) -> Route | None:
    """The route of `path`, or None where it is no resource path (discovery, /healthz, ...).

    Raises NotFoundPathError below /api and /apis for what does not exist.
    """
    find = _resolve if len(path) <= KEPT_LENGTH_MAX else _resolve.__wrapped__
    return find(method, path, watch)


@lru_cache(maxsize=KEPT_MAX)
def _resolve(method: str, path: str, watch: bool) -> Route | None:
    parts = path.split("/")
    if len(parts) < 4 or parts[1] not in ("api", "apis"):
        return None
    if parts[1] == "api":
        group, version, rest = "", parts[2], parts[3:]
    else:
        group, version, rest = parts[2], parts[3], parts[4:]
    if rest and not rest[-1]:
        rest = rest[:-1]
    if not rest:
        return None
    if rest[0] == "watch":
        watch, rest = True, rest[1:]
    return _below(method, (group, version), rest, watch=watch)


def _below(method: str, at: tuple[str, str], rest: list[str], *, watch: bool) -> Route:
    group, version = at
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and _is_namespaced(group, version, rest):
        namespace, rest = rest[1], rest[2:]
    resource = registry.by_path(group, version, rest[0]) if rest and rest[0] else None
    if resource is None or (namespace and not resource.namespaced):
        raise NotFoundPathError
    name = rest[1] if len(rest) > 1 else ""
    if len(rest) > 1 and not name:
        raise NotFoundPathError
    sub = rest[2] if len(rest) > 2 else ""
    if name and resource.namespaced and not namespace:
        raise NotFoundPathError
    if len(rest) > 3 and sub != "proxy":
        raise NotFoundPathError
    verb = (SINGLE if name else COLLECTION).get(method, method.lower())
    if watch and verb in ("get", "list") and not sub:
        verb = "watch"
    stored = registry.storage(resource)
    return Route(verb, resource, stored, namespace, name, sub, "/".join(rest[3:]))


def _is_namespaced(group: str, version: str, rest: list[str]) -> bool:
    """Whether namespaces/<a>/<b> leads into a namespace: b may be a Namespace's subresource."""
    if group or rest[2] not in ("status", "finalize"):
        return True
    return registry.by_path(group, version, rest[2]) is not None
