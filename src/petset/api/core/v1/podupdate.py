"""What may change in a Pod after its creation, in its spec and in its status."""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.check import (
    IMMUTABLE,
    Faults,
    changes,
    child,
    drop,
    ip,
    items,
    parse_ip,
    semantically,
    worded,
)
from petset.api.errors import forbidden_field, invalid
from petset.api.meta import MutableObj, Obj

_FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def spec_faults(new: Obj, old: Obj) -> Faults:
    """Every fault of an update of a pod's spec through the main resource."""
    before, after = child(old, "spec"), child(new, "spec")
    counts = [
        kind
        for kind in ("containers", "initContainers")
        if len(items(after, kind)) != len(items(before, kind))
    ]
    for kind in counts:
        yield forbidden_field(f"spec.{kind}", "pod updates may not add or remove containers")
    yield from _deadline_faults(after, before)
    yield from _toleration_faults(items(after, "tolerations"), items(before, "tolerations"))
    yield from _gate_faults(after, before)
    if counts:
        return
    frozen_after, frozen_before = _frozen(after, before), _frozen(before, before)
    if frozen_after != frozen_before:
        yield forbidden_field("spec", _FROZEN + changes(frozen_after, frozen_before))


def _deadline_faults(new: Obj, old: Obj) -> Faults:
    path, after, before = (
        "spec.activeDeadlineSeconds",
        new.get("activeDeadlineSeconds"),
        old.get("activeDeadlineSeconds"),
    )
    if before is None:
        return
    if after is None:
        yield invalid(path, after, "must not update from a positive integer to nil value")
    elif after > before:
        yield invalid(path, after, "must be less than or equal to previous value")


def _toleration_faults(new: Sequence[Any], old: Sequence[Any]) -> Faults:
    kept = [drop(toleration, "tolerationSeconds") for toleration in new]
    if any(drop(toleration, "tolerationSeconds") not in kept for toleration in old):
        yield forbidden_field(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        )


def _gate_faults(new: Obj, old: Obj) -> Faults:
    known = {gate.get("name") for gate in items(old, "schedulingGates")}
    for gate in items(new, "schedulingGates"):
        if gate.get("name") not in known:
            yield forbidden_field(
                "spec.schedulingGates",
                f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
            )


def _frozen(spec: Obj, old: Obj) -> Any:
    """The spec without what may change."""
    left = drop(spec, "activeDeadlineSeconds", "tolerations", "schedulingGates")
    for kind in ("containers", "initContainers"):
        left[kind] = [drop(container, "image") for container in items(spec, kind)]
    grace = "terminationGracePeriodSeconds"
    if (old.get(grace) or 0) < 0 and left.get(grace) in (1, old.get(grace)):
        del left[grace]
    if items(old, "schedulingGates"):
        left = drop(left, "nodeSelector", "affinity")
    return semantically(left)


def carry_over(new: MutableObj, old: Obj) -> None:
    """Keep the quality class, which a writer of the status may leave out."""
    quality = child(old, "status").get("qosClass")
    status = new.get("status")
    if quality and isinstance(status, dict) and not status.get("qosClass"):
        status["qosClass"] = quality


def status_faults(new: Obj, old: Obj) -> Faults:
    """Every fault of an update through /status."""
    before, after = child(old, "status"), child(new, "status")
    if child(old, "spec").get("nodeName") != child(new, "spec").get("nodeName"):
        yield forbidden_field("spec.nodeName", "may not be changed directly")
    nominated = after.get("nominatedNodeName")
    if nominated:
        yield from worded("status.nominatedNodeName", nominated, names.dns_subdomain(nominated))
    if before.get("qosClass") and after.get("qosClass") not in (None, "", before["qosClass"]):
        yield invalid("status.qosClass", after.get("qosClass"), IMMUTABLE)
    for i, condition in enumerate(items(after, "conditions")):
        kind = condition.get("type") or ""
        yield from worded(f"status.conditions[{i}].type", kind, names.qualified_name(kind))
    yield from _ip_faults(after)
    policy = child(old, "spec").get("restartPolicy")
    if policy != "Always":
        for kind in ("containerStatuses", "initContainerStatuses"):
            yield from _state_faults(kind, after, before, child(old, "spec"))


def _ip_faults(status: Obj) -> Faults:
    for key, single in (("podIPs", "podIP"), ("hostIPs", "hostIP")):
        addresses = [one.get("ip") for one in items(status, key)]
        for i, address in enumerate(addresses):
            yield from ip(f"status.{key}[{i}]", address)
        if addresses and status.get(single) not in (None, "", addresses[0]):
            yield invalid(f"status.{key}[0].ip", addresses[0], f"must be equal to `{single}`")
        if len({parse_ip(a) for a in addresses}) != len(addresses):
            yield invalid(f"status.{key}", addresses, "may not contain duplicates")


def _state_faults(kind: str, new: Obj, old: Obj, spec: Obj) -> Faults:
    """A container that ended for good may not run again (restartPolicy Never, or OnFailure 0)."""
    after = {one.get("name"): one for one in items(new, kind)}
    own = {
        c.get("name")
        for k in ("containers", "initContainers")
        for c in items(spec, k)
        if c.get("restartPolicy") or c.get("restartPolicyRules")
    }
    for i, one in enumerate(items(old, kind)):
        ended = child(one, "state").get("terminated")
        if ended is None or one.get("name") in own:
            continue
        if ended.get("exitCode") and spec.get("restartPolicy") == "OnFailure":
            continue
        now = after.get(one.get("name"))
        if now is not None and child(now, "state").get("terminated") is None:
            yield forbidden_field(
                f"status.{kind}[{i}].state", "may not be transitioned to non-terminated state"
            )
