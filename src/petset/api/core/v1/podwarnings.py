"""Warnings about pods and pod templates that are valid but probably a mistake."""

from collections.abc import Iterator, Sequence
from typing import Any

from petset.api import addresses, names
from petset.api.check import child, items, text
from petset.api.core.v1 import podannotations, volumewarnings
from petset.api.core.v1.resources import is_fractional
from petset.api.meta import Obj, name_of

OLD_LABELS = {
    "beta.kubernetes.io/arch": ('deprecated since v1.14; use "kubernetes.io/arch" instead'),
    "beta.kubernetes.io/os": ('deprecated since v1.14; use "kubernetes.io/os" instead'),
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
}
"""Labels of nodes that have new names."""

_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_APPARMOR = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_BYTES = ("memory", "ephemeral-storage")


def of_pod(pod: Obj) -> list[str]:
    """Warnings about a new Pod."""
    return [*of_name(pod, "the Pod's hostname"), *_of("", pod)]


def of_template(path: str, template: Obj) -> Iterator[str]:
    """Warnings about a pod template at `path`."""
    yield from _of(f"{path}.", template)


def of_name(obj: Obj, use: str) -> Iterator[str]:
    """A name that cannot be a host name, where it is used as one; `use` says how."""
    if faults := names.dns_label(name_of(obj)):
        yield (
            f"metadata.name: this is used in {use}, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(faults)}]"
        )


def of_expressions(path: str, term: Obj) -> Iterator[str]:
    """Labels of nodes that have new names, in expressions."""
    for i, expression in enumerate(items(term, "matchExpressions")):
        key = text(expression.get("key"))
        if key in OLD_LABELS:
            yield f"{path}.matchExpressions[{i}].key: {key} is {OLD_LABELS[key]}"


def _of(at: str, template: Obj) -> Iterator[str]:
    """Warnings about a pod or a template; `at` stands before every path."""
    path, spec = f"{at}spec", child(template, "spec")
    annotations = child(template, "metadata", "annotations")
    yield from _of_placement(path, spec)
    for key, words in _OLD_ANNOTATIONS.items():
        if key in annotations:
            yield f"{at}metadata.annotations[{key}]: {words}"
    yield from volumewarnings.of_volumes(f"{path}.volumes", items(spec, "volumes"))
    yield from _of_lists(path, spec)
    for name in _BYTES:
        yield from _fraction(f"{path}.overhead[{name}]", child(spec, "overhead").get(name))
    yield from _of_profiles(at, annotations, spec)
    for where, container in podannotations.containers(path, spec):
        yield from _of_container(where, container)
    yield from _same_ports(path, spec)
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        yield (
            f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid "
            "and will be treated as 1"
        )
    yield from _of_pod_affinity(f"{path}.affinity", child(spec, "affinity"))


def _of_placement(path: str, spec: Obj) -> Iterator[str]:
    for key in child(spec, "nodeSelector"):
        if key in OLD_LABELS:
            yield f"{path}.nodeSelector[{key}]: {OLD_LABELS[key]}"
    affinity, where = child(spec, "affinity", "nodeAffinity"), f"{path}.affinity.nodeAffinity"
    for i, term in enumerate(items(child(affinity, _REQUIRED), "nodeSelectorTerms")):
        yield from of_expressions(f"{where}.{_REQUIRED}.nodeSelectorTerms[{i}]", term)
    for i, term in enumerate(items(affinity, _PREFERRED)):
        yield from of_expressions(
            f"{where}.{_PREFERRED}[{i}].preference", child(term, "preference")
        )
    for i, constraint in enumerate(items(spec, "topologySpreadConstraints")):
        where, key = f"{path}.topologySpreadConstraints[{i}]", text(constraint.get("topologyKey"))
        if key in OLD_LABELS:
            yield f"{where}.topologyKey: {key} is {OLD_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{where}.labelSelector: {_NO_SELECTOR}"


def _of_pod_affinity(path: str, affinity: Obj) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms, where = child(affinity, kind), f"{path}.{kind}"
        for i, term in enumerate(items(terms, _REQUIRED)):
            if term.get("labelSelector") is None:
                yield f"{where}.{_REQUIRED}[{i}].labelSelector: {_NO_SELECTOR}"
        for i, term in enumerate(items(terms, _PREFERRED)):
            if child(term, "podAffinityTerm").get("labelSelector") is None:
                yield f"{where}.{_PREFERRED}[{i}].podAffinityTerm.labelSelector: {_NO_SELECTOR}"


