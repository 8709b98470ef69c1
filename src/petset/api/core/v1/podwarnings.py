"""Warnings about pods and pod templates that are valid but hardly meant so."""

from collections.abc import Iterator, Sequence
from typing import Any

from petset.api import names
from petset.api.check import child, items
from petset.api.core.v1.resources import parsed
from petset.api.meta import Obj, name_of
from petset.api.quantity import NANO

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


def of_pod(pod: Obj) -> list[str]:
    """Warnings about a Pod."""
    found = list(of_spec("spec", child(pod, "spec")))
    if faults := names.dns_label(name_of(pod)):
        quoted = ", ".join(f'"{fault}"' for fault in faults)
        found.append(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising "
            f"behavior; a DNS label is recommended: [{quoted}]"
        )
    return found


def of_spec(path: str, spec: Obj) -> Iterator[str]:
    """Warnings about a pod's spec."""
    for key in child(spec, "nodeSelector"):
        if key in OLD_LABELS:
            yield f"{path}.nodeSelector[{key}]: {OLD_LABELS[key]}"
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        yield (
            f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid "
            "and will be treated as 1"
        )
    for i, secret in enumerate(items(spec, "imagePullSecrets")):
        if not secret.get("name"):
            yield f'{path}.imagePullSecrets[{i}].name: invalid empty name ""'
    for i, constraint in enumerate(items(spec, "topologySpreadConstraints")):
        if constraint.get("labelSelector") is None:
            yield (
                f"{path}.topologySpreadConstraints[{i}].labelSelector: a null labelSelector "
                "results in matching no pod"
            )
    for kind in ("initContainers", "containers"):
        for i, container in enumerate(items(spec, kind)):
            yield from _of_container(f"{path}.{kind}[{i}]", container)


def _of_container(path: str, container: Obj) -> Iterator[str]:
    yield from _hidden_variables(f"{path}.env", items(container, "env"))
    yield from _same_ports(f"{path}.ports", items(container, "ports"))
    for kind in ("limits", "requests"):
        for name in ("memory", "ephemeral-storage"):
            amount = child(container, "resources", kind).get(name)
            value = parsed(amount) if amount is not None else None
            if value is not None and value.nano % NANO:
                yield (
                    f"{path}.resources.{kind}[{name}]: fractional byte value "
                    f'"{amount}" is invalid, must be an integer'
                )


def _hidden_variables(path: str, env: Sequence[Any]) -> Iterator[str]:
    seen: set[object] = set()
    for i, variable in enumerate(env):
        name = variable.get("name")
        if name in seen:
            yield (
                f'{path}[{i}]: hides previous definition of "{name}", which may be dropped '
                "when using apply"
            )
        seen.add(name)


def _same_ports(path: str, ports: Sequence[Any]) -> Iterator[str]:
    seen: dict[tuple[object, ...], int] = {}
    for i, port in enumerate(ports):
        keys = ("containerPort", "protocol", "hostPort", "hostIP")
        what = tuple(port.get(key) for key in keys)
        if what in seen:
            yield f"{path}[{i}]: duplicate port definition with {path}[{seen[what]}]"
        seen.setdefault(what, i)
