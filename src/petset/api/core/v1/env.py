"""Environment of containers: defaults and validation of env and envFrom."""

import re
from collections.abc import Mapping
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, fill, items, needed, one_source, text, worded
from petset.api.core.v1.resources import canonical, parsed, quantity_faults
from petset.api.errors import invalid, not_supported, required
from petset.api.meta import MutableObj, Obj

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_SOURCE_WORDS = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"

ENV_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
"""Fields of a Pod that an environment variable can take its value from."""

FILE_PATHS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
"""Fields of a Pod that a file of a downwardAPI volume can take its text from."""

_RESOURCE = re.compile(r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)")
RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_SIZES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_DIVISORS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "cpu": (("1m", "1"), "cpu resource"),
    "memory": (_SIZES, "memory resource"),
    "ephemeral": (_SIZES, "local ephemeral storage resource"),
    "hugepages": (_SIZES, "hugepages resource"),
}
_LABELS = frozenset(
    {
        *ENV_PATHS,
        *FILE_PATHS,
        "spec.host",
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.phase",
    }
)
"""Fields of a Pod that have a path at all."""
_CURRENT = {"spec.host": "spec.nodeName"}
_SUBSCRIPT = re.compile(r"(.+)\['(.*)'\]", re.DOTALL)


def split_subscript(path: str) -> tuple[str, str]:
    """`metadata.labels['a']` -> (`metadata.labels`, `a`); without a subscript (path, "")."""
    match = _SUBSCRIPT.fullmatch(path)
    return (match[1], match[2]) if match else (path, "")


def default_field_ref(holder: MutableObj) -> None:
    """The version that a field path is of, and the divisor of a resource."""
    if isinstance(holder.get("fieldRef"), dict):
        fill(holder["fieldRef"], "apiVersion", "v1")
    resource = holder.get("resourceFieldRef")
    if isinstance(resource, dict):
        fill(resource, "divisor", "0")
        resource["divisor"] = canonical(resource["divisor"])


def default_env(container: MutableObj) -> None:
    """Defaults within every variable's source."""
    for variable in items(container, "env"):
        if isinstance(variable.get("valueFrom"), dict):
            source = variable["valueFrom"]
            default_field_ref(source)
            if isinstance(source.get("fileKeyRef"), dict):
                source["fileKeyRef"].setdefault("optional", False)


def env_faults(path: str, env: Any) -> Faults:
    """Every fault of a container's env."""
    for i, variable in enumerate(env):
        where = f"{path}[{i}]"
        yield from needed(f"{where}.name", variable.get("name"), names.env_name)
        source = variable.get("valueFrom")
        if isinstance(source, Mapping):
            yield from _source_faults(f"{where}.valueFrom", source, variable.get("value"))


def _source_faults(path: str, source: Obj, value: object) -> Faults:
    given = [kind for kind in _SOURCES if source.get(kind) is not None]
    yield from _given_faults(path, source, given)
    if given and value:
        yield invalid(path, "", "may not be specified when `value` is not empty")
    else:
        yield from one_source(len(given), path, "", _SOURCE_WORDS)


def _given_faults(path: str, source: Obj, given: list[str]) -> Faults:
    for kind in given:
        where, value = f"{path}.{kind}", child(source, kind)
        if kind == "fieldRef":
            yield from field_ref_faults(where, value, ENV_PATHS)
        elif kind == "resourceFieldRef":
            yield from resource_ref_faults(where, value, in_volume=False)
        elif kind == "fileKeyRef":
            for key in ("key", "path", "volumeName"):
                if not value.get(key):
                    yield required(f"{where}.{key}")
        else:
            yield from _key_ref_faults(where, value)


def _key_ref_faults(path: str, reference: Obj) -> Faults:
    name = text(reference.get("name"))
    yield from worded(f"{path}.name", name, names.dns_subdomain(name))
    yield from needed(f"{path}.key", reference.get("key"), names.config_key)


def field_ref_faults(path: str, reference: Obj, allowed: tuple[str, ...]) -> Faults:
    """A field of a Pod by path: one of `allowed`, or a single label or annotation."""
    if not reference.get("apiVersion"):
        yield required(f"{path}.apiVersion")
        return
    whole = reference.get("fieldPath")
    if not whole:
        yield required(f"{path}.fieldPath")
        return
    field, key = split_subscript(whole)
    if fault := _path_fault(reference["apiVersion"], whole, field, key):
        yield invalid(f"{path}.fieldPath", whole, f"error converting fieldPath: {fault}")
    elif field == "metadata.annotations" and key:
        yield from worded(path, key, names.qualified_name(key.lower()))
    elif field == "metadata.labels" and key:
        yield from worded(path, key, names.qualified_name(key))
    elif whole not in allowed:
        yield not_supported(f"{path}.fieldPath", _CURRENT.get(whole, whole), allowed)


def _path_fault(version: object, whole: str, field: str, key: str) -> str:
    """Why a path names no field of a Pod, "" if it does."""
    if version != "v1":
        return f"unsupported pod version: {version}"
    if key:
        known = field in ("metadata.annotations", "metadata.labels")
        return "" if known else f"field label does not support subscript: {whole}"
    return "" if whole in _LABELS else f"field label not supported: {whole}"


def resource_ref_faults(path: str, reference: Obj, *, in_volume: bool) -> Faults:
    """A container's limit or request; a volume must name the container."""
    resource = text(reference.get("resource"))
    if in_volume and not reference.get("containerName"):
        yield required(f"{path}.containerName")
    elif not resource:
        yield required(f"{path}.resource")
    elif not _RESOURCE.fullmatch(resource):
        yield not_supported(f"{path}.resource", resource, RESOURCES)
    divisor = reference.get("divisor")
    if divisor is not None:
        yield from _divisor_faults(f"{path}.divisor", resource, divisor)


def _divisor_faults(path: str, resource: str, divisor: object) -> Faults:
    amount = parsed(divisor)
    if amount is None:
        yield from quantity_faults(path, divisor)
        return
    kind = resource.partition(".")[2].partition("-")[0]
    if amount.nano == 0 or kind not in _DIVISORS:
        return
    allowed, what = _DIVISORS[kind]
    if str(canonical(divisor)) not in allowed:
        listed = ", ".join(allowed[:-1]) + f" and {allowed[-1]}" if kind == "cpu" else ""
        words = (
            f"only divisor's values {listed or ', '.join(allowed)} are supported with the {what}"
        )
        yield invalid(path, resource, words)


def env_from_faults(path: str, sources: Any) -> Faults:
    """Every fault of a container's envFrom."""
    for i, source in enumerate(sources):
        where = f"{path}[{i}]"
        if source.get("prefix"):
            faults = names.env_name(source["prefix"])
            yield from worded(f"{where}.prefix", source["prefix"], faults)
        given = [k for k in ("configMapRef", "secretRef") if source.get(k) is not None]
        for kind in given:
            name = child(source, kind).get("name")
            yield from needed(f"{where}.{kind}.name", name, names.dns_subdomain)
        yield from one_source(len(given), path, "", "`configMapRef` or `secretRef`")
