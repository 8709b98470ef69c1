"""The input of admission plugins, and their types."""

from collections.abc import Callable
from typing import NamedTuple

from petset.api.errors import StatusError, forbidden
from petset.api.meta import MutableObj, Obj
from petset.api.resource import Resource
from petset.apiserver.config import Config
from petset.apiserver.view import View
from petset.base.http import Identity

CREATE, UPDATE, DELETE = "CREATE", "UPDATE", "DELETE"


class Attributes(NamedTuple):
    """What a plugin knows of a request.

    Attributes:
        operation: CREATE, UPDATE or DELETE.
        view: the newest state of everything.
        now: epoch seconds.
    """

    operation: str
    resource: Resource
    subresource: str
    namespace: str
    name: str
    identity: Identity
    view: View
    config: Config
    now: float

    @property
    def id(self) -> str:
        """The resource's id."""
        return self.resource.id

    @property
    def creates(self) -> bool:
        """Whether a new object (not something below one) is created."""
        return self.operation == CREATE and not self.subresource


GENERATED = 5
"""Letters that the server adds to generateName."""


def refused(obj: Obj, why: str) -> StatusError:
    """403 about a new pod. One whose name the server has made is called by what the client sent."""
    meta = obj.get("metadata") or {}
    name, base = meta.get("name") or "", meta.get("generateName") or ""
    made = base and name.startswith(base) and len(name) == len(base) + GENERATED
    return forbidden("pods", base if made else name, why)


Mutate = Callable[[Attributes, MutableObj, Obj | None], None]
Validate = Callable[[Attributes, Obj, Obj | None], None]
"""A mutating plugin changes the object in place; a validating one only looks. Either may raise
StatusError. The last argument is the old object, None at creation."""
