"""What may be written to a pod's status."""

from petset.api import names
from petset.api.check import IMMUTABLE, Faults, child, ip, items, parse_ip, text, worded
from petset.api.errors import duplicate, forbidden_field, invalid
from petset.api.meta import Obj

_SYSTEM = ("PodScheduled", "Ready", "Initialized")


def faults(new: Obj, old: Obj) -> Faults:
    """Every fault of an update through /status."""
    before, after = child(old, "status"), child(new, "status")
    for i, condition in enumerate(items(after, "conditions")):
        kind = text(condition.get("type"))
        if kind not in _SYSTEM:
            yield from worded(f"status.conditions[{i}].type", kind, names.qualified_name(kind))
    if child(old, "spec").get("nodeName") != child(new, "spec").get("nodeName"):
        yield forbidden_field("status.nodeName", "may not be changed directly")
    nominated = after.get("nominatedNodeName")
    if nominated and nominated != before.get("nominatedNodeName"):
        yield from worded("status.nominatedNodeName", nominated, names.dns_subdomain(nominated))
    if before.get("qosClass") and after.get("qosClass") not in (None, "", before["qosClass"]):
        yield invalid("status.qosClass", after.get("qosClass"), IMMUTABLE)
    spec = child(old, "spec")
    for kind in ("containerStatuses", "initContainerStatuses"):
        yield from _state_faults(kind, after, before, spec)
    yield from _state_faults("ephemeralContainerStatuses", after, before, {})
    yield from _claim_faults(after, child(new, "spec"))
    yield from _pod_ip_faults(after)
    yield from _host_ip_faults(after)
    for i, one in enumerate(items(after, "ephemeralContainerStatuses")):
        if one.get("allocatedResourcesStatus"):
            where = f"status.ephemeralContainerStatuses[{i}].allocatedResourcesStatus"
            yield forbidden_field(where, "must not be specified in container status")


def _state_faults(kind: str, new: Obj, old: Obj, spec: Obj) -> Faults:
    """A container that ended for good may not run again (restartPolicy Never, or OnFailure 0).

    Without a restart policy in `spec` that goes for every container.
    """
    policy = spec.get("restartPolicy")
    if policy == "Always":
        return
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
        if ended.get("exitCode") and policy == "OnFailure":
            continue
        now = after.get(one.get("name"))
        if now is not None and child(now, "state").get("terminated") is None:
            yield forbidden_field(
                f"status.{kind}[{i}].state", "may not be transitioned to non-terminated state"
            )


def _claim_faults(status: Obj, spec: Obj) -> Faults:
    known = {claim.get("name") for claim in items(spec, "resourceClaims")}
    seen: set[str] = set()
    for i, claim in enumerate(items(status, "resourceClaimStatuses")):
        where, name = f"status.resourceClaimStatuses[{i}].name", text(claim.get("name"))
        if name not in known:
            words = "must match the name of an entry in `spec.resourceClaims`"
            yield invalid(where, name, words)
        if name in seen:
            yield duplicate(where, name)
        seen.add(name)
        made = claim.get("resourceClaimName")
        if made is not None:
            yield from worded(where, made, names.dns_subdomain(text(made)))


def _pod_ip_faults(status: Obj) -> Faults:
    given = [text(one.get("ip")) for one in items(status, "podIPs")]
    single = status.get("podIP")
    if given and single not in (None, "", given[0]):
        yield invalid("status.podIPs[0].ip", given[0], "must be equal to `podIP`")
    yield from _address_faults("status.podIPs", given)


def _host_ip_faults(status: Obj) -> Faults:
    given = [text(one.get("ip")) for one in items(status, "hostIPs")]
    if given and (status.get("hostIP") or "") != given[0]:
        yield invalid("status.hostIPs[0].ip", given[0], "must be equal to `hostIP`")
    yield from _address_faults("status.hostIPs", given)


def _address_faults(path: str, given: list[str]) -> Faults:
    for i, address in enumerate(given):
        yield from ip(f"{path}[{i}]", address)
    parsed = [address for address in map(parse_ip, given) if address is not None]
    if len(given) > 1 and (len(given) > 2 or len({a.version for a in parsed}) < len(parsed)):
        shown = [{"IP": address} for address in given]
        yield invalid(path, shown, "may specify no more than one IP for each IP family")
    for i, address in enumerate(given):
        if address in given[:i]:
            yield duplicate(f"{path}[{i}]", {"IP": address})
