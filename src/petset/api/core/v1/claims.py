"""Claims of devices (dynamic resource allocation) in pods: validation. petset allocates none."""

from petset.api import names
from petset.api.check import Faults, items, needed, text, worded
from petset.api.errors import FieldError, duplicate, invalid, required, show
from petset.api.meta import Obj


def names_of(spec: Obj) -> frozenset[str]:
    """The names of a pod's resourceClaims."""
    return frozenset(text(claim.get("name")) for claim in items(spec, "resourceClaims"))


def faults(path: str, spec: Obj) -> Faults:
    """Every fault of a pod's resourceClaims."""
    taken: set[str] = set()
    for i, claim in enumerate(items(spec, "resourceClaims")):
        where, name = f"{path}[{i}]", text(claim.get("name"))
        if name in taken:
            yield duplicate(f"{where}.name", name)
        else:
            yield from needed(f"{where}.name", name, names.dns_label)
        taken.add(name)
        sources = ("resourceClaimName", "resourceClaimTemplateName")
        given = [key for key in sources if claim.get(key) is not None]
        if len(given) > 1:
            words = (
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            )
            yield invalid(where, dict(claim), words)
        elif not given:
            words = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            yield invalid(where, dict(claim), words)
        for key in given:
            yield from worded(f"{where}.{key}", claim[key], names.dns_subdomain(text(claim[key])))


def used_faults(path: str, resources: Obj, known: frozenset[str]) -> Faults:
    """Every fault of the claims that a container uses; `known` are those of its pod."""
    taken: set[str] = set()
    for i, claim in enumerate(items(resources, "claims")):
        where, name = f"{path}[{i}]", text(claim.get("name"))
        if not name:
            yield required(where)
            continue
        request = text(claim.get("request"))
        key = f"{name}/{request}" if request else name
        part = any(one.partition("/")[0] == name for one in taken)
        if name in taken or key in taken or (not request and part):
            yield duplicate(where, name if name in taken else key)
        elif request:
            yield from worded(f"{where}.request", request, names.dns_label(request))
        taken.add(key)
        if name not in known:
            yield _not_found(where, name, known)


def _not_found(path: str, name: str, known: frozenset[str]) -> FieldError:
    listed = f": {', '.join(sorted(known))}" if known else " which is empty"
    words = f"Not found: {show(name)}: must be one of the names in pod.spec.resourceClaims{listed}"
    return FieldError(path, "FieldValueNotFound", words)
