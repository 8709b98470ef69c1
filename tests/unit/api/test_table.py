"""Tables as sent: envelope, rows, the forms of a watch."""

from typing import Any

import pytest

from petset.api import table
from petset.api.behaviours import behaviour
from petset.api.kind import Behaviour as Kind
from petset.api.kind import Column, Table

POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "a", "resourceVersion": "7", "labels": {"x": "y"}},
    "spec": {"containers": [{"name": "c"}]},
    "status": {"phase": "Succeeded"},
}
PODS = behaviour("pods")


def test_a_row_carries_the_objects_metadata_by_default() -> None:
    made = table.render(PODS, [POD], 0.0)
    assert (made["kind"], made["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    (row,) = made["rows"]
    assert row["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": POD["metadata"],
    }


def test_a_row_carries_the_whole_object_or_nothing_when_asked() -> None:
    assert table.render(PODS, [POD], 0.0, "Object")["rows"][0]["object"] == POD
    assert "object" not in table.render(PODS, [POD], 0.0, "None")["rows"][0]


def test_the_version_is_the_one_asked_for() -> None:
    made = table.render(PODS, [POD], 0.0, version="v1beta1")
    assert made["apiVersion"] == "meta.k8s.io/v1beta1"
    assert made["rows"][0]["object"]["apiVersion"] == "meta.k8s.io/v1beta1"


def test_wide_columns_are_always_sent() -> None:
    made = table.render(PODS, [POD], 0.0)
    assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"]) == 9
    assert [c["priority"] for c in made["columnDefinitions"]] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert made["columnDefinitions"][0]["format"] == "name"


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ("Succeeded", "The pod has completed successfully."),
        ("Failed", "The pod failed."),
    ],
)
def test_ended_pods_carry_a_condition(phase: str, message: str) -> None:
    made = table.render(PODS, [{**POD, "status": {"phase": phase}}], 0.0)
    assert made["rows"][0]["conditions"] == [
        {"type": "Completed", "status": "True", "reason": phase, "message": message}
    ]


def test_live_pods_do_not() -> None:
    made = table.render(PODS, [{**POD, "status": {"phase": "Running"}}], 0.0)
    assert "conditions" not in made["rows"][0]


def test_one_object_is_a_table_of_one_row_at_its_version() -> None:
    made = table.of_one(PODS, POD, 0.0)
    assert made["metadata"] == {"resourceVersion": "7"}
    assert len(made["rows"]) == 1


def test_later_events_of_a_watch_tell_no_columns() -> None:
    made = table.without_columns(table.of_one(PODS, POD, 0.0))
    assert made["columnDefinitions"] is None
    assert made["rows"]


def test_texts_end_at_their_first_line_break() -> None:
    cells: list[Any] = ["a\nb", 5, True, None]
    lines = Kind(table=Table(tuple(Column(n) for n in "abcd"), lambda obj, now: cells))
    assert table.render(lines, [{}], 0.0)["rows"][0]["cells"] == ["a...", 5, True, None]


def test_kinds_without_columns_print_name_and_age() -> None:
    made = table.render(behaviour("unknown.example.com"), [POD], 0.0)
    assert [c["name"] for c in made["columnDefinitions"]] == ["Name", "Age"]
    assert made["rows"][0]["cells"] == ["a", "<unknown>"]
