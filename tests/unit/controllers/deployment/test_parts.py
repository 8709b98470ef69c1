"""Parts of the Deployment planner, one by one."""

from typing import Any

import pytest

from petset.api.meta import MutableObj
from petset.controllers.deployment import annotations as notes
from petset.controllers.deployment import sets
from petset.controllers.deployment import spec as specs


@pytest.mark.parametrize(
    ("text", "value"), [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968)]
)
def test_the_hash_is_fnv_1a(text: bytes, value: int) -> None:
    assert sets.fnv1a_32(text) == value


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "resolved"),
    [
        (4, "25%", "25%", (1, 1)),
        (3, "25%", "25%", (1, 0)),
        (10, "25%", "25%", (3, 2)),
        (10, 0, "5%", (0, 1)),
        (1, "0%", "0%", (0, 1)),
        (2, 5, 7, (5, 2)),
        (0, "25%", "25%", (0, 0)),
        (7, "100%", "100%", (7, 7)),
    ],
)
def test_a_surge_rounds_up_and_what_may_miss_rounds_down(
    replicas: int, surge: Any, unavailable: Any, resolved: tuple[int, int]
) -> None:
    room = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": room}
    spec = specs.read({"spec": {"replicas": replicas, "strategy": strategy}})
    assert (spec.max_surge, spec.max_unavailable) == resolved


def test_a_long_name_is_cut_so_that_the_hash_fits() -> None:
    name = sets.name_for("a" * 253, "bcdf")
    assert len(name) == 253
    assert name.endswith("-bcdf")


def test_the_history_of_numbers_keeps_to_its_length() -> None:
    marks = {notes.REVISION: "1000"}
    for number in range(1001, 2000):
        marks = notes.numbered(marks, number)
    history = marks[notes.HISTORY]
    assert len(history) <= notes.HISTORY_CHARS_MAX
    assert history.endswith(",1997,1998")
    assert marks[notes.REVISION] == "1999"
    assert notes.numbered(marks, 7) == marks


def test_a_number_that_is_none_counts_as_0() -> None:
    assert notes.revision({notes.REVISION: "latest"}) == 0
    assert notes.numbered({notes.REVISION: "latest"}, 2)[notes.REVISION] == "2"


def test_templates_that_mean_the_same_have_one_set() -> None:
    def replicaset(metadata: MutableObj) -> MutableObj:
        return {"spec": {"template": {"metadata": metadata, "spec": {"volumes": []}}}}

    labels = {"app": "api", sets.HASH_LABEL: "x"}
    template = {"metadata": {"labels": {"app": "api"}, "annotations": {}}, "spec": {}}
    assert sets.has_template(replicaset({"labels": labels}), template)
    assert not sets.has_template(replicaset({"labels": {"app": "other"}}), template)
    marked = {"labels": labels, "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}
    assert not sets.has_template(replicaset(marked), template)


def test_a_fresh_set_and_its_pods_carry_the_hash_and_select_by_it() -> None:
    found = {
        "metadata": {"name": "api", "namespace": "default", "uid": "u"},
        "spec": {
            "selector": {"matchLabels": {"app": "api"}},
            "template": {"metadata": {"labels": {"app": "api"}}, "spec": {}},
        },
    }
    made, _ = sets.fresh(specs.read(found), sets.Sets(None, ()), 3, {})
    labels = {"app": "api", sets.HASH_LABEL: made["metadata"]["name"].removeprefix("api-")}
    assert made["metadata"]["labels"] == labels
    assert made["spec"]["selector"] == {"matchLabels": labels}
    assert made["spec"]["template"]["metadata"]["labels"] == labels
