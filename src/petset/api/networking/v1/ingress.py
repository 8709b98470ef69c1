"""Ingress: validation, warnings, columns. An object only: petset does not route by it."""

from collections.abc import Sequence
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, ip, items, parse_ip, port_number, worded
from petset.api.domains import host
from petset.api.errors import FieldError, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.networking.v1.ingressclass import reference_faults
from petset.api.table import AGE, NAME, age_of

CLASS = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_SHOWN = 3
_BAD_PARTS = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_NO_IP = "must be a DNS name, not an IP address"


def validate(ingress: Obj) -> list[FieldError]:
    """Every fault of an Ingress."""
    return list(_spec_faults(child(ingress, "spec")))


def _spec_faults(spec: Obj) -> Faults:
    rules = items(spec, "rules")
    if not rules and spec.get("defaultBackend") is None:
        words = "either `defaultBackend` or `rules` must be specified"
        yield invalid("spec", spec.get("rules"), words)
    if spec.get("defaultBackend") is not None:
        yield from _backend_faults("spec.defaultBackend", child(spec, "defaultBackend"))
    for i, rule in enumerate(rules):
        yield from _rule_faults(f"spec.rules[{i}]", rule)
    for i, tls in enumerate(items(spec, "tls")):
        for j, name in enumerate(items(tls, "hosts")):
            yield from host(f"spec.tls[{i}].hosts[{j}]", str(name))
        secret = str(tls.get("secretName") or "")
        if secret:
            yield from worded(f"spec.tls[{i}].secretName", secret, names.dns_subdomain(secret))
    by = spec.get("ingressClassName")
    if by is not None:
        yield from worded("spec.ingressClassName", by, names.dns_subdomain(str(by)))


def _rule_faults(path: str, rule: Obj) -> Faults:
    name = str(rule.get("host") or "")
    if name:
        if parse_ip(name) is not None:
            yield invalid(f"{path}.host", name, _NO_IP)
        yield from host(f"{path}.host", name)
    if rule.get("http") is None:
        return
    paths = items(child(rule, "http"), "paths")
    if not paths:
        yield required(f"{path}.http.paths")
    for i, one in enumerate(paths):
        yield from _path_faults(f"{path}.http.paths[{i}]", one)


def _path_faults(path: str, one: Obj) -> Faults:
    kind, text = one.get("pathType"), str(one.get("path") or "")
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
        return
    where = f"{path}.path"
    if kind not in PATH_TYPES:
        yield not_supported(f"{path}.pathType", kind, PATH_TYPES)
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        yield invalid(where, text, "must be an absolute path")
    if kind in ("Exact", "Prefix"):
        for part in _BAD_PARTS:
            if part in text:
                yield invalid(where, text, f"must not contain '{part}'")
        for end in _BAD_ENDS:
            if text.endswith(end):
                yield invalid(where, text, f"cannot end with '{end}'")
    yield from _backend_faults(f"{path}.backend", child(one, "backend"))


def _backend_faults(path: str, backend: Obj) -> Faults:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from reference_faults(f"{path}.resource", resource)
    elif service is not None:
        yield from _service_faults(path, service)
    else:
        yield invalid(path, "", "resource or service backend is required")


def _service_faults(path: str, service: Obj) -> Faults:
    name, where = str(service.get("name") or ""), f"{path}.service"
    if not name:
        yield required(f"{where}.name")
    else:
        yield from worded(f"{where}.name", name, names.dns_label_1035(name))
    port = child(service, "port")
    word, number = str(port.get("name") or ""), port.get("number") or 0
    if word and number:
        yield invalid(path, "", "cannot set both port name & port number")
    elif word:
        yield from worded(f"{where}.port.name", word, names.port_name(word))
    elif number:
        yield from port_number(f"{where}.port.number", number)
    else:
        yield required(path, "port name or number is required")


def validate_new(ingress: Obj) -> list[FieldError]:
    """Every fault of a new Ingress: both ways to name its class agree."""
    faults = validate(ingress)
    mark, by = annotations_of(ingress).get(CLASS), child(ingress, "spec").get("ingressClassName")
    if mark is not None and by is not None and mark != by:
        words = "must match `ingressClassName` when both are specified"
        faults.append(invalid(f"annotations.{CLASS}", mark, words))
    return faults


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """An update is judged by its spec alone."""
    del old
    return validate(new)


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Addresses of the load balancer are well formed."""
    del old
    return list(_status_faults(_balancers(new)))


def _status_faults(balancers: Sequence[Any]) -> Faults:
    for i, balancer in enumerate(balancers):
        where, name = f"status.loadBalancer.ingress[{i}]", str(balancer.get("hostname") or "")
        if balancer.get("ip"):
            yield from ip(f"{where}.ip", balancer["ip"])
        if name:
            yield from worded(f"{where}.hostname", name, names.dns_subdomain(name))
            if parse_ip(name) is not None:
                yield invalid(f"{where}.hostname", name, _NO_IP)


def warnings(ingress: Obj) -> list[str]:
    """The older way to name a class."""
    if CLASS not in annotations_of(ingress) or child(ingress, "spec").get("ingressClassName"):
        return []
    return [f"annotation \"{CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"]


def _balancers(ingress: Obj) -> Sequence[Any]:
    return items(child(ingress, "status", "loadBalancer"), "ingress")


def _hosts(ingress: Obj) -> str:
    hosts = [rule["host"] for rule in items(child(ingress, "spec"), "rules") if rule.get("host")]
    if not hosts:
        return "*"
    more = len(hosts) - _SHOWN
    joined = ",".join(hosts[:_SHOWN])
    return f"{joined} + {more} more..." if more > 0 else joined


def _addresses(ingress: Obj) -> str:
    given = {str(one.get("ip") or one.get("hostname") or "") for one in _balancers(ingress)}
    return ",".join(sorted(given - {""}))


def _cells(ingress: Obj, now: float) -> list[Any]:
    spec = child(ingress, "spec")
    by = spec.get("ingressClassName") or annotations_of(ingress).get(CLASS) or "<none>"
    return [
        name_of(ingress),
        by,
        _hosts(ingress),
        _addresses(ingress),
        "80, 443" if items(spec, "tls") else "80",
        age_of(ingress, now),
    ]


def prepare_create(ingress: MutableObj) -> None:
    """Nothing routes to a new ingress."""
    ingress["status"] = {"loadBalancer": {}}


BEHAVIOUR = Behaviour(
    prepare_create=prepare_create,
    validate=validate_new,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    warnings=warnings,
    table=Table(
        (NAME, Column("Class"), Column("Hosts"), Column("Address"), Column("Ports"), AGE),
        _cells,
    ),
    generation=True,
)
