"""Which nodes a pod, or a volume, may use: nodeSelector, node affinity and their terms. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from petset.api.meta import Obj


def requirement_holds(requirement: Obj, values: Mapping[str, str]) -> bool:
    """One expression of a node selector term against labels (or fields)."""
    key, wanted = requirement.get("key", ""), requirement.get("values") or ()
    present = values.get(key)
    match requirement.get("operator"):
        case "In":
            return present is not None and present in wanted
        case "NotIn":
            return present is None or present not in wanted
        case "Exists":
            return present is not None
        case "DoesNotExist":
            return present is None
        case "Gt" | "Lt" as operator:
            return present is not None and _compares(operator, present, wanted)
        case _:
            return False


def _compares(operator: str, present: str, wanted: Sequence[str]) -> bool:
    try:
        ours, limit = int(present), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return ours > limit if operator == "Gt" else ours < limit


def term_matches(term: Obj, labels: Mapping[str, str], name: str) -> bool:
    """A node selector term: all expressions and fields; an empty term matches nothing."""
    expressions: Iterable[Obj] = term.get("matchExpressions") or ()
    fields: Iterable[Obj] = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    named = {"metadata.name": name}
    return all(requirement_holds(e, labels) for e in expressions) and all(
        requirement_holds(f, named) for f in fields
    )


def selector_matches(selector: Obj, labels: Mapping[str, str], name: str) -> bool:
    """A NodeSelector: any of its terms."""
    return any(term_matches(t, labels, name) for t in selector.get("nodeSelectorTerms") or ())


def node_allowed(spec: Obj, labels: Mapping[str, str], name: str) -> bool:
    """Whether a pod spec's nodeSelector and required node affinity allow a node."""
    wanted: Mapping[str, str] = spec.get("nodeSelector") or {}
    if any(labels.get(k) != v for k, v in wanted.items()):
        return False
    required = node_affinity(spec).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or selector_matches(required, labels, name)


def picks_nodes(spec: Obj) -> bool:
    """Whether a pod spec excludes nodes at all."""
    required = "requiredDuringSchedulingIgnoredDuringExecution" in node_affinity(spec)
    return required or bool(spec.get("nodeSelector"))


def node_affinity(spec: Obj) -> Obj:
    """The node affinity of a pod spec, possibly empty."""
    return (spec.get("affinity") or {}).get("nodeAffinity") or {}
