"""Tolerations against taints, by operator, key and effect."""

from typing import Any

import pytest

from petset.api.tolerations import tolerated, tolerates

TAINT = {"key": "load", "value": "5", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "key": "load"}, True),
        ({"operator": "Exists", "key": "other"}, False),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "load", "value": "5"}, True),
        ({"key": "load", "operator": "Equal", "value": "6"}, False),
        ({"key": "load"}, False),
        ({"key": "load", "operator": "Lt", "value": "6"}, True),
        ({"key": "load", "operator": "Lt", "value": "5"}, False),
        ({"key": "load", "operator": "Gt", "value": "4"}, True),
        ({"key": "load", "operator": "Gt", "value": "many"}, False),
        ({"key": "load", "operator": "In", "value": "5"}, False),
    ],
)
def test_a_toleration_covers_taints_by_its_operator_key_and_effect(
    toleration: dict[str, Any], covers: bool
) -> None:
    assert tolerates(toleration, TAINT) is covers


def test_a_taint_without_a_value_equals_a_toleration_without_one() -> None:
    assert tolerates({"key": "load"}, {"key": "load", "effect": "NoExecute"})


def test_one_toleration_that_covers_a_taint_is_enough() -> None:
    assert tolerated(TAINT, [{"key": "other", "operator": "Exists"}, {"operator": "Exists"}])
    assert not tolerated(TAINT, [])
