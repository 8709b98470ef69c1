"""Pod: what the verbs ask about it. Its parts are in the files beside.

Invariant: a pod's spec is frozen at creation, but for images, tolerations and its deadline.
"""

from collections.abc import Mapping
from typing import Any

from petset.api.check import Faults, child, items, member
from petset.api.core.v1 import (
    container,
    labelkeys,
    podannotations,
    podspec,
    podstatus,
    podtable,
    podupdate,
    podwarnings,
)
from petset.api.core.v1.resources import parsed
from petset.api.errors import FieldError, forbidden_field
from petset.api.kind import Behaviour
from petset.api.meta import MutableObj, Obj, annotations_of, name_of


def default(pod: MutableObj) -> None:
    """Defaults of a Pod."""
    podspec.default(member(pod, "spec"), in_pod=True)


def quality_of(spec: Obj) -> str:
    """The quality of service class: Guaranteed, Burstable or BestEffort."""
    lists = [
        (child(c, "resources", "requests"), child(c, "resources", "limits"))
        for kind in ("containers", "initContainers")
        for c in items(spec, kind)
    ]
    if isinstance(spec.get("resources"), Mapping) and any(spec["resources"].values()):
        lists = [(child(spec, "resources", "requests"), child(spec, "resources", "limits"))]
    if not any(_counts(amounts) for pair in lists for amounts in pair):
        return "BestEffort"
    return "Guaranteed" if all(_guaranteed(*pair) for pair in lists) else "Burstable"


def _counts(amounts: Obj) -> dict[str, Any]:
    """Amounts of cpu and memory that are over 0."""
    found = {name: parsed(amounts[name]) for name in ("cpu", "memory") if name in amounts}
    return {name: amount for name, amount in found.items() if amount and amount.nano > 0}


def _guaranteed(requests: Obj, limits: Obj) -> bool:
    most = _counts(limits)
    return len(most) == 2 and all(most[n] == a for n, a in _counts(requests).items())


def prepare_create(pod: MutableObj) -> None:
    """A new pod is Pending; its selectors name the values of its own labels."""
    labelkeys.merge(member(pod, "spec"), child(pod, "metadata", "labels"))
    pod["status"] = {"phase": "Pending", "qosClass": quality_of(child(pod, "spec"))}


def _faults(pod: Obj) -> Faults:
    """What holds for a Pod at any time."""
    spec = child(pod, "spec")
    yield from podannotations.faults("metadata.annotations", annotations_of(pod), spec)
    yield from podspec.faults("spec", spec, in_pod=True, pod_name=name_of(pod))
    if not spec.get("serviceAccountName"):
        words = "must not be specified when serviceAccountName is not set"
        for i, one in enumerate(items(spec, "volumes")):
            for j, source in enumerate(items(child(one, "projected"), "sources")):
                if source.get("serviceAccountToken") is not None:
                    where = f"spec.volumes[{i}].projected.sources[{j}].serviceAccountToken"
                    yield forbidden_field(where, words)
    for kind in ("containers", "initContainers"):
        for i, one in enumerate(items(spec, kind)):
            yield from container.image_faults(f"spec.{kind}[{i}].image", one)


def validate(pod: Obj) -> list[FieldError]:
    """Every fault of a new pod."""
    spec, faults = child(pod, "spec"), list(_faults(pod))
    if items(spec, "ephemeralContainers"):
        faults.append(forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
    if items(spec, "schedulingGates") and spec.get("nodeName"):
        words = "cannot be set until all schedulingGates have been cleared"
        faults.append(forbidden_field("spec.nodeName", words))
    faults += podannotations.match_faults(annotations_of(pod), spec)
    return faults


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """Every fault of an update: what is frozen stays, what changed is well formed."""
    annotations = podannotations.update_faults(annotations_of(new), annotations_of(old))
    return [*_faults(new), *annotations, *podupdate.spec_faults(new, old)]


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Every fault of an update through /status."""
    annotations = podannotations.update_faults(annotations_of(new), annotations_of(old))
    return [*annotations, *podstatus.faults(new, old)]


def _spec(key: str) -> Any:
    return lambda pod: str(child(pod, "spec").get(key) or "")


def _status(key: str) -> Any:
    return lambda pod: str(child(pod, "status").get(key) or "")


def _host_network(pod: Obj) -> str:
    return "true" if child(pod, "spec").get("hostNetwork") else "false"


def _ips(pod: Obj) -> str:
    return ",".join(one.get("ip") or "" for one in items(child(pod, "status"), "podIPs"))


BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    prepare_update=podupdate.carry_over,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    warnings=podwarnings.of_pod,
    update_warnings=lambda new, old: (),  # people change templates, not pods
    fields={
        "spec.nodeName": _spec("nodeName"),
        "spec.host": _spec("nodeName"),
        "spec.restartPolicy": _spec("restartPolicy"),
        "spec.schedulerName": _spec("schedulerName"),
        "spec.serviceAccountName": _spec("serviceAccountName"),
        "spec.hostNetwork": _host_network,
        "status.phase": _status("phase"),
        "status.podIP": _status("podIP"),
        "status.podIPs": _ips,
        "status.nominatedNodeName": _status("nominatedNodeName"),
    },
    table=podtable.TABLE,
    generation=True,
    graceful=True,
    deletion_returns_object=True,
)
