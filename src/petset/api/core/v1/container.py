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
from petset.api.core.v1 import claims, env, mount, probe, resources, security
from petset.api.core.v1.volume import pull_policy
from petset.api.errors import (
    duplicate,
    forbidden_field,
    invalid,
    not_found_field,
    not_supported,
    required,
    too_many,
)
from petset.api.meta import MutableObj, Obj

KINDS = ("initContainers", "containers", "ephemeralContainers")
PROTOCOLS = ("SCTP", "TCP", "UDP")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
RULE_ACTIONS = ("Restart", "RestartAllContainers")
_NO_EPHEMERAL = ("lifecycle", *probe.PROBES, "ports", "resizePolicy", "resources")
RULES_MAX = 20
EXIT_CODES_MAX = 255


@dataclass(frozen=True, slots=True)
class Around:
    """What a container's checks need to know of its pod.

    Attributes:
        volumes: what can be mounted: name -> kind of source.
        claims: names of the pod's resourceClaims.
        restart_policy: the pod's.
        host_users: whether the pod is in the host's user namespace.
        system: spec.os.name.
    """

    volumes: Mapping[str, str]
    claims: frozenset[str]
    grace_s: int | None
    restart_policy: str
    host_users: bool
    system: str


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
    main, init = items(spec, "containers"), items(spec, "initContainers")
    if not main:
        yield required(f"{path}.containers")
    taken: set[str] = set()
    for i, container in enumerate(main):
        where = f"{path}.containers[{i}]"
        yield from _container_faults(where, container, around)
        yield from _name_taken(where, container, taken)
        yield from _probes_faults(where, container, around)
        yield from _restart_faults(where, container)
    yield from _host_port_faults(f"{path}.containers", main)
    for i, container in enumerate(init):
        where = f"{path}.initContainers[{i}]"
        yield from _container_faults(where, container, around)
        yield from _restart_faults(where, container)
        yield from _name_taken(where, container, taken)
        yield from _host_port_faults(f"{path}.initContainers", [container], first=i)
        yield from _init_faults(where, container, around)
    others = frozenset(taken)
    for i, container in enumerate(items(spec, "ephemeralContainers")):
        where = f"{path}.ephemeralContainers[{i}]"
        yield from _container_faults(where, container, around)
        yield from image_faults(f"{where}.image", container)
        yield from _name_taken(where, container, taken)
        yield from _ephemeral_faults(where, container, others)


def _name_taken(path: str, container: Obj, taken: set[str]) -> Faults:
    name = container.get("name") or ""
    if name in taken:
        yield duplicate(f"{path}.name", name)
    taken.add(name)


def _container_faults(path: str, container: Obj, around: Around) -> Faults:
    """What holds for containers of every sort."""
    yield from needed(f"{path}.name", container.get("name"), names.dns_label)
    if not container.get("image"):
        yield required(f"{path}.image")
    yield from one_of(
        f"{path}.terminationMessagePolicy",
        container.get("terminationMessagePolicy"),
        ("File", "FallbackToLogsOnError"),
        need=True,
    )
    yield from _ports_faults(f"{path}.ports", items(container, "ports"))
    yield from env.env_faults(f"{path}.env", items(container, "env"))
    yield from env.env_from_faults(f"{path}.envFrom", items(container, "envFrom"))
    context = child(container, "securityContext")
    privileged = bool(context.get("privileged"))
    yield from mount.mounts_faults(path, container, around.volumes, privileged)
    yield from one_of(
        f"{path}.imagePullPolicy",
        container.get("imagePullPolicy"),
        ("Always", "IfNotPresent", "Never"),
        need=True,
    )
    wanted = child(container, "resources")
    yield from resources.requirement_faults(f"{path}.resources", wanted)
    yield from claims.used_faults(f"{path}.resources.claims", wanted, around.claims)
    yield from _resize_faults(f"{path}.resizePolicy", container, around.restart_policy)
    where = f"{path}.securityContext"
    yield from security.container_faults(where, context, host_users=around.host_users)


def image_faults(path: str, container: Obj) -> Faults:
    """What holds for images in Pods and not in templates."""
    image = str(container.get("image") or "")
    if image.strip() != image:
        yield invalid(path, image, "must not have leading or trailing whitespace")


def _ports_faults(path: str, ports: Sequence[Any]) -> Faults:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        where, name = f"{path}[{i}]", port.get("name")
        faults = list(optional(f"{where}.name", name, names.port_name))
        yield from faults
        if name and not faults:
            if name in seen:
                yield duplicate(f"{where}.name", name)
            seen.add(name)
        if not port.get("containerPort"):
            yield required(f"{where}.containerPort")
        else:
            yield from port_number(f"{where}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            yield from port_number(f"{where}.hostPort", port["hostPort"])
        yield from one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS, need=True)


