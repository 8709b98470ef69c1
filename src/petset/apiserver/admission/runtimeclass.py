"""RuntimeClass: what a class says of its pods is written into them; unknown classes are refused."""

from petset.api.meta import MutableObj, Obj
from petset.apiserver.admission.attributes import Attributes, refused

CLASSES = "runtimeclasses.node.k8s.io"


def apply(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Give a new pod its class's overhead, node selector and tolerations.

    Raises StatusError 403 where there is no such class, or the pod contradicts it.
    """
    del old
    if not (attrs.creates and attrs.id == "pods"):
        return
    spec = obj.get("spec") or {}
    name = spec.get("runtimeClassName")
    if name is None and not spec.get("overhead"):
        return
    found: Obj | None = None
    if name is not None:
        found = attrs.view.get(CLASSES, "", name)
        if found is None:
            raise refused(obj, f'pod rejected: RuntimeClass "{name}" not found')
    _give_overhead(obj, spec, (found or {}).get("overhead"))
    _give_scheduling(obj, spec, (found or {}).get("scheduling") or {})


def _give_overhead(obj: Obj, spec: MutableObj, overhead: Obj | None) -> None:
    given = spec.get("overhead")
    if overhead is None:
        if given:
            why = "Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise refused(obj, f"pod rejected: {why}")
        return
    fixed = overhead.get("podFixed") or {}
    if given and given != fixed:
        why = "Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        raise refused(obj, f"pod rejected: {why}")
    if fixed:
        spec["overhead"] = dict(fixed)


def _give_scheduling(obj: Obj, spec: MutableObj, scheduling: Obj) -> None:
    chosen, wanted = spec.get("nodeSelector") or {}, scheduling.get("nodeSelector") or {}
    for key, value in wanted.items():
        if chosen.get(key, value) != value:
            raise refused(
                obj,
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {chosen[key]}",
            )
    if wanted:
        spec["nodeSelector"] = {**chosen, **wanted}
    if more := scheduling.get("tolerations"):
        spec["tolerations"] = _merged([*(spec.get("tolerations") or ()), *more])


def _merged(tolerations: list[Obj]) -> list[Obj]:
    """The tolerations without those that another one covers; of equal ones the first stays."""
    kept: list[Obj] = []
    for index, one in enumerate(tolerations):
        later = [other for other in tolerations[index + 1 :] if other != one]
        if not any(_covers(other, one) for other in (*kept, *later)):
            kept.append(one)
    return kept


def _covers(wide: Obj, narrow: Obj) -> bool:
    """Whether `wide` tolerates all that `narrow` does."""
    exists = wide.get("operator") == "Exists"
    if (wide.get("key") or "") != (narrow.get("key") or "") and (wide.get("key") or not exists):
        return False
    if wide.get("effect") and wide["effect"] != narrow.get("effect"):
        return False
    limit, other = wide.get("tolerationSeconds"), narrow.get("tolerationSeconds")
    if wide.get("effect") == "NoExecute" and limit is not None and (other is None or other > limit):
        return False
    if exists:
        return True
    return (wide.get("operator") or "Equal") == (narrow.get("operator") or "Equal") and (
        wide.get("value") or ""
    ) == (narrow.get("value") or "")
