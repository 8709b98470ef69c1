"""IngressClass: defaults, validation, update rules, columns."""

from typing import Any

from petset.api import names
from petset.api.check import Faults, child, fill, optional, unchanged, worded
from petset.api.domains import prefixed_path
from petset.api.errors import FieldError, forbidden_field, not_supported, required, too_long
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.table import AGE, NAME, age_of

CONTROLLER_MAX = 250
SCOPES = ("Cluster", "Namespace")


def default(ingress_class: MutableObj) -> None:
    """Parameters are of the whole cluster."""
    spec = ingress_class.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("parameters"), dict):
        fill(spec["parameters"], "scope", "Cluster")


def reference_faults(path: str, reference: Obj) -> Faults:
    """A reference to an object of some kind, in the same namespace or in none."""
    group = reference.get("apiGroup")
    if group is not None:
        yield from worded(f"{path}.apiGroup", group, names.dns_subdomain(str(group)))
    for key in ("kind", "name"):
        value = reference.get(key)
        if not value:
            yield required(f"{path}.{key}", f"{key} is required")
        yield from optional(f"{path}.{key}", value, names.path_segment)


def validate(ingress_class: Obj) -> list[FieldError]:
    """Every fault of a class."""
    return list(_faults(child(ingress_class, "spec")))


def _faults(spec: Obj) -> Faults:
    controller = str(spec.get("controller") or "")
    if len(controller.encode()) > CONTROLLER_MAX:
        yield too_long("spec.controller", CONTROLLER_MAX)
    yield from prefixed_path("spec.controller", controller)
    if spec.get("parameters") is not None:
        path, parameters = "spec.parameters", child(spec, "parameters")
        yield from reference_faults(path, parameters)
        yield from _scope_faults(path, parameters)


def _scope_faults(path: str, parameters: Obj) -> Faults:
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in SCOPES:
        yield not_supported(f"{path}.scope", scope, SCOPES)
    elif scope == "Cluster" and namespace is not None:
        yield forbidden_field(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")
    elif scope == "Namespace" and namespace is None:
        yield required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
    elif namespace is not None:
        yield from worded(f"{path}.namespace", namespace, names.dns_label(str(namespace)))


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """The controller stays."""
    after, before = (child(one, "spec").get("controller") for one in (new, old))
    return list(unchanged("spec.controller", after, before))


def _cells(ingress_class: Obj, now: float) -> list[Any]:
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


BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    table=Table((NAME, Column("Controller"), Column("Parameters"), AGE), _cells),
    generation=True,
)
