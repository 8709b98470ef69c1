"""Label keys whose values come from the pod itself: written into the selectors of a new pod.

Templates keep the keys alone; a pod's selectors name the values that its labels had at creation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from petset.api.check import child, items
from petset.api.meta import MutableObj, Obj

KINDS = ("podAffinity", "podAntiAffinity")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def merge(spec: MutableObj, labels: Mapping[str, str]) -> None:
    """Extend the selectors of spread constraints and of terms of affinity between pods."""
    if spread := items(spec, "topologySpreadConstraints"):
        spec["topologySpreadConstraints"] = [_joined(one, labels) for one in spread]
    if affinity := child(spec, "affinity"):
        kinds = {k: _terms(child(affinity, k), labels) for k in KINDS if child(affinity, k)}
        spec["affinity"] = {**affinity, **kinds}


def _terms(kind: Obj, labels: Mapping[str, str]) -> MutableObj:
    made = dict(kind)
    if required := items(kind, REQUIRED):
        made[REQUIRED] = [_joined(term, labels) for term in required]
    if preferred := items(kind, PREFERRED):
        made[PREFERRED] = [
            {**one, "podAffinityTerm": _joined(child(one, "podAffinityTerm"), labels)}
            for one in preferred
        ]
    return made


def _joined(term: Obj, labels: Mapping[str, str]) -> Obj:
    """`term` with its keys in its selector. Where there is no selector, nothing is selected."""
    selector = term.get("labelSelector")
    if selector is None:
        return term
    more = [
        *_requirements("In", items(term, "matchLabelKeys"), labels),
        *_requirements("NotIn", items(term, "mismatchLabelKeys"), labels),
    ]
    if not more:
        return term
    expressions = [*items(selector, "matchExpressions"), *more]
    return {**term, "labelSelector": {**selector, "matchExpressions": expressions}}


def _requirements(operator: str, keys: Sequence[Any], labels: Mapping[str, str]) -> list[Obj]:
    return [
        {"key": key, "operator": operator, "values": [labels[key]]} for key in keys if key in labels
    ]
