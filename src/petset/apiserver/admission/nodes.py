"""TaintNodesByCondition: a new Node takes no pods until it has shown that it is ready."""

from petset.api.meta import MutableObj, Obj
from petset.apiserver.admission.attributes import Attributes
from petset.apiserver.admission.pods import NOT_READY


def taint(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Give a new Node the not-ready taint."""
    del old
    if not (attrs.creates and attrs.id == "nodes"):
        return
    spec = obj.setdefault("spec", {})
    taints = list(spec.get("taints") or ())
    wanted = {"key": NOT_READY, "effect": "NoSchedule"}
    if not any(t.get("key") == NOT_READY and t.get("effect") == "NoSchedule" for t in taints):
        spec["taints"] = [*taints, wanted]
