"""CronJob: defaults, validation (schedules too), columns."""

import re
from typing import Any

from petset.api.ages import age
from petset.api.batch.v1 import job
from petset.api.check import Faults, child, fill, items, member, non_negative, one_of
from petset.api.core.v1.podwarnings import of_spec
from petset.api.errors import FieldError, forbidden_field, invalid, required
from petset.api.kind import Behaviour, Column, Table
from petset.api.meta import MutableObj, Obj, name_of
from petset.api.podtemplate import (
    CONTAINERS,
    IMAGES,
    SELECTOR,
    container_cells,
    selector_cell,
)
from petset.api.table import AGE, NAME, age_of

NAME_MAX = 52
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = re.compile(r"@every ([0-9.]+(ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"(\*|\?|\w+)(?:-(\w+))?(?:/(\d+))?")


def default(cronjob: MutableObj) -> None:
    """Defaults of a cron job and the jobs it makes."""
    spec = member(cronjob, "spec")
    fill(spec, "concurrencyPolicy", "Allow")
    fill(spec, "suspend", False)
    fill(spec, "successfulJobsHistoryLimit", 3)
    fill(spec, "failedJobsHistoryLimit", 1)
    job.default_spec(member(member(spec, "jobTemplate"), "spec"))


def schedule_fault(text: str) -> str:
    """What is wrong with a schedule, "" if nothing."""
    if text in _WORDS or _EVERY.fullmatch(text):
        return ""
    if text.startswith("@"):
        return f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if not _part_fits(part, low, high, words):
                return f"failed to parse {name} from {field}: {part}"
    return ""


def _part_fits(part: str, low: int, high: int, words: list[str]) -> bool:
    match = _PART.fullmatch(part)
    if match is None or (match[3] and int(match[3]) == 0):
        return False
    if match[1] in "*?":
        return match[2] is None
    ends = [_value(text, low, words) for text in (match[1], match[2]) if text is not None]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def _value(text: str, low: int, words: list[str]) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + low
    return int(text) if text.isdecimal() else -1


def validate(cronjob: Obj) -> list[FieldError]:
    """Every fault of a cron job."""
    faults = list(_faults(child(cronjob, "spec")))
    if len(name_of(cronjob)) > NAME_MAX:
        words = f"must be no more than {NAME_MAX} characters"
        faults.append(invalid("metadata.name", name_of(cronjob), words))
    return faults


def _faults(spec: Obj) -> Faults:
    schedule = spec.get("schedule")
    if not schedule:
        yield required("spec.schedule")
    elif "TZ" in schedule:
        words = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield invalid("spec.schedule", schedule, words)
    elif fault := schedule_fault(schedule):
        yield invalid("spec.schedule", schedule, fault)
    for key in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from non_negative(f"spec.{key}", spec.get(key))
    policy = spec.get("concurrencyPolicy")
    allowed = ("Allow", "Forbid", "Replace")
    yield from one_of("spec.concurrencyPolicy", policy, allowed, need=True)
    made = child(spec, "jobTemplate", "spec")
    if made.get("manualSelector"):
        words = "`manualSelector` is not supported in a job template"
        yield forbidden_field("spec.jobTemplate.spec.manualSelector", words)
    yield from job.spec_faults("spec.jobTemplate.spec", made)


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


def _warnings(cronjob: Obj) -> list[str]:
    path = "spec.jobTemplate.spec.template.spec"
    return list(of_spec(path, child(cronjob, *path.split("."))))


BEHAVIOUR = Behaviour(
    default=default, validate=validate, warnings=_warnings, table=TABLE, generation=True
)