def _host_port_faults(path: str, containers: Sequence[Any], *, first: int = 0) -> Faults:
    """The same port of the host may not be asked for twice; `first` is the index of the first."""
    seen: set[str] = set()
    for i, container in enumerate(containers, first):
        for j, port in enumerate(items(container, "ports")):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if key in seen:
                yield duplicate(f"{path}[{i}].ports[{j}].hostPort", key)
            seen.add(key)


def host_network_faults(path: str, spec: Obj, *, in_pod: bool) -> Faults:
    """On the host's network a port is the same inside and outside."""
    if not spec.get("hostNetwork"):
        return
    for i, container in enumerate(items(spec, "containers")):
        for j, port in enumerate(items(container, "ports")):
            host = port.get("hostPort") or 0
            if (in_pod or host) and host != port.get("containerPort"):
                words = "must match `containerPort` when `hostNetwork` is true"
                yield invalid(f"{path}.containers[{i}].ports[{j}].hostPort", host, words)


def _resize_faults(path: str, container: Obj, restart_policy: str) -> Faults:
    """Told at the list, as upstream does, but for what is there twice."""
    seen: set[str] = set()
    for i, policy in enumerate(items(container, "resizePolicy")):
        name, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if name in seen:
            yield duplicate(f"{path}[{i}]", name)
        seen.add(name)
        yield from one_of(path, name, ("cpu", "memory"), need=True)
        yield from one_of(path, restart, ("NotRequired", "RestartContainer"), need=True)
        if restart_policy == "Never" and restart != "NotRequired":
            words = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            yield invalid(path, restart, words)


def _probes_faults(path: str, container: Obj, around: Around) -> Faults:
    if container.get("lifecycle") is not None:
        lifecycle = child(container, "lifecycle")
        yield from probe.lifecycle_faults(
            f"{path}.lifecycle", lifecycle, around.grace_s, around.system
        )
    for kind in probe.PROBES:
        if container.get(kind) is not None:
            yield from probe.probe_faults(f"{path}.{kind}", kind, child(container, kind))


def _init_faults(path: str, container: Obj, around: Around) -> Faults:
    if is_restartable(container):
        yield from _probes_faults(path, container, around)
        return
    for key in ("lifecycle", *probe.PROBES):
        if container.get(key) is not None:
            yield forbidden_field(
                f"{path}.{key}", "may not be set for init containers without restartPolicy=Always"
            )


def _restart_faults(path: str, container: Obj) -> Faults:
    """A restart policy of the container's own, and its rules by exit code."""
    policy, rules = container.get("restartPolicy"), items(container, "restartPolicyRules")
    where = f"{path}.restartPolicyRules"
    if policy is None:
        if rules:
            words = "must specify restartPolicy when restart rules are used"
            yield required(f"{path}.restartPolicy", words)
    elif policy not in RESTART_POLICIES:
        yield not_supported(f"{path}.restartPolicy", policy, RESTART_POLICIES)
    if len(rules) > RULES_MAX:
        yield too_many(where, len(rules), RULES_MAX)
    for i, rule in enumerate(rules):
        yield from _rule_faults(f"{where}[{i}]", rule)


def _rule_faults(path: str, rule: Obj) -> Faults:
    action, codes = rule.get("action") or "", rule.get("exitCodes")
    if action not in RULE_ACTIONS:
        yield not_supported(f"{path}.action", action, RULE_ACTIONS)
    if not isinstance(codes, Mapping):
        yield required(f"{path}.exitCodes", "must be specified")
        return
    operator, values = codes.get("operator") or "", items(codes, "values")
    if operator not in ("In", "NotIn"):
        yield not_supported(f"{path}.exitCodes.operator", operator, ("In", "NotIn"))
    if len(values) > EXIT_CODES_MAX:
        yield too_many(f"{path}.exitCodes.values", len(values), EXIT_CODES_MAX)


def _ephemeral_faults(path: str, container: Obj, others: frozenset[str]) -> Faults:
    target = container.get("targetContainerName")
    if target and target not in others:
        yield not_found_field(f"{path}.targetContainerName", target)
    words = "cannot be set for an Ephemeral Container"
    for key in _NO_EPHEMERAL:
        value = container.get(key)
        if any(value.values()) if key == "resources" and isinstance(value, Mapping) else value:
            yield forbidden_field(f"{path}.{key}", words)
    if container.get("restartPolicy") is not None:
        yield forbidden_field(f"{path}.restartPolicy", words)
    for i, mounted in enumerate(items(container, "volumeMounts")):
        for key in ("subPath", "subPathExpr"):
            if mounted.get(key):
                yield forbidden_field(f"{path}.volumeMounts[{i}].{key}", words)
