"""Jobs and cron jobs: generated selectors, what may change, schedules."""

import copy
from typing import Any

import pytest

from petset.api.batch.v1 import cronjob, job

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


def test_parallelism_may_change_and_the_template_may_not() -> None:
    old = _job()
    new = copy.deepcopy(old)
    new["spec"]["parallelism"] = 5
    assert job.validate_update(new, old) == []
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "y"
    new["spec"]["completions"] = 2
    assert {f.field for f in job.validate_update(new, old)} == {"spec.template", "spec.completions"}


def test_the_template_of_a_suspended_job_may_change_before_it_starts() -> None:
    old = _job(suspend=True)
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "y"
    assert job.validate_update(new, old) == []
    old["status"] = {"startTime": "2026-11-20T00:00:00Z"}
    assert [f.field for f in job.validate_update(new, old)] == ["spec.template"]


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * * *",
        "*/5 0-6 1,15 jan-mar MON",
        "0 0 ? * 6",
        "@daily",
        "@every 1h30m",
        "5/10 * * * *",
    ],
)
def test_schedules_that_can_be_read(schedule: str) -> None:
    assert cronjob.schedule_fault(schedule) == ""


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "*-5 * * * *",
        "@often",
        "@every now",
    ],
)
def test_schedules_that_cannot(schedule: str) -> None:
    assert cronjob.schedule_fault(schedule)
