"""Containers of every sort (main, init, restartable init, ephemeral): defaults and validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petset.api import names
from petset.api.check import (
    Faults,
    child,
    fill,
    items,
    member,
    needed,
    one_of,
    optional,
    port_number,
)
from petset.api.core.v1 import env, mount, probe, resources, security
from petset.api.core.v1.volume import pull_policy
from petset.api.errors import duplicate, forbidden_field, invalid, not_supported, required
from petset.api.meta import MutableObj, Obj

KINDS = ("initContainers", "containers", "ephemeralContainers")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_NO_EPHEMERAL = ("ports", *probe.PROBES, "lifecycle")


@dataclass(frozen=True, slots=True)
class Around:
    """What a container's checks need to know of its pod."""

    volumes: Mapping[str, str]
    host_network: bool
    grace_s: int | None


def is_restartable(container: Obj) -> bool:
    """Whether an init container keeps running beside the main ones (a sidecar)."""
    return container.get("restartPolicy") == "Always"


def default_container(container: MutableObj, *, in_pod: bool, host_network: bool) -> None:
    """Defaults of one container; some hold in Pods only, not in templates."""
    fill(container, "imagePullPolicy", pull_policy(container.get("image") or ""))
    fill(container, "terminationMessagePath", "/dev/termination-log")
    fill(container, "terminationMessagePolicy", "File")
    resources.default_requirements(member(container, "resources"), requests_from_limits=in_pod)
    for port in items(container, "ports"):
        fill(port, "protocol", "TCP")
        if in_pod and host_network and not port.get("hostPort"):
            port["hostPort"] = port.get("containerPort")
    env.default_env(container)
    for kind in probe.PROBES:
        if isinstance(container.get(kind), dict):
            probe.default_probe(container[kind])
    if isinstance(container.get("lifecycle"), dict):
        probe.default_lifecycle(container["lifecycle"])


def containers_faults(path: str, spec: Obj, around: Around) -> Faults:
    """Every fault of all containers of a pod's spec."""
    main = items(spec, "containers")
    if not main:
        yield required(f"{path}.containers")
    seen: set[str] = set()
    for kind in KINDS:
        for i, container in enumerate(items(spec, kind)):
            where = f"{path}.{kind}[{i}]"
            yield from _container_faults(where, container, around)
            if kind == "initContainers":
                yield from _init_faults(where, container, around)
            elif kind == "ephemeralContainers":
                yield from _ephemeral_faults(where, container)
            else:
                yield from _main_faults(where, container, around)
            name = container.get("name")
            if name and name in seen:
                yield duplicate(f"{where}.name", name)
            seen.add(name or "")
    for kind in ("containers", "initContainers"):
        yield from _host_port_faults(f"{path}.{kind}", items(spec, kind))


def _container_faults(path: str, container: Obj, around: Around) -> Faults:
    yield from needed(f"{path}.name", container.get("name"), names.dns_label)
    yield from _image_faults(f"{path}.image", container.get("image"))
    yield from one_of(
        f"{path}.imagePullPolicy",
        container.get("imagePullPolicy"),
        ("Always", "IfNotPresent", "Never"),
        need=True,
    )
    yield from one_of(
        f"{path}.terminationMessagePolicy",
        container.get("terminationMessagePolicy"),
        ("FallbackToLogsOnError", "File"),
        need=True,
    )
    yield from _ports_faults(f"{path}.ports", items(container, "ports"), around.host_network)
    yield from env.env_faults(f"{path}.env", items(container, "env"))
    yield from env.env_from_faults(f"{path}.envFrom", items(container, "envFrom"))
    context = child(container, "securityContext")
    privileged = bool(context.get("privileged"))
    yield from mount.mounts_faults(path, container, around.volumes, privileged)
    yield from resources.requirement_faults(f"{path}.resources", child(container, "resources"))
    yield from _resize_policy_faults(f"{path}.resizePolicy", items(container, "resizePolicy"))
    yield from security.container_faults(f"{path}.securityContext", context)


