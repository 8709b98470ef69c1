"""Job: defaults, its generated selector, validation, update rules, columns."""

from typing import Any

from petset.api.ages import human
from petset.api.check import (
    INT32_MAX,
    Faults,
    child,
    fill,
    member,
    non_negative,
    number,
    one_of,
    semantically,
)
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
    default_in,
    selector_cell,
    selector_faults,
    template_faults,
    warnings_of,
)
from petset.api.table import AGE, NAME, age_of

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"


def default_spec(spec: MutableObj) -> None:
    """Defaults of a job's spec, also inside a CronJob."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill(spec, "parallelism", 1)
    per_index = spec.get("backoffLimitPerIndex") is not None
    fill(spec, "backoffLimit", INT32_MAX if per_index else 6)
    fill(spec, "completionMode", "NonIndexed")
    fill(spec, "suspend", False)
    fill(
        spec,
        "podReplacementPolicy",
        "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed",
    )
    default_in(spec)


def default(job: MutableObj) -> None:
    """Defaults of a job; its labels follow the template's."""
    spec = member(job, "spec")
    default_spec(spec)
    spec.setdefault("manualSelector", False)
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
    ties = {"controller-uid": uid, UID_LABEL: uid}
    if name := name_of(job):
        ties |= {"job-name": name, NAME_LABEL: name}
    for key, value in ties.items():
        labels.setdefault(key, value)
    selector = member(spec, "selector")
    member(selector, "matchLabels").setdefault(UID_LABEL, uid)


def validate(job: Obj) -> list[FieldError]:
    """Every fault of a job."""
    spec = child(job, "spec")
    return [*spec_faults("spec", spec), *selector_faults(spec, "job")]


def spec_faults(path: str, spec: Obj) -> Faults:
    """Every fault of a job's spec but for the selector."""
    for key in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "ttlSecondsAfterFinished",
    ):
        yield from non_negative(f"{path}.{key}", spec.get(key))
    mode = spec.get("completionMode")
    yield from one_of(f"{path}.completionMode", mode, ("Indexed", "NonIndexed"))
    if mode == "Indexed" and spec.get("completions") is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    template = child(spec, "template")
    yield from template_faults(f"{path}.template", template)
    if child(template, "spec").get("restartPolicy") == "Always":
        words = 'valid values: "OnFailure", "Never"'
        yield required(f"{path}.template.spec.restartPolicy", words)


_FROZEN = (
    "selector",
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "successPolicy",
)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """What pods are and how many must complete stays; a template may change while suspended."""
    return list(_update_faults(child(new, "spec"), old))


def _update_faults(new: Obj, job: Obj) -> Faults:
    old, status = child(job, "spec"), child(job, "status")
    keys = list(_FROZEN)
    if not (
        old.get("completionMode") == "Indexed" and new.get("completions") == new.get("parallelism")
    ):
        keys.append("completions")
    if not (old.get("suspend") and not status.get("startTime")):
        keys.append("template")
    for key in keys:
        if semantically(new.get(key)) != semantically(old.get(key)):
            yield invalid(f"spec.{key}", new.get(key), "field is immutable")


def _status(job: Obj) -> str:
    for kind in ("Complete", "Failed"):
        if is_condition_true(job, kind):
            return kind
    if is_deleting(job):
        return "Terminating"
    if is_condition_true(job, "Suspended"):
        return "Suspended"
    return "FailureTarget" if is_condition_true(job, "FailureTarget") else "Running"


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
    warnings=warnings_of,
    fields={"status.successful": lambda job: str(number(child(job, "status").get("succeeded")))},
    table=TABLE,
    generation=True,
    default_propagation="Orphan",
)
