"""CronJob: defaults, validation, columns."""

from typing import Any

from petset.api.ages import age
from petset.api.batch.v1 import job, jobspec, schedule
from petset.api.check import (
    Faults,
    child,
    fill,
    items,
    member,
    non_negative,
    one_of,
    text,
    worded,
)
from petset.api.core.v1 import podwarnings
from petset.api.errors import FieldError, invalid, not_supported, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.podtemplate import (
    CONTAINERS,
    IMAGES,
    SELECTOR,
    container_cells,
    is_changed,
    selector_cell,
)
from petset.api.table import AGE, NAME, age_of

POLICIES = ("Allow", "Forbid", "Replace")
NAME_MAX = 52


def default(cronjob: MutableObj) -> None:
    """Defaults of a cron job and the jobs it makes."""
    spec = member(cronjob, "spec")
    fill(spec, "concurrencyPolicy", "Allow")
    fill(spec, "suspend", False)
    fill(spec, "successfulJobsHistoryLimit", 3)
    fill(spec, "failedJobsHistoryLimit", 1)
    jobspec.default(member(member(spec, "jobTemplate"), "spec"))


def validate(cronjob: Obj) -> list[FieldError]:
    """Every fault of a new cron job."""
    faults = list(_faults(child(cronjob, "spec"), {}))
    if len(name_of(cronjob)) > NAME_MAX:
        words = f"must be no more than {NAME_MAX} characters"
        faults.append(invalid("metadata.name", name_of(cronjob), words))
    return faults


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    """Every fault of an update; a zone inside the schedule may stay if it was there."""
    return list(_faults(child(new, "spec"), child(old, "spec")))


def _faults(spec: Obj, old: Obj) -> Faults:
    yield from _schedule_faults("spec.schedule", spec, old)
    deadline = spec.get("startingDeadlineSeconds")
    yield from non_negative("spec.startingDeadlineSeconds", deadline)
    zone = spec.get("timeZone")
    if zone is not None and zone != old.get("timeZone"):
        yield from worded("spec.timeZone", zone, schedule.zone_faults(text(zone)))
    policy = spec.get("concurrencyPolicy")
    yield from one_of("spec.concurrencyPolicy", policy, POLICIES, need=True)
    made, path = child(spec, "jobTemplate", "spec"), "spec.jobTemplate.spec"
    yield from jobspec.faults(path, made)
    if made.get("selector") is not None:
        yield invalid(f"{path}.selector", made["selector"], "`selector` will be auto-generated")
    if made.get("manualSelector"):
        yield not_supported(f"{path}.manualSelector", True, ("nil", "false"))
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from non_negative(f"spec.{key}", spec.get(key))


def _schedule_faults(path: str, spec: Obj, old: Obj) -> Faults:
    wanted = text(spec.get("schedule"))
    if not wanted:
        yield required(path)
        return
    kept = "TZ" in text(old.get("schedule"))
    if fault := schedule.schedule_fault(wanted):
        yield invalid(path, wanted, fault)
    if "TZ" in wanted and not kept:
        words = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield invalid(path, wanted, words)
    elif "TZ" in wanted and spec.get("timeZone") is not None:
        words = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        yield invalid(path, wanted, words)


def _cells(cronjob: Obj, now: float) -> list[Any]:
    spec, status = child(cronjob, "spec"), child(cronjob, "status")
    suspend = spec.get("suspend")
    last = status.get("lastScheduleTime")
    return [
        name_of(cronjob),
        spec.get("schedule") or "",
        spec.get("timeZone") or "<none>",
        "<unset>" if suspend is None else str(bool(suspend)),
        len(items(status, "active")),
        age(last, now) if last else "<none>",
        age_of(cronjob, now),
        *container_cells(child(spec, "jobTemplate", "spec", "template")),
        selector_cell(child(spec, "jobTemplate")),
    ]


TABLE = Table(
    (
        NAME,
        Column("Schedule"),
        Column("Timezone"),
        Column("Suspend", type="boolean"),
        Column("Active", type="integer"),
        Column("Last Schedule"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    _cells,
)


def _spec_warnings(cronjob: Obj) -> list[str]:
    path, spec = "spec.jobTemplate.spec", child(cronjob, "spec")
    found = job.warnings_of_spec(path, child(spec, "jobTemplate", "spec"))
    if "TZ" in text(spec.get("schedule")):
        found.append(
            "CRON_TZ or TZ used in spec.schedule is not officially supported, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )
    return found


def _warnings(cronjob: Obj) -> list[str]:
    name = podwarnings.of_name(cronjob, "Pod names and hostnames")
    return [*name, *_spec_warnings(cronjob)]


def _update_warnings(new: Obj, old: Obj) -> list[str]:
    return _spec_warnings(new) if is_changed(new, old) else []


BEHAVIOUR = Behaviour(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    warnings=_warnings,
    update_warnings=_update_warnings,
    table=TABLE,
    generation=True,
)