def _image_faults(path: str, image: object) -> Faults:
    if not image:
        yield required(path)
    elif str(image).strip() != image:
        yield invalid(path, image, "must not have leading or trailing whitespace")


def _ports_faults(path: str, ports: Sequence[Any], host_network: bool) -> Faults:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        where, name = f"{path}[{i}]", port.get("name")
        yield from optional(f"{where}.name", name, names.port_name)
        if name and name in seen:
            yield duplicate(f"{where}.name", name)
        seen.add(name or "")
        number, host = port.get("containerPort") or 0, port.get("hostPort") or 0
        if not number:
            yield required(f"{where}.containerPort")
        else:
            yield from port_number(f"{where}.containerPort", number)
        if host:
            yield from port_number(f"{where}.hostPort", host)
            if host_network and host != number:
                yield invalid(
                    f"{where}.containerPort",
                    number,
                    "must match `hostPort` when `hostNetwork` is true",
                )
        yield from one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS, need=True)


def _host_port_faults(path: str, containers: Sequence[Any]) -> Faults:
    seen: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(items(container, "ports")):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if key in seen:
                yield duplicate(f"{path}[{i}].ports[{j}].hostPort", key)
            seen.add(key)


def _resize_policy_faults(path: str, policies: Sequence[Any]) -> Faults:
    for i, policy in enumerate(policies):
        where = f"{path}[{i}]"
        yield from one_of(
            f"{where}.resourceName", policy.get("resourceName"), ("cpu", "memory"), need=True
        )
        yield from one_of(
            f"{where}.restartPolicy",
            policy.get("restartPolicy"),
            ("NotRequired", "RestartContainer"),
            need=True,
        )


def _probes_faults(path: str, container: Obj, around: Around) -> Faults:
    for kind in probe.PROBES:
        if container.get(kind) is not None:
            yield from probe.probe_faults(f"{path}.{kind}", kind, child(container, kind))
    lifecycle = child(container, "lifecycle")
    yield from probe.lifecycle_faults(f"{path}.lifecycle", lifecycle, around.grace_s)
    if "stopSignal" in lifecycle:
        yield from optional(f"{path}.lifecycle.stopSignal", lifecycle["stopSignal"], _signal)


def _signal(value: str) -> list[str]:
    return [] if value.startswith("SIG") else ["must be the name of a signal, such as SIGTERM"]


def _main_faults(path: str, container: Obj, around: Around) -> Faults:
    yield from _probes_faults(path, container, around)
    yield from _restart_policy_faults(path, container, ("Always", "Never", "OnFailure"))


def _init_faults(path: str, container: Obj, around: Around) -> Faults:
    yield from _restart_policy_faults(path, container, ("Always", "Never", "OnFailure"))
    if is_restartable(container):
        yield from _probes_faults(path, container, around)
        return
    for key in ("lifecycle", *probe.PROBES):
        if container.get(key) is not None:
            yield forbidden_field(
                f"{path}.{key}", "may not be set for init containers without restartPolicy=Always"
            )


def _restart_policy_faults(path: str, container: Obj, allowed: tuple[str, ...]) -> Faults:
    policy, rules = container.get("restartPolicy"), items(container, "restartPolicyRules")
    if policy is not None and policy not in allowed:
        yield not_supported(f"{path}.restartPolicy", policy, allowed)
    if rules and policy is None:
        yield required(
            f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used"
        )


def _ephemeral_faults(path: str, container: Obj) -> Faults:
    for key in _NO_EPHEMERAL:
        if container.get(key):
            yield forbidden_field(f"{path}.{key}", "cannot be set for an Ephemeral Container")
    if any(child(container, "resources").values()):
        yield forbidden_field(f"{path}.resources", "cannot be set for an Ephemeral Container")
    if container.get("restartPolicy"):
        yield forbidden_field(f"{path}.restartPolicy", "may not be set for ephemeral containers")
