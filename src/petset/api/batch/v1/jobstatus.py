"""What may be written to a Job's status."""

from petset.api.batch.v1.jobpolicy import read_indexes
from petset.api.check import Faults, child, items, non_negative, number, number_of, text
from petset.api.errors import FieldError, duplicate, invalid, required
from petset.api.meta import Obj, is_condition_true, parse_time

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")


def faults(new: Obj, old: Obj) -> list[FieldError]:
    """Every fault of an update through /status."""
    return [*_state_faults(new), *_change_faults(new, old)]


def _conditions(detail: str) -> FieldError:
    return FieldError("status.conditions", "FieldValueInvalid", f"Invalid value: {detail}")


def is_finished(job: Obj) -> bool:
    """Whether a job has completed or failed."""
    return is_condition_true(job, "Complete") or is_condition_true(job, "Failed")


def _state_faults(job: Obj) -> Faults:
    status = child(job, "status")
    for key in _COUNTS:
        yield from non_negative(f"status.{key}", status.get(key))
    yield from _uncounted_faults(child(status, "uncountedTerminatedPods"))
    yield from _together_faults(job, "Complete")
    yield from _time_faults(job)
    for end, before in (("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet")):
        if is_condition_true(job, end) and not is_condition_true(job, before):
            words = f"cannot set {end}=True condition without the {before}=true condition"
            yield _conditions(words)
    if is_finished(job):
        yield from _finished_faults(status)
    yield from _index_faults(job)
    ready = number(status.get("ready"))
    if ready > number(status.get("active")):
        yield invalid("status.ready", ready, "cannot set more ready pods than active")
    yield from _together_faults(job, "SuccessCriteriaMet")


def _together_faults(job: Obj, good: str) -> Faults:
    """A job does not succeed and fail at once."""
    for bad in ("Failed", "FailureTarget"):
        if is_condition_true(job, good) and is_condition_true(job, bad):
            yield _conditions(f"cannot set {good}=True and {bad}=true conditions")


def _uncounted_faults(uncounted: Obj) -> Faults:
    seen: set[str] = set()
    for kind in ("succeeded", "failed"):
        for i, uid in enumerate(items(uncounted, kind)):
            where = f"status.uncountedTerminatedPods.{kind}[{i}]"
            if not uid:
                yield invalid(where, uid, "must not be empty")
            elif uid in seen:
                yield duplicate(where, uid)
            seen.add(uid)


def _time_faults(job: Obj) -> Faults:
    status, where = child(job, "status"), "status.completionTime"
    start, end = status.get("startTime"), status.get("completionTime")
    complete = is_condition_true(job, "Complete")
    if end is not None and not complete:
        words = "cannot set completionTime when there is no Complete=True condition"
        yield invalid(where, end, words)
    if end is None and complete:
        yield required(where, "completionTime is required for Complete jobs")
    began, ended = parse_time(start), parse_time(end)
    if began is not None and ended is not None and ended < began:
        yield invalid(where, end, "completionTime cannot be set before startTime")


def _finished_faults(status: Obj) -> Faults:
    active, leaving = number(status.get("active")), number(status.get("terminating"))
    if active > 0:
        yield invalid("status.active", active, "active>0 is invalid for finished job")
    if status.get("startTime") is None:
        yield required("status.startTime", "startTime is required for finished job")
    uncounted = child(status, "uncountedTerminatedPods")
    if items(uncounted, "failed") or items(uncounted, "succeeded"):
        words = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid("status.uncountedTerminatedPods", dict(uncounted), words)
    if leaving > 0:
        yield invalid("status.terminating", leaving, "terminating>0 is invalid for finished job")


def _index_faults(job: Obj) -> Faults:
    spec, status = child(job, "spec"), child(job, "status")
    completions, done = spec.get("completions"), text(status.get("completedIndexes"))
    failed = status.get("failedIndexes")
    if completions is not None:
        _, fault = read_indexes(done, completions)
        if fault:
            words = f"error parsing completedIndexes: {fault}"
            yield invalid("status.completedIndexes", done, words)
        if spec.get("backoffLimitPerIndex") is not None and failed is not None:
            _, fault = read_indexes(failed, completions)
            if fault:
                words = f"error parsing failedIndexes: {fault}"
                yield invalid("status.failedIndexes", failed, words)
    if done and spec.get("completionMode") != "Indexed":
        words = "cannot set non-empty completedIndexes when non-indexed completion mode"
        yield invalid("status.completedIndexes", done, words)
    if failed is not None and spec.get("backoffLimitPerIndex") is None:
        words = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        yield invalid("status.failedIndexes", failed, words)
    if failed and completions is not None:
        meets = [
            max(one[0], other[0])
            for one in _intervals(done, completions)
            for other in _intervals(failed, completions)
            if one[0] <= other[1] and other[0] <= one[1]
        ]
        if meets:
            words = f"failedIndexes and completedIndexes overlap at index: {min(meets)}"
            yield invalid("status.failedIndexes", failed, words)


def _intervals(indexes: str, completions: int) -> list[tuple[int, int]]:
    """The intervals of a list of indexes that are well formed."""
    found = []
    for interval in indexes.split(","):
        count, fault = read_indexes(interval, completions)
        if count and not fault:
            start = number_of(interval.partition("-")[0])
            found.append((start, start + count - 1))
    return found


def _change_faults(new: Obj, old: Obj) -> Faults:
    """What is final stays, and counts of pods that are through never fall."""
    after, before = child(new, "status"), child(old, "status")
    for kind in ("Failed", "Complete", "FailureTarget"):
        if is_condition_true(old, kind) and not is_condition_true(new, kind):
            yield _conditions(f"cannot disable the terminal {kind}=True condition")
    for key in ("failed", "succeeded"):
        count = number(after.get(key))
        if count < number(before.get(key)):
            yield invalid(f"status.{key}", count, f"cannot decrease the {key} counter")
    ended, end = before.get("completionTime"), after.get("completionTime")
    if ended is not None and end is not None and ended != end:
        yield invalid("status.completionTime", end, "completionTime cannot be mutated")
    started = before.get("startTime")
    suspended = child(new, "spec").get("suspend")
    if started is not None and started != after.get("startTime") and not suspended:
        words = "startTime cannot be removed for unsuspended job"
        yield required("status.startTime", words)
    if is_condition_true(old, "SuccessCriteriaMet"):
        if not is_condition_true(new, "SuccessCriteriaMet"):
            yield _conditions("cannot disable the SuccessCriteriaMet=True condition")
    elif is_condition_true(old, "Complete") and is_condition_true(new, "SuccessCriteriaMet"):
        words = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        yield _conditions(words)
