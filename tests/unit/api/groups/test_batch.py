"""Jobs and cron jobs: generated selectors, what may change, schedules."""

import copy
from typing import Any

import pytest

from petset.api.batch.v1 import job, jobpolicy, schedule

Made = dict[str, Any]


def _job(**spec: Any) -> Made:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}
    made = {
        "metadata": {"name": "j", "uid": "u"},
        "spec": {"template": {"spec": pod}, **spec},
    }
    job.default(made)
    return made


def test_a_job_selects_its_own_pods() -> None:
    made = _job()
    job.prepare_create(made)
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "controller-uid": "u",
        "batch.kubernetes.io/controller-uid": "u",
        "job-name": "j",
        "batch.kubernetes.io/job-name": "j",
    }
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}
    assert job.validate(made) == []


def test_a_selector_by_hand_is_left_alone() -> None:
    made = _job(manualSelector=True, selector={"matchLabels": {"a": "b"}})
    before = copy.deepcopy(made)
    job.prepare_create(made)
    assert made == before


def test_a_work_queue_has_no_completions() -> None:
    assert "completions" not in _job(parallelism=3)["spec"]
    assert _job()["spec"]["completions"] == 1


def _stored(**spec: Any) -> Made:
    made = _job(**spec)
    job.prepare_create(made)
    return made


def test_parallelism_may_change_and_the_template_may_not() -> None:
    old = _stored()
    new = copy.deepcopy(old)
    new["spec"]["parallelism"] = 5
    assert job.validate_update(new, old) == []
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "y"
    new["spec"]["completions"] = 2
    assert {f.field for f in job.validate_update(new, old)} == {"spec.template", "spec.completions"}


def test_before_a_suspended_job_starts_its_pods_may_be_placed_elsewhere() -> None:
    old = _stored(suspend=True)
    new = copy.deepcopy(old)
    template = new["spec"]["template"]
    template["spec"]["nodeSelector"] = {"disk": "ssd"}
    template["metadata"]["annotations"] = {"a": "b"}
    template["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1"}}
    assert job.validate_update(new, old) == []
    old["status"] = {"startTime": "2026-11-20T00:00:00Z"}
    assert [f.field for f in job.validate_update(new, old)] == ["spec.template"]
    del old["status"]
    template["spec"]["containers"][0]["image"] = "y"
    assert [f.field for f in job.validate_update(new, old)] == ["spec.template"]


def test_completions_of_an_indexed_job_go_with_its_parallelism() -> None:
    old = _stored(completionMode="Indexed", completions=2, parallelism=2)
    new = copy.deepcopy(old)
    new["spec"] |= {"completions": 3, "parallelism": 3}
    assert job.validate_update(new, old) == []
    new["spec"]["parallelism"] = 2
    assert [f.message for f in job.validate_update(new, old)] == [
        "Invalid value: 3: can only be modified in tandem with spec.parallelism"
    ]


@pytest.mark.parametrize(
    ("indexes", "answer"),
    [
        ("", (0, "")),
        ("0,2-4", (4, "")),
        ("2,1", (0, "non-increasing order, previous: 2, current: 1")),
        ("3-2", (0, "non-increasing order, previous: 3, current: 2")),
        ("5", (0, 'too large index: "5"')),
        ("a", (0, 'cannot convert string to integer for index: "a"')),
    ],
)
def test_lists_of_indexes_are_read(indexes: str, answer: tuple[int, str]) -> None:
    assert jobpolicy.read_indexes(indexes, 5) == answer


@pytest.mark.parametrize(
    "text",
    [
        "* * * * *",
        "*-5 * * * *",
        "CRON_TZ=Europe/Berlin 0 6 * * *",
        "*/5 0-6 1,15 jan-mar MON",
        "0 0 ? * 6",
        "@daily",
        "@every 1h30m",
        "5/10 * * * *",
    ],
)
def test_schedules_that_can_be_read(text: str) -> None:
    assert schedule.schedule_fault(text) == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "expected exactly 5 fields, found 0: []"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* 24 * * *", "end of range (24) above maximum (23): 24"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * 13 *", "end of range (13) above maximum (12): 13"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        (
            "a * * * *",
            'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax',
        ),
        ("@often", "unrecognized descriptor: @often"),
        ("@every now", 'failed to parse duration @every now: time: invalid duration "now"'),
        ("TZ=Mars/Base * * * * *", "provided bad location Mars/Base: unknown time zone Mars/Base"),
    ],
)
def test_schedules_that_cannot(text: str, fault: str) -> None:
    assert schedule.schedule_fault(text) == fault


@pytest.mark.parametrize(
    ("zone", "faults"),
    [
        ("Europe/Berlin", []),
        ("UTC", []),
        ("Etc/GMT+3", []),
        ("America/Argentina/Buenos_Aires", []),
        ("", ["timeZone must be nil or non-empty string"]),
        ("../etc", ["unknown time zone ../etc"]),
        ("Mars/Base", ["unknown time zone Mars/Base"]),
        (
            "Local",
            [
                "timeZone must be an explicit time zone as defined in "
                "https://www.iana.org/time-zones"
            ],
        ),
    ],
)
def test_time_zones_are_known_by_name(zone: str, faults: list[str]) -> None:
    assert schedule.zone_faults(zone) == faults
