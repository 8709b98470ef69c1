"""Job: defaults, its generated selector, validation, update rules, columns."""

from typing import Any

from petset.api import names, selectors
from petset.api.ages import human
from petset.api.batch.v1 import jobspec, jobstatus
from petset.api.check import Faults, child, fill, items, member, number, semantically
from petset.api.core.v1 import podwarnings
from petset.api.errors import FieldError, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import (
    MutableObj,
    Obj,
    is_condition_true,
    is_deleting,
    name_of,
    parse_time,
    uid_of,
)
from petset.api.podtemplate import (
    CONTAINERS,
    IMAGES,
    SELECTOR,
    container_cells,
    is_changed,
    match_faults,
    selector_cell,
)
from petset.api.table import AGE, NAME, age_of

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"


def default(job: MutableObj) -> None:
    """Defaults of a job; its labels follow the template's."""
    spec = member(job, "spec")
    jobspec.default(spec)
    fill(spec, "manualSelector", False)
    labels = child(spec, "template", "metadata", "labels")
    metadata = member(job, "metadata")
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def prepare_create(job: MutableObj) -> None:
    """The selector and the labels that tie the pods to this job, unless set by hand."""
    spec = member(job, "spec")
    uid = uid_of(job)
    if spec.get("manualSelector") or not uid:
        return
    labels = member(member(member(spec, "template"), "metadata"), "labels")
    for key, value in _ties(uid, name_of(job)).items():
        labels.setdefault(key, value)
    selector = member(spec, "selector")
    member(selector, "matchLabels").setdefault(UID_LABEL, uid)


def _ties(uid: str, name: str) -> dict[str, str]:
    """The labels that tie pods to a job."""
    ties = {"controller-uid": uid, UID_LABEL: uid}
    return ties | {"job-name": name, NAME_LABEL: name} if name else ties


_FROZEN = (
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
)


def validate(job: Obj) -> list[FieldError]:
    """Every fault of a new job."""
    spec = child(job, "spec")
    return [
        *_generated_faults(job),
        *jobspec.faults("spec", spec),
        *_selector_faults(spec),
        *_index_name_faults(job),
    ]


def _selector_faults(spec: Obj) -> Faults:
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
    faults = selectors.validate(child(spec, "selector"), "spec.selector")
    yield from faults
    if not faults:
        yield from match_faults("spec", spec)


def _generated_faults(job: Obj) -> Faults:
    """What the server has made of the selector must not have been in the way of other labels."""
    spec, uid = child(job, "spec"), uid_of(job)
    if spec.get("manualSelector") or spec.get("selector") is None:
        return
    if not uid:
        yield required("metadata.uid")
    labels = child(spec, "template", "metadata", "labels")
    ties = _ties(uid, name_of(job))
    for key in ("controller-uid", "job-name", UID_LABEL, NAME_LABEL):
        where, wanted = f"spec.template.metadata.labels[{key}]", ties.get(key, "")
        if key not in labels:
            yield required(where, f"must be '{wanted}'")
        elif labels[key] != wanted:
            yield invalid(where, dict(labels), f"must be '{wanted}'")
    selector = spec["selector"]
    if selectors.validate(selector, ""):
        return
    if not selectors.from_object(selector).matches(ties):
        yield invalid("spec.selector", selector, "`selector` not auto-generated")


def _index_name_faults(job: Obj) -> Faults:
    """The pods of an indexed job have host names with the index at their end."""
    spec = child(job, "spec")
    if not jobspec.is_indexed(spec) or number(spec.get("completions")) <= 0:
        return
    host = f"{name_of(job)}-{spec['completions'] - 1}"
    if names.dns_label(host):
        words = f"will not able to create pod with invalid DNS label: {host}"
        yield invalid("metadata.name", name_of(job), words)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """What pods are and how many must complete stays; a template may change while suspended."""
    spec = child(new, "spec")
    return [*jobspec.faults("spec", spec), *_selector_faults(spec), *_update_faults(spec, old)]


