"""StatefulSet: defaults, validation, update rules, columns (workload semantics, 1.1 to 1.6).

Invariant: what gives the pods their identity and storage never changes after creation, but for the
size, labels and annotations of claims: a size may grow (Kubernetes refuses this too).
"""

from typing import Any

from petset.api import names
from petset.api.apps.v1 import setoptions
from petset.api.check import (
    Faults,
    child,
    drop,
    fill,
    int_or_percent,
    is_zero,
    items,
    member,
    needed,
    non_negative,
    not_over_hundred_percent,
    number,
    one_of,
    optional,
    semantically,
)
from petset.api.core.v1 import pvc, volumewarnings
from petset.api.core.v1.resources import parsed
from petset.api.errors import FieldError, duplicate, forbidden_field, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, annotations_of, name_of
from petset.api.podtemplate import (
    CONTAINERS,
    IMAGES,
    collision_faults,
    container_cells,
    default_in,
    endless_faults,
    selector_faults,
    template_faults,
    template_warnings,
)
from petset.api.table import AGE, NAME, age_of

MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_COUNTS = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")


def default(statefulset: MutableObj) -> None:
    """Defaults of a set, its template and its claim templates."""
    spec = member(statefulset, "spec")
    fill(spec, "podManagementPolicy", "OrderedReady")
    _default_strategy(member(spec, "updateStrategy"))
    retention = member(spec, "persistentVolumeClaimRetentionPolicy")
    fill(retention, "whenDeleted", "Retain")
    fill(retention, "whenScaled", "Retain")
    fill(spec, "replicas", 1)
    fill(spec, "revisionHistoryLimit", 10)
    default_in(spec)
    for claim in items(spec, "volumeClaimTemplates"):
        fill(claim, "apiVersion", "v1")
        fill(claim, "kind", "PersistentVolumeClaim")
        pvc.default(claim)


def _default_strategy(strategy: MutableObj) -> None:
    """Only a strategy without a type gets `rollingUpdate`; a given one is completed."""
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        member(strategy, "rollingUpdate")
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "RollingUpdate" and isinstance(rolling, dict):
        fill(rolling, "partition", 0)
        fill(rolling, "maxUnavailable", 1)


def prepare_create(statefulset: MutableObj) -> None:
    """The counts that the status always shows."""
    statefulset["status"] = {"replicas": 0, "availableReplicas": 0}
    _mark_edited(statefulset, None)


def prepare_update(new: MutableObj, old: Obj) -> None:
    """Note an edit of the claim templates, so that claims that are there follow it.

    Without such an edit claims are used as they are found, as in Kubernetes.
    """
    edited = annotations_of(old).get(setoptions.CLAIMS_EDITED)
    after, before = (items(child(s, "spec"), "volumeClaimTemplates") for s in (new, old))
    if semantically(list(after)) != semantically(list(before)):
        edited = str(number(child(old, "metadata").get("generation")) + 1)
    _mark_edited(new, edited)


def _mark_edited(statefulset: MutableObj, edited: str | None) -> None:
    """Only the server sets this mark."""
    if annotations_of(statefulset).get(setoptions.CLAIMS_EDITED) == edited:
        return
    annotations = drop(annotations_of(statefulset), setoptions.CLAIMS_EDITED)
    if edited is not None:
        annotations[setoptions.CLAIMS_EDITED] = edited
    statefulset["metadata"] = {**statefulset["metadata"], "annotations": annotations}


def validate(statefulset: Obj) -> list[FieldError]:
    """Every fault of a new set."""
    spec = child(statefulset, "spec")
    return [
        *_spec_faults(spec),
        *optional("spec.serviceName", spec.get("serviceName"), names.dns_label),
        *_template_faults(spec),
        *_claims_faults(spec),
        *setoptions.faults(annotations_of(statefulset)),
    ]


def _claim_names(spec: Obj) -> list[str]:
    claims = items(spec, "volumeClaimTemplates")
    return [child(claim, "metadata").get("name") or "" for claim in claims]


def _template_faults(spec: Obj) -> Faults:
    template = child(spec, "template")
    yield from template_faults("spec.template", template, _claim_names(spec))
    yield from endless_faults("spec.template", template, "StatefulSet")


def _claims_faults(spec: Obj) -> Faults:
    claims, path = items(spec, "volumeClaimTemplates"), "spec.volumeClaimTemplates"
    for i, claim in enumerate(claims):
        name = child(claim, "metadata").get("name")
        yield from needed(f"{path}[{i}].metadata.name", name, names.dns_label)
        yield from pvc.spec_faults(f"{path}[{i}].spec", child(claim, "spec"))
    known: set[str] = set()
    for i, name in enumerate(_claim_names(spec)):
        if name and name in known:
            yield duplicate(f"{path}[{i}].metadata.name", name)
        known.add(name)


