"""JSON patch: operations, failures, limits."""

import copy
from typing import Any

import pytest

from petset.api.errors import StatusError
from petset.api.patch import json


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([], {"a": {"b": 1}, "l": [1, 2]}),
        (
            [{"op": "add", "path": "/l/-", "value": 3}, {"op": "test", "path": "/l/2", "value": 3}],
            {"a": {"b": 1}, "l": [1, 2, 3]},
        ),
        ([{"op": "add", "path": "/l/0", "value": 0}], {"a": {"b": 1}, "l": [0, 1, 2]}),
        ([{"op": "remove", "path": "/a/b"}], {"a": {}, "l": [1, 2]}),
        ([{"op": "replace", "path": "/a", "value": None}], {"a": None, "l": [1, 2]}),
        ([{"op": "move", "from": "/a/b", "path": "/c"}], {"a": {}, "l": [1, 2], "c": 1}),
        (
            [
                {"op": "copy", "from": "/a", "path": "/x~1y~0z"},
                {"op": "add", "path": "/a/b", "value": 2},
            ],
            {"a": {"b": 2}, "l": [1, 2], "x/y~z": {"b": 1}},
        ),
        ([{"op": "replace", "path": "", "value": {"n": 1}}], {"n": 1}),
    ],
)
def test_operations_work_on_a_private_copy(operations: Any, expected: Any) -> None:
    original = {"a": {"b": 1}, "l": [1, 2]}
    before = copy.deepcopy(original)
    assert json.apply(original, operations) == expected
    assert original == before


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "remove", "path": "/nope"}],
        [{"op": "replace", "path": "/nope", "value": 1}],
        [{"op": "add", "path": "/nope/x", "value": 1}],
        [{"op": "add", "path": "/l/9", "value": 1}],
        [{"op": "add", "path": "/a/b/c", "value": 1}],
        [{"op": "test", "path": "/a/b", "value": 2}],
        [{"op": "move", "from": "/nope", "path": "/a"}],
        [{"op": "copy", "from": "/nope", "path": "/a"}],
        [{"op": "copy", "path": "/a"}],
        [{"op": "conjure", "path": "/a"}],
        [{"path": "/a"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "add", "path": "no slash", "value": 1}],
        [{"op": "add", "path": 5, "value": 1}],
        [{"op": "move", "from": "/a", "path": "/a/b"}],
        [{"op": "replace", "path": "", "value": []}],
        [{"op": "remove", "path": ""}],
        [{"op": "copy", "from": "", "path": "/a/z"}] * 200,
        [{"op": "copy", "from": "/a", "path": "/a/z" + "/z" * i} for i in range(300)],
    ],
)
def test_failing_operation_makes_the_whole_patch_unprocessable(operations: Any) -> None:
    with pytest.raises(StatusError) as caught:
        json.apply({"a": {"b": 1}, "l": [1]}, operations)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    words = "the server rejected our request due to an error in our request: "
    assert caught.value.message.startswith(words)
    assert "causes" not in caught.value.details


@pytest.mark.parametrize("patch", [{}, None, "x", [1], [[]], [None]])
def test_patch_that_is_no_list_of_objects_is_a_bad_request(patch: Any) -> None:
    with pytest.raises(StatusError) as caught:
        json.apply({}, patch)
    assert caught.value.code == 400


def test_too_many_operations_are_refused() -> None:
    many = [{"op": "add", "path": "/a", "value": 1}] * (json.OPERATIONS_MAX + 1)
    with pytest.raises(StatusError) as caught:
        json.apply({}, many)
    assert caught.value.code == 413
    assert json.apply({}, many[:100]) == {"a": 1}


def test_copies_cannot_fill_memory() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{i}"} for i in range(60)]
    with pytest.raises(StatusError) as caught:
        json.apply({"a": {"x": "y" * 100}}, doubling)
    assert caught.value.code == 422
