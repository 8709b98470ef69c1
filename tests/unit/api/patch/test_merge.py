"""JSON merge patch."""

import copy
from typing import Any

import pytest

from petset.api.errors import StatusError
from petset.api.patch import merge


@pytest.mark.parametrize(
    ("original", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({"a": "foo"}, {"a": {"b": {"c": None, "d": 1}}}, {"a": {"b": {"d": 1}}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_merge_patch_follows_rfc_7386(original: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy((original, patch))
    assert merge.apply(original, patch) == expected
    assert (original, patch) == before


@pytest.mark.parametrize("patch", [[], "x", None, 1])
def test_patch_that_is_no_object_is_a_bad_request(patch: Any) -> None:
    with pytest.raises(StatusError) as caught:
        merge.apply({}, patch)
    assert caught.value.code == 400