def _of_lists(path: str, spec: Obj) -> Iterator[str]:
    """What is there twice, empty, or written in an odd way."""
    aliases, secrets = items(spec, "hostAliases"), items(spec, "imagePullSecrets")
    yield from _twice(f"{path}.hostAliases", aliases, "ip")
    yield from _twice(f"{path}.imagePullSecrets", secrets, "name")
    for i, secret in enumerate(secrets):
        if not secret.get("name"):
            yield f'{path}.imagePullSecrets[{i}].name: invalid empty name ""'
    for i, server in enumerate(items(child(spec, "dnsConfig"), "nameservers")):
        yield from addresses.ip_warnings(f"{path}.dnsConfig.nameservers[{i}]", server)
    for i, alias in enumerate(aliases):
        yield from addresses.ip_warnings(f"{path}.hostAliases[{i}].ip", alias.get("ip"))


def _twice(path: str, things: Sequence[Any], key: str) -> Iterator[str]:
    seen: set[str] = set()
    for i, thing in enumerate(things):
        value = text(thing.get(key))
        if value in seen:
            yield f'{path}[{i}].{key}: duplicate {key} "{value}"'
        seen.add(value)


def _of_profiles(at: str, annotations: Obj, spec: Obj) -> Iterator[str]:
    """Profiles that are given in annotations and not in fields."""
    if not annotations:
        return
    path, whole = f"{at}metadata.annotations", child(spec, "securityContext")
    key = podannotations.SECCOMP_POD
    if key in annotations and whole.get("seccompProfile") is None:
        yield f"{path}[{key}]: {_SECCOMP}"
    for _, container in podannotations.containers("", spec):
        own, name = child(container, "securityContext"), text(container.get("name"))
        key = f"{podannotations.SECCOMP_CONTAINER}{name}"
        if key in annotations and own.get("seccompProfile") is None:
            yield f"{path}[{key}]: {_SECCOMP}"
        key = f"{podannotations.APPARMOR}{name}"
        fields = (own.get("appArmorProfile"), whole.get("appArmorProfile"))
        if key in annotations and fields == (None, None):
            yield f"{path}[{key}]: {_APPARMOR}"


def _fraction(path: str, amount: object) -> Iterator[str]:
    if is_fractional(amount):
        yield f'{path}: fractional byte value "{amount}" is invalid, must be an integer'


def _of_container(path: str, container: Obj) -> Iterator[str]:
    for name in _BYTES:
        for kind in ("limits", "requests"):
            amount = child(container, "resources", kind).get(name)
            yield from _fraction(f"{path}.resources.{kind}[{name}]", amount)
    seen: set[object] = set()
    for i, variable in enumerate(items(container, "env")):
        name, value = text(variable.get("name")), text(variable.get("value"))
        own = f"$({name})"  # a value that is made of the former one hides nothing
        if name in seen and (variable.get("valueFrom") or value == own or own not in value):
            yield (
                f'{path}.env[{i}]: hides previous definition of "{name}", which may be dropped '
                "when using apply"
            )
        seen.add(name)


def _same_ports(path: str, spec: Obj) -> Iterator[str]:
    seen: dict[str, list[tuple[str, Obj]]] = {}
    for where, container in podannotations.containers(path, spec):
        for i, port in enumerate(items(container, "ports")):
            here = f"{where}.ports[{i}]"
            if port.get("hostIP") and not port.get("hostPort"):
                yield f"{here}: hostIP set without hostPort: {_shown(port)}"
            others = seen.setdefault(f"{port.get('containerPort')}/{port.get('protocol')}", [])
            for there, other in others:
                if how := _clash(port, other):
                    yield f"{here}: {how} port definition with {there}"
            others.append((here, port))


def _clash(port: Obj, other: Obj) -> str:
    """How two definitions of the same port conflict, "" if they do not disturb each other."""
    host, other_host = (one.get("hostPort") or 0 for one in (port, other))
    address, other_address = (text(one.get("hostIP")) for one in (port, other))
    if (host, address) == (other_host, other_address):
        return "duplicate"
    if not host or not other_host:
        return "overlapping"
    if host == other_host and bool(address) != bool(other_address):
        return "dangerously ambiguous"
    return ""


def _shown(port: Obj) -> str:
    """A port as upstream prints it in words."""
    return (
        f"{{Name:{text(port.get('name'))} HostPort:{port.get('hostPort') or 0} "
        f"ContainerPort:{port.get('containerPort') or 0} Protocol:{text(port.get('protocol'))} "
        f"HostIP:{text(port.get('hostIP'))}}}"
    )
