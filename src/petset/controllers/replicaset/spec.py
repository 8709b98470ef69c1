"""The spec of a ReplicaSet with its defaults, as the other parts read it. Pure."""

from dataclasses import dataclass

from petset.api import meta, selectors
from petset.api.meta import MutableObj, Obj
from petset.api.selectors import LabelSelector

RESOURCE = "replicasets.apps"
API_VERSION = "apps/v1"
KIND = "ReplicaSet"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a set asks for."""

    obj: Obj
    name: str
    namespace: str
    replicas: int
    min_ready_s: int
    template: Obj
    selector: LabelSelector

    @property
    def reference(self) -> MutableObj:
        """A controller reference to the set."""
        return meta.owner_reference(self.obj, api_version=API_VERSION, kind=KIND)

    @property
    def involved(self) -> MutableObj:
        """The set as events name it."""
        return meta.reference_to({**self.obj, "apiVersion": API_VERSION, "kind": KIND})

    def matches(self, pod: Obj) -> bool:
        """Whether the selector picks the pod."""
        return self.selector.matches(meta.labels_of(pod))


def read(obj: Obj) -> Spec:
    """The spec of a set, defaults filled in where the server has not done it."""
    spec = obj.get("spec") or {}
    replicas = spec.get("replicas")
    return Spec(
        obj=obj,
        name=meta.name_of(obj),
        namespace=meta.namespace_of(obj),
        replicas=1 if replicas is None else int(replicas),
        min_ready_s=int(spec.get("minReadySeconds") or 0),
        template=spec.get("template") or {},
        selector=selectors.from_object(spec.get("selector")),
    )