def _update_faults(new: Obj, job: Obj) -> Faults:
    old = child(job, "spec")
    if jobspec.is_indexed(new) and new.get("completions") is not None:
        changed = new.get("completions") != old.get("completions")
        if changed and new.get("completions") != new.get("parallelism"):
            words = "can only be modified in tandem with spec.parallelism"
            yield invalid("spec.completions", new.get("completions"), words)
    else:
        yield from _frozen("completions", new, old)
    yield from _frozen("selector", new, old)
    if not (old.get("suspend") and child(job, "status").get("startTime") is None):
        yield from _frozen("template", new, old)
    else:
        placed = {"template": _with_placement(child(old, "template"), child(new, "template"))}
        yield from _frozen("template", new, placed)
    for key in _FROZEN:
        yield from _frozen(key, new, old)


def _frozen(key: str, new: Obj, old: Obj) -> Faults:
    if semantically(new.get(key)) != semantically(old.get(key)):
        yield invalid(f"spec.{key}", new.get(key), "field is immutable")


def _with_placement(old: Obj, new: Obj) -> Obj:
    """A template with what decides about the place of pods taken from another one.

    Before a suspended job has started, that may change, and resources too.
    """
    metadata = {**child(old, "metadata")}
    for key in ("labels", "annotations"):
        metadata[key] = child(new, "metadata").get(key)
    spec, wanted = {**child(old, "spec")}, child(new, "spec")
    for key in ("nodeSelector", "tolerations", "schedulingGates"):
        spec[key] = wanted.get(key)
    node = child(wanted, "affinity").get("nodeAffinity")
    spec["affinity"] = {**child(old, "spec", "affinity"), "nodeAffinity": node}
    for kind in ("containers", "initContainers"):
        had, has = items(spec, kind), items(wanted, kind)
        if len(had) == len(has):
            pairs = zip(had, has, strict=True)
            spec[kind] = [{**a, "resources": b.get("resources")} for a, b in pairs]
    return {**old, "metadata": metadata, "spec": spec}


def warnings_of_spec(path: str, spec: Obj) -> list[str]:
    """Warnings about a job's spec, also inside a CronJob."""
    found = []
    many = number(spec.get("completions")) > jobspec.MANY_COMPLETIONS
    wide = number(spec.get("parallelism")) > jobspec.PARALLELISM_MAX_OF_MANY
    if jobspec.is_indexed(spec) and many and wide:
        found.append(
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a "
            "parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes "
            "when a big number of indexes fail"
        )
    template = child(spec, "template")
    return [*found, *podwarnings.of_template(f"{path}.template", template)]


def _warnings(job: Obj) -> list[str]:
    name = podwarnings.of_name(job, "Pod names and hostnames")
    return [*name, *warnings_of_spec("spec", child(job, "spec"))]


def _update_warnings(new: Obj, old: Obj) -> list[str]:
    return warnings_of_spec("spec", child(new, "spec")) if is_changed(new, old) else []


def _status(job: Obj) -> str:
    for kind in ("Complete", "Failed"):
        if is_condition_true(job, kind):
            return kind
    if is_deleting(job):
        return "Terminating"
    if is_condition_true(job, "Suspended"):
        return "Suspended"
    for kind in ("FailureTarget", "SuccessCriteriaMet"):
        if is_condition_true(job, kind):
            return kind
    return "Running"


def _completions(job: Obj) -> str:
    spec, done = child(job, "spec"), number(child(job, "status").get("succeeded"))
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallel = number(spec.get("parallelism"))
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _duration(job: Obj, now: float) -> str:
    status = child(job, "status")
    start, end = parse_time(status.get("startTime")), parse_time(status.get("completionTime"))
    return "" if start is None else human((now if end is None else end) - start)


def _cells(job: Obj, now: float) -> list[Any]:
    return [
        name_of(job),
        _status(job),
        _completions(job),
        _duration(job, now),
        age_of(job, now),
        *container_cells(child(job, "spec", "template")),
        selector_cell(job),
    ]


TABLE = Table(
    (
        NAME,
        Column("Status"),
        Column("Completions"),
        Column("Duration"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    _cells,
)

BEHAVIOUR = Behaviour(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=jobstatus.faults,
    warnings=_warnings,
    update_warnings=_update_warnings,
    fields={"status.successful": lambda job: str(number(child(job, "status").get("succeeded")))},
    table=TABLE,
    generation=True,
    default_propagation="Orphan",
    deletion_warning=(
        "child pods are preserved by default when jobs are deleted; set "
        "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress "
        "this warning"
    ),
)
