"""A pod's spec, in Pods and in templates: defaults and validation of what is not a container."""

from collections.abc import Mapping, Sequence
from typing import Any

from petset.api import names
from petset.api.check import (
    INT32_MAX,
    Faults,
    between,
    child,
    fill,
    ip,
    items,
    member,
    one_of,
    optional,
    text,
    worded,
)
from petset.api.core.v1 import claims as device_claims
from petset.api.core.v1 import placement, poddns, podresources, resources, security, volume, windows
from petset.api.core.v1.container import (
    KINDS,
    Around,
    containers_faults,
    default_container,
    host_network_faults,
)
from petset.api.errors import duplicate, forbidden_field, too_long
from petset.api.meta import MutableObj, Obj

GRACE_S = 30
RESTART_POLICIES = ("Always", "OnFailure", "Never")
HOSTNAME_MAX = 64


def default(spec: MutableObj, *, in_pod: bool) -> None:
    """Defaults of a pod's spec; `in_pod` adds those that templates do not get."""
    fill(spec, "restartPolicy", "Always")
    fill(spec, "dnsPolicy", "ClusterFirst")
    fill(spec, "schedulerName", "default-scheduler")
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = GRACE_S
    member(spec, "securityContext")
    _default_service_account(spec)
    if in_pod and spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    host_network = bool(spec.get("hostNetwork"))
    for kind in KINDS:
        for container in items(spec, kind):
            default_container(container, in_pod=in_pod, host_network=host_network)
    for one in items(spec, "volumes"):
        volume.default_volume(one)
    if isinstance(spec.get("resources"), dict):
        podresources.default(spec, in_pod=in_pod)
    resources.canonical_list(spec, "overhead")


def _default_service_account(spec: MutableObj) -> None:
    """The name has an older spelling, which is kept alike."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def faults(
    path: str, spec: Obj, *, in_pod: bool = False, pod_name: str = "", claims: Sequence[str] = ()
) -> Faults:
    """Every fault of a pod's spec, in upstream's order.

    `in_pod` tells Pods from templates; `claims` are names of volumes that come from elsewhere (a
    StatefulSet's claim templates).
    """
    found, volumes = volume.judge(f"{path}.volumes", items(spec, "volumes"), pod_name, claims)
    yield from found
    yield from device_claims.faults(f"{path}.resourceClaims", spec)
    around = Around(
        volumes,
        device_claims.names_of(spec),
        spec.get("terminationGracePeriodSeconds"),
        text(spec.get("restartPolicy")),
        spec.get("hostUsers") is not False,
        text(child(spec, "os").get("name")),
    )
    yield from containers_faults(path, spec, around)
    if spec.get("resources") is not None:
        yield from podresources.faults(f"{path}.resources", spec)
    yield from host_network_faults(path, spec, in_pod=in_pod)
    policy, where = spec.get("restartPolicy"), f"{path}.restartPolicy"
    yield from one_of(where, policy, RESTART_POLICIES, need=True)
    yield from one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), poddns.POLICIES, need=True)
    yield from names.labels(f"{path}.nodeSelector", child(spec, "nodeSelector"))
    yield from security.pod_faults(f"{path}.securityContext", spec)
    yield from placement.affinity_faults(f"{path}.affinity", child(spec, "affinity"))
    yield from poddns.faults(f"{path}.dnsConfig", spec)
    yield from _gate_faults(path, spec)
    yield from placement.spread_faults(
        f"{path}.topologySpreadConstraints", items(spec, "topologySpreadConstraints")
    )
    yield from windows.host_process_faults(path, spec)
    yield from security.host_users_faults(path, spec)
    yield from _name_faults(path, spec)
    if isinstance(spec.get("overhead"), Mapping):
        overhead = {"limits": spec["overhead"]}
        yield from resources.requirement_faults(f"{path}.overhead", overhead)
    yield from windows.system_faults(path, spec)


def _gate_faults(path: str, spec: Obj) -> Faults:
    for i, gate in enumerate(items(spec, "readinessGates")):
        kind = gate.get("conditionType") or ""
        where = f"{path}.readinessGates[{i}].conditionType"
        yield from worded(where, kind, names.qualified_name(kind))
    seen: set[str] = set()
    for i, gate in enumerate(items(spec, "schedulingGates")):
        where, name = f"{path}.schedulingGates[{i}]", gate.get("name") or ""
        yield from worded(where, name, names.qualified_name(name))
        if name in seen:
            yield duplicate(where, name)
        seen.add(name)


def _name_faults(path: str, spec: Obj) -> Faults:
    for key in ("serviceAccountName", "nodeName"):
        yield from optional(f"{path}.{key}", spec.get(key), names.dns_subdomain)
    deadline = spec.get("activeDeadlineSeconds")
    yield from between(f"{path}.activeDeadlineSeconds", deadline, 1, INT32_MAX)
    for key in ("hostname", "subdomain"):
        yield from optional(f"{path}.{key}", spec.get(key), names.dns_label)
    yield from _override_faults(f"{path}.hostnameOverride", spec)
    yield from placement.tolerations_faults(f"{path}.tolerations", items(spec, "tolerations"))
    yield from _host_alias_faults(f"{path}.hostAliases", items(spec, "hostAliases"))
    yield from optional(
        f"{path}.priorityClassName", spec.get("priorityClassName"), names.dns_subdomain
    )
    runtime = spec.get("runtimeClassName")
    if runtime is not None:
        yield from worded(f"{path}.runtimeClassName", runtime, names.dns_subdomain(text(runtime)))
    policies = ("PreemptLowerPriority", "Never")
    yield from one_of(f"{path}.preemptionPolicy", spec.get("preemptionPolicy"), policies)


def _override_faults(path: str, spec: Obj) -> Faults:
    """A host name that takes the place of all others."""
    name = spec.get("hostnameOverride")
    if name is None:
        return
    if spec.get("hostNetwork"):
        yield forbidden_field(path, "must not be specified when hostNetwork is true")
    if spec.get("setHostnameAsFQDN"):
        yield forbidden_field(path, "must not be specified when setHostnameAsFQDN is true")
    yield from worded(path, name, names.dns_subdomain(text(name)))
    if len(text(name)) > HOSTNAME_MAX:
        yield too_long(path, HOSTNAME_MAX)


def _host_alias_faults(path: str, aliases: Sequence[Any]) -> Faults:
    for i, alias in enumerate(aliases):
        yield from ip(f"{path}[{i}].ip", alias.get("ip"))
        for j, name in enumerate(items(alias, "hostnames")):
            where = f"{path}[{i}].hostnames[{j}]"
            yield from worded(where, name, names.dns_subdomain(text(name)))