def _spec_faults(spec: Obj) -> Faults:
    policy, path = spec.get("podManagementPolicy"), "spec.podManagementPolicy"
    if not policy:
        yield required(path)
    elif policy not in ("OrderedReady", "Parallel"):
        yield invalid(path, policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _strategy_faults("spec.updateStrategy", child(spec, "updateStrategy"))
    for key, value in child(spec, "persistentVolumeClaimRetentionPolicy").items():
        where = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
        yield from one_of(where, value, ("Retain", "Delete"))
    for key in ("replicas", "minReadySeconds"):  # a negative history limit means: keep all
        yield from non_negative(f"spec.{key}", spec.get(key))
    yield from non_negative("spec.ordinals.start", child(spec, "ordinals").get("start"))
    yield from selector_faults(spec, "statefulset")


def _strategy_faults(path: str, strategy: Obj) -> Faults:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if not kind:
        yield required(path)
    elif kind == "OnDelete":
        if rolling is not None:
            words = "only allowed for updateStrategy 'RollingUpdate'"
            yield invalid(f"{path}.rollingUpdate", _shown(rolling), words)
    elif kind != "RollingUpdate":
        shown = {"Type": kind, "RollingUpdate": None if rolling is None else _shown(rolling)}
        yield invalid(path, shown, "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None:
        yield from _rolling_faults(f"{path}.rollingUpdate", rolling)


def _shown(rolling: Obj) -> Obj:
    """As Kubernetes quotes it: with the names that its own code has for the fields."""
    return {
        "Partition": number(rolling.get("partition")),
        "MaxUnavailable": rolling.get("maxUnavailable"),
    }


def _rolling_faults(path: str, rolling: Obj) -> Faults:
    yield from non_negative(f"{path}.partition", rolling.get("partition"))
    most, where = rolling.get("maxUnavailable"), f"{path}.maxUnavailable"
    if most is not None:
        yield from int_or_percent(where, most)
        if is_zero(most):
            yield invalid(where, most, "cannot be 0")
        yield from not_over_hundred_percent(where, most)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """Every fault of an update; what was already wrong in the stored object is let pass."""
    after, before = child(new, "spec"), child(old, "spec")
    faults = list(_spec_faults(after))
    if not any(_template_faults(before)):
        faults += _template_faults(after)
    if not any(_claims_faults(before)):
        faults += _claims_faults(after)
    known = annotations_of(old).items()
    faults += setoptions.faults(dict(annotations_of(new).items() - known))
    if semantically(drop(after, *MUTABLE)) != semantically(drop(_grown(before, after), *MUTABLE)):
        listed = ", ".join(f"'{field}'" for field in MUTABLE[:-1])
        faults.append(
            forbidden_field(
                "spec",
                f"updates to statefulset spec for fields other than {listed} and "
                f"'{MUTABLE[-1]}' are forbidden",
            )
        )
    return faults


def _grown(before: Obj, after: Obj) -> Obj:
    """The stored spec with what may change in its claim templates as it is in the new one."""
    old, new = (items(spec, "volumeClaimTemplates") for spec in (before, after))
    if len(old) != len(new):
        return before
    pairs = zip(old, new, strict=True)
    return {**before, "volumeClaimTemplates": [_grown_claim(a, b) for a, b in pairs]}


def _grown_claim(before: Obj, after: Obj) -> Obj:
    """A claim template with the labels, annotations and, if it is not less, the size of another."""
    metadata = drop(child(before, "metadata"), "labels", "annotations")
    for key in ("labels", "annotations"):
        if key in child(after, "metadata"):
            metadata[key] = child(after, "metadata")[key]
    grown = {**before, "metadata": metadata}
    wanted, had = (parsed(_size(claim)) for claim in (after, before))
    if wanted is None or had is None or wanted < had:
        return grown
    spec, resources = child(before, "spec"), child(before, "spec", "resources")
    requests = {**child(resources, "requests"), "storage": _size(after)}
    return {**grown, "spec": {**spec, "resources": {**resources, "requests": requests}}}


def _size(claim: Obj) -> object:
    return child(claim, "spec", "resources", "requests").get("storage")


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Counts are not negative, fit together, and collisions never go down."""
    return list(_status_faults(child(new, "status"), child(old, "status")))


def _status_faults(new: Obj, old: Obj) -> Faults:
    for key in ("replicas", *_COUNTS, "observedGeneration", "collisionCount"):
        yield from non_negative(f"status.{key}", new.get(key))
    for key in _COUNTS:
        if number(new.get(key)) > number(new.get("replicas")):
            yield invalid(f"status.{key}", new.get(key), "cannot be greater than status.replicas")
    available = number(new.get("availableReplicas"))
    if available > number(new.get("readyReplicas")):
        yield invalid(
            "status.availableReplicas", available, "cannot be greater than status.readyReplicas"
        )
    yield from collision_faults(new, old)


def warnings(statefulset: Obj) -> list[str]:
    """What of a set is deprecated or odd."""
    spec, found = child(statefulset, "spec"), template_warnings(statefulset)
    for i, claim in enumerate(items(spec, "volumeClaimTemplates")):
        path = f"spec.volumeClaimTemplates[{i}]"
        found += volumewarnings.of_claim(path, child(claim, "spec"))
    template = child(spec, "template")
    found += setoptions.warnings(annotations_of(statefulset), annotations_of(template))
    if number(spec.get("revisionHistoryLimit")) < 0:
        found.append(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a "
            "value >= 0 is recommended"
        )
    return found


def _cells(statefulset: Obj, now: float) -> list[Any]:
    spec, status = child(statefulset, "spec"), child(statefulset, "status")
    return [
        name_of(statefulset),
        f"{number(status.get('readyReplicas'))}/{number(spec.get('replicas'))}",
        age_of(statefulset, now),
        *container_cells(child(spec, "template")),
    ]


TABLE = Table(
    (
        NAME,
        Column("Ready", description="Pods that are ready, of those wanted."),
        AGE,
        CONTAINERS,
        IMAGES,
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    warnings=warnings,
    table=TABLE,
    name_rule="label",
    generation=True,
)
