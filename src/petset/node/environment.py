"""A container's environment and command line, with references resolved. Pure.

Order: service variables, then envFrom, then env; a later one overrides an earlier one of the same
name. `$(VAR)` is replaced by variables known so far, `$$` is a dollar sign.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from petset.api import quantity
from petset.api.meta import Obj, annotations_of, labels_of, name_of, namespace_of, uid_of
from petset.node import podspec

_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*$")
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]$")

Lookup = Callable[[str, str], Mapping[str, bytes] | None]
"""(resource, name) -> content of the ConfigMap or Secret of that name in the pod's namespace."""


class ConfigError(Exception):
    """The environment cannot be made; the container waits as CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What fieldRef and resourceFieldRef can name beside the pod's own object."""

    pod_ip: str = ""
    host_ip: str = ""
    node_name: str = ""
    allocatable: Mapping[str, str] = field(default_factory=dict)


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by known variables; unknown ones stay as they are."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return _REFERENCE.sub(one, text)


def references(spec: Obj) -> set[tuple[str, str]]:
    """(resource, name) of every ConfigMap and Secret that a container's environment names."""
    found = set()
    for source in spec.get("envFrom") or ():
        for key, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if source.get(key):
                found.add((resource, source[key].get("name") or ""))
    for variable in spec.get("env") or ():
        origin = variable.get("valueFrom") or {}
        for key, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if origin.get(key):
                found.add((resource, origin[key].get("name") or ""))
    return found


def build(
    pod: Obj, spec: Obj, facts: Facts, lookup: Lookup, services: Mapping[str, str]
) -> dict[str, str]:
    """The variables of a container. Raises ConfigError for what a reference does not find.

    Args:
        lookup: ConfigMaps and Secrets of the pod's namespace.
        services: service variables, see `service_variables`.
    """
    made = dict(services)
    for source in spec.get("envFrom") or ():
        made.update(_from_source(source, lookup))
    for variable in spec.get("env") or ():
        value = _value(pod, spec, variable, _Context(facts, lookup, made))
        if value is not None:
            made[variable["name"]] = value
    return made


@dataclass(frozen=True, slots=True)
class _Context:
    facts: Facts
    lookup: Lookup
    known: Mapping[str, str]


def _from_source(source: Obj, lookup: Lookup) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for key, resource, kind in (
        ("configMapRef", "configmaps", "configmap"),
        ("secretRef", "secrets", "secret"),
    ):
        reference = source.get(key)
        if not reference:
            continue
        found = lookup(resource, reference.get("name") or "")
        if found is None:
            if reference.get("optional"):
                return {}
            raise ConfigError(f'{kind} "{reference.get("name")}" not found')
        return {prefix + k: _text(v) for k, v in found.items() if _NAME.match(prefix + k)}
    return {}


def content_of(obj: Obj) -> dict[str, bytes]:
    """The values of a ConfigMap or a Secret, decoded."""
    if obj.get("kind") == "Secret":
        return {k: base64.b64decode(v or "") for k, v in (obj.get("data") or {}).items()}
    made = {k: str(v).encode() for k, v in (obj.get("data") or {}).items()}
    for key, value in (obj.get("binaryData") or {}).items():
        made[key] = base64.b64decode(value or "")
    return made


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _value(pod: Obj, spec: Obj, variable: Obj, context: _Context) -> str | None:
    origin = variable.get("valueFrom")
    if not origin:
        return expand(variable.get("value") or "", context.known)
    if reference := origin.get("fieldRef"):
        return field_value(pod, reference.get("fieldPath") or "", context.facts)
    if reference := origin.get("resourceFieldRef"):
        return resource_value(pod, spec, reference, context.facts)
    for key, resource, kind in (
        ("configMapKeyRef", "configmaps", "configmap"),
        ("secretKeyRef", "secrets", "secret"),
    ):
        if reference := origin.get(key):
            return _key_value(pod, reference, context.lookup, resource=resource, kind=kind)
    named = ", ".join(origin)
    raise ConfigError(f"petset does not support the environment source {named} yet")


