"""Ingress, IngressClass and NetworkPolicy: defaults, columns."""

from typing import Any

from petset.api import selectors
from petset.api.check import Faults, child, fill, items, member, one_of
from petset.api.errors import FieldError, invalid
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.table import AGE, NAME, age_of

_SHOWN = 3
_CLASS = "kubernetes.io/ingress.class"


def _hosts(ingress: Obj) -> str:
    hosts = [rule["host"] for rule in items(child(ingress, "spec"), "rules") if rule.get("host")]
    if not hosts:
        return "*"
    more = len(hosts) - _SHOWN
    joined = ",".join(hosts[:_SHOWN])
    return f"{joined} + {more} more..." if more > 0 else joined


def _addresses(ingress: Obj) -> str:
    given = items(child(ingress, "status", "loadBalancer"), "ingress")
    return ",".join(one.get("ip") or one.get("hostname") or "" for one in given)


def _ingress_cells(ingress: Obj, now: float) -> list[Any]:
    spec = child(ingress, "spec")
    by = spec.get("ingressClassName") or annotations_of(ingress).get(_CLASS) or "<none>"
    return [
        name_of(ingress),
        by,
        _hosts(ingress),
        _addresses(ingress),
        "80, 443" if items(spec, "tls") else "80",
        age_of(ingress, now),
    ]


def validate_ingress(ingress: Obj) -> list[FieldError]:
    """Something to route to, by known path types."""
    return list(_ingress_faults(child(ingress, "spec")))


def _ingress_faults(spec: Obj) -> Faults:
    if not items(spec, "rules") and not spec.get("defaultBackend"):
        words = "either `defaultBackend` or `rules` must be specified"
        yield invalid("spec", dict(spec), words)
    types = ("Exact", "ImplementationSpecific", "Prefix")
    for i, rule in enumerate(items(spec, "rules")):
        for j, path in enumerate(items(child(rule, "http"), "paths")):
            where = f"spec.rules[{i}].http.paths[{j}]"
            yield from one_of(f"{where}.pathType", path.get("pathType"), types, need=True)
            if path.get("pathType") != types[1] and not str(path.get("path")).startswith("/"):
                yield invalid(f"{where}.path", path.get("path"), "must be an absolute path")


def default_policy(policy: MutableObj) -> None:
    """Ports are TCP; the directions follow from the rules."""
    spec = member(policy, "spec")
    for direction in ("ingress", "egress"):
        for rule in items(spec, direction):
            for port in items(rule, "ports"):
                fill(port, "protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _policy_cells(policy: Obj, now: float) -> list[Any]:
    chosen = child(policy, "spec", "podSelector")
    return [name_of(policy), selectors.show(chosen), age_of(policy, now)]


def _class_cells(ingress_class: Obj, now: float) -> list[Any]:
    spec = child(ingress_class, "spec")
    given = child(spec, "parameters")
    group = given.get("apiGroup")
    kind = f"{given.get('kind')}.{group}" if group else given.get("kind")
    return [
        name_of(ingress_class),
        spec.get("controller") or "",
        f"{kind}/{given.get('name')}" if given else "<none>",
        age_of(ingress_class, now),
    ]


INGRESS = Behaviour(
    validate=validate_ingress,
    table=Table(
        (NAME, Column("Class"), Column("Hosts"), Column("Address"), Column("Ports"), AGE),
        _ingress_cells,
    ),
    generation=True,
)

INGRESS_CLASS = Behaviour(
    table=Table((NAME, Column("Controller"), Column("Parameters"), AGE), _class_cells),
    generation=True,
)

NETWORK_POLICY = Behaviour(
    default=default_policy,
    table=Table((NAME, Column("Pod-Selector"), AGE), _policy_cells),
    generation=True,
)
