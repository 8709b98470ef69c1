"""What a verb gets: the server's shared parts, and one request with what was found out about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from petset.api import convert, deprecated
from petset.api.behaviours import behaviour
from petset.api.kind import Behaviour
from petset.api.meta import MutableObj
from petset.apiserver import objects
from petset.apiserver.config import Config
from petset.apiserver.hub import Hub
from petset.apiserver.kubelet import Kubelet
from petset.apiserver.negotiate import PLAIN, Format
from petset.apiserver.route import Route
from petset.apiserver.serviceip import ServiceAllocator
from petset.apiserver.view import View
from petset.base.clock import Clock
from petset.base.http import Identity, Request
from petset.base.ids import Ids
from petset.store.types import Store


@dataclass(frozen=True, slots=True)
class Backend:
    """The parts of the server that verbs share."""

    store: Store
    clock: Clock
    ids: Ids
    config: Config
    hub: Hub
    view: View
    services: ServiceAllocator
    kubelet: Kubelet


@dataclass(slots=True)
class Call:
    """One request on a resource.

    Attributes:
        warnings: texts for Warning headers, in order; duplicates are dropped when sent.
        dry_run: run everything, store nothing.
        validation: Ignore, Warn or Strict: what unknown fields lead to.
        manager: who writes, as managedFields call it.
        force: of an apply: take fields over from other managers.
        applies: whether changes come with the managedFields that they lead to (apply).
    """

    backend: Backend
    request: Request
    identity: Identity
    route: Route
    behaviour: Behaviour
    warnings: list[str] = field(default_factory=list)
    format: Format = PLAIN
    dry_run: bool = False
    validation: str = "Warn"
    manager: str = "unknown"
    force: bool = False
    applies: bool = False

    def __post_init__(self) -> None:
        if words := deprecated.RESOURCES.get(self.route.resource.id):
            self.warnings.append(words)

    def warn(self, texts: Sequence[str]) -> None:
        """Add Warning headers with `texts` to the answer."""
        self.warnings.extend(texts)

    @property
    def shown(self) -> Behaviour:
        """The behaviour of the version that is served: its selectable fields, how it prints."""
        return behaviour(self.route.resource.id) if self.route.converts else self.behaviour

    @property
    def agent(self) -> str:
        """The request's User-Agent."""
        return self.request.headers.get("user-agent", "")

    def inward(self, obj: MutableObj) -> MutableObj:
        """An object as served, in the form that is stored."""
        if not self.route.converts:
            return obj
        return dict(convert.to_storage(self.route.resource, obj))

    def outward(self, obj: MutableObj) -> MutableObj:
        """A stored object, in the form that is served."""
        if not self.route.converts:
            return obj
        return dict(convert.from_storage(self.route.resource, obj))

    def served(self, value: bytes) -> bytes:
        """The bytes of a stored object, in the form that is served."""
        if not self.route.converts:
            return value
        return objects.encode(self.outward(objects.decode(value)))
