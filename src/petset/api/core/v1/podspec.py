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
    needed,
    one_of,
    optional,
    unique,
    worded,
)
from petset.api.core.v1 import placement, resources, security, volume
from petset.api.core.v1.container import KINDS, Around, containers_faults, default_container
from petset.api.errors import forbidden_field, invalid, required
from petset.api.meta import MutableObj, Obj

GRACE_S = 30
RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


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
        resources.default_requirements(spec["resources"], requests_from_limits=in_pod)
    resources.canonical_list(spec, "overhead")


def _default_service_account(spec: MutableObj) -> None:
    """The name has an older spelling, which is kept alike."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def faults(path: str, spec: Obj, *, pod_name: str = "", claims: Sequence[str] = ()) -> Faults:
    """Every fault of a pod's spec.

    `claims` are names of volumes that come from elsewhere (a StatefulSet's claim templates).
    """
    volumes = dict.fromkeys(claims, "persistentVolumeClaim")
    for one in items(spec, "volumes"):
        kinds = volume.sources_of(one)
        volumes[one.get("name") or ""] = kinds[0] if kinds else ""
    grace = spec.get("terminationGracePeriodSeconds")
    around = Around(volumes, bool(spec.get("hostNetwork")), grace)
    yield from volume.volumes_faults(f"{path}.volumes", items(spec, "volumes"), pod_name)
    yield from containers_faults(path, spec, around)
    yield from _policy_faults(path, spec)
    yield from _name_faults(path, spec)
    yield from _dns_faults(path, spec)
    yield from security.pod_faults(f"{path}.securityContext", spec)
    yield from security.host_users_faults(path, spec)
    yield from _placement_faults(path, spec)
    yield from _host_alias_faults(f"{path}.hostAliases", items(spec, "hostAliases"))
    if spec.get("resources") is not None:
        yield from resources.requirement_faults(f"{path}.resources", child(spec, "resources"))
    for name, amount in child(spec, "overhead").items():
        yield from resources.amount_faults(f"{path}.overhead[{name}]", name, amount)


def _policy_faults(path: str, spec: Obj) -> Faults:
    policy = spec.get("restartPolicy")
    yield from one_of(f"{path}.restartPolicy", policy, RESTART_POLICIES, need=True)
    yield from one_of(
        f"{path}.preemptionPolicy",
        spec.get("preemptionPolicy"),
        ("Never", "PreemptLowerPriority"),
    )
    deadline = spec.get("activeDeadlineSeconds")
    yield from between(f"{path}.activeDeadlineSeconds", deadline, 1, INT32_MAX)
    system = child(spec, "os").get("name")
    if spec.get("os") is not None:
        yield from one_of(f"{path}.os.name", system, ("linux", "windows"), need=True)


def _name_faults(path: str, spec: Obj) -> Faults:
    for key, rule in (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
        ("priorityClassName", names.dns_subdomain),
        ("runtimeClassName", names.dns_subdomain),
        ("schedulerName", names.qualified_name),
    ):
        yield from optional(f"{path}.{key}", spec.get(key), rule)
    for i, gate in enumerate(items(spec, "readinessGates")):
        kind = gate.get("conditionType") or ""
        where = f"{path}.readinessGates[{i}].conditionType"
        yield from worded(where, kind, names.qualified_name(kind))
    gates = items(spec, "schedulingGates")
    yield from unique(f"{path}.schedulingGates", gates, "name")
    for i, gate in enumerate(gates):
        name = gate.get("name") or ""
        yield from worded(f"{path}.schedulingGates[{i}]", name, names.qualified_name(name))
    if gates and spec.get("nodeName"):
        yield forbidden_field(
            f"{path}.nodeName", "cannot be set until all schedulingGates have been cleared"
        )


def _placement_faults(path: str, spec: Obj) -> Faults:
    yield from names.labels(f"{path}.nodeSelector", child(spec, "nodeSelector"))
    yield from placement.affinity_faults(f"{path}.affinity", child(spec, "affinity"))
    yield from placement.tolerations_faults(f"{path}.tolerations", items(spec, "tolerations"))
    yield from placement.spread_faults(
        f"{path}.topologySpreadConstraints", items(spec, "topologySpreadConstraints")
    )


def _dns_faults(path: str, spec: Obj) -> Faults:
    policy = spec.get("dnsPolicy")
    yield from one_of(f"{path}.dnsPolicy", policy, DNS_POLICIES, need=True)
    config, where = child(spec, "dnsConfig"), f"{path}.dnsConfig"
    servers, searches = items(config, "nameservers"), items(config, "searches")
    if policy == "None":
        if not isinstance(spec.get("dnsConfig"), Mapping):
            yield required(where, "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not servers:
            words = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{where}.nameservers", words)
    if len(servers) > 3:
        yield invalid(f"{where}.nameservers", servers, "must not have more than 3 nameservers")
    for i, server in enumerate(servers):
        yield from ip(f"{where}.nameservers[{i}]", server)
    if len(searches) > 32:
        yield invalid(f"{where}.searches", searches, "must not have more than 32 search paths")
    if sum(len(s) + 1 for s in searches) - 1 > 2048:
        words = "must not have more than 2048 characters (including spaces) in the search list"
        yield invalid(f"{where}.searches", searches, words)
    yield from _search_faults(where, searches, items(config, "options"))


def _search_faults(path: str, searches: Sequence[Any], options: Sequence[Any]) -> Faults:
    for i, search in enumerate(searches):
        name = str(search)
        if name != ".":
            name = name.removesuffix(".").replace("_", "a")
            yield from worded(f"{path}.searches[{i}]", search, names.dns_subdomain(name))
    for i, option in enumerate(options):
        if not option.get("name"):
            yield required(f"{path}.options[{i}]", "must not be empty")


def _host_alias_faults(path: str, aliases: Sequence[Any]) -> Faults:
    for i, alias in enumerate(aliases):
        yield from ip(f"{path}[{i}].ip", alias.get("ip"))
        for j, name in enumerate(items(alias, "hostnames")):
            where = f"{path}[{i}].hostnames[{j}]"
            yield from needed(where, name, names.dns_subdomain)