def _key_value(pod: Obj, reference: Obj, lookup: Lookup, *, resource: str, kind: str) -> str | None:
    name, key = reference.get("name") or "", reference.get("key") or ""
    found = lookup(resource, name)
    if found is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{kind} "{name}" not found')
    if key in found:
        return _text(found[key])
    if reference.get("optional"):
        return None
    shown = "ConfigMap" if kind == "configmap" else "Secret"
    raise ConfigError(f"couldn't find key {key} in {shown} {namespace_of(pod)}/{name}")


def field_value(pod: Obj, path: str, facts: Facts) -> str:
    """The text of a field of the pod, as the downward API names it. Raises ConfigError."""
    simple: dict[str, str] = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "spec.nodeName": facts.node_name,
        "spec.serviceAccountName": podspec.spec_of(pod).get("serviceAccountName") or "",
        "spec.hostname": podspec.hostname(pod),
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
    }
    if path in simple:
        return simple[path]
    maps = {"labels": labels_of(pod), "annotations": annotations_of(pod)}
    if match := _SUBSCRIPT.match(path):
        return str(maps[match[1]].get(match[2], ""))
    kind = path.removeprefix("metadata.")
    if kind in maps and path.startswith("metadata."):
        return "\n".join(f"{k}={_quoted(v)}" for k, v in sorted(maps[kind].items()))
    raise ConfigError(f"unsupported fieldPath: {path}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def resource_value(pod: Obj, spec: Obj, reference: Obj, facts: Facts) -> str:
    """A limit or request of a container, in units of the reference's divisor, rounded up."""
    name = reference.get("containerName")
    target: Any = podspec.container(pod, name) if name else spec
    if target is None:
        raise ConfigError(f"container {name} not found")
    wanted: str = reference.get("resource") or ""
    group, _, resource = wanted.partition(".")
    amounts = (target.get("resources") or {}).get(group) or {}
    amount = amounts.get(resource)
    if amount is None and group == "limits":
        amount = facts.allocatable.get(resource)
    if amount is None and group == "requests":
        amount = "0"
    if amount is None:
        raise ConfigError(f"unsupported container resource: {wanted}")
    divisor = reference.get("divisor") or "1"
    unit = quantity.milli("1" if quantity.milli(divisor) == 0 else divisor)
    return str(-(-quantity.milli(amount) // unit))


def service_variables(services: Sequence[Obj], namespace: str, *, links: bool) -> dict[str, str]:
    """Variables that tell of Services: always of `kubernetes`, of the namespace's own if asked."""
    made: dict[str, str] = {}
    for service in sorted(services, key=name_of):
        spec = service.get("spec") or {}
        address = spec.get("clusterIP") or ""
        is_master = namespace_of(service) == "default" and name_of(service) == "kubernetes"
        wanted = is_master or (links and namespace_of(service) == namespace)
        if wanted and address and address != "None" and spec.get("ports"):
            made.update(_one_service(name_of(service), address, spec["ports"]))
    return made


def _one_service(name: str, address: str, ports: Sequence[Obj]) -> dict[str, str]:
    stem = name.upper().replace("-", "_")
    made = {f"{stem}_SERVICE_HOST": address, f"{stem}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            word = port["name"].upper().replace("-", "_")
            made[f"{stem}_SERVICE_PORT_{word}"] = str(port["port"])
    for i, port in enumerate(ports):
        protocol = (port.get("protocol") or "TCP").lower()
        url = f"{protocol}://{address}:{port['port']}"
        if i == 0:
            made[f"{stem}_PORT"] = url
        prefix = f"{stem}_PORT_{port['port']}_{protocol.upper()}"
        made[prefix] = url
        made[f"{prefix}_PROTO"] = protocol
        made[f"{prefix}_PORT"] = str(port["port"])
        made[f"{prefix}_ADDR"] = address
    return made


def command_line(
    spec: Obj, entrypoint: Sequence[str], cmd: Sequence[str], env: Mapping[str, str]
) -> tuple[str, ...]:
    """The program and its arguments. Raises ConfigError when nothing says what to run."""
    command = [expand(word, env) for word in spec.get("command") or ()]
    args = [expand(word, env) for word in spec.get("args") or ()]
    if not command:
        command = list(entrypoint)
        args = args or list(cmd)
    line = tuple(command + args)
    if not line:
        raise ConfigError("no command specified")
    return line
