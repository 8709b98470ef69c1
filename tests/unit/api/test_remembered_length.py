"""What is remembered is short: texts of megabytes must not stay because somebody once sent them."""

import contextlib

import pytest

from petset.api import clean, names, prune, quantity, times
from petset.api.patch import managed_fields
from petset.apiserver import peek

LONG = 100_000


@pytest.mark.parametrize("text", ["1" + " " * LONG, "1" * LONG, "x" * LONG])
def test_long_quantities_are_not_remembered(text: str) -> None:
    before = quantity._kept.cache_info().currsize, prune._quantity_text.cache_info().currsize
    with contextlib.suppress(ValueError):
        assert quantity.parse(text).whole == 1
    prune._quantity(text)
    after = quantity._kept.cache_info().currsize, prune._quantity_text.cache_info().currsize
    assert before == after


def test_long_times_are_none_and_not_remembered() -> None:
    before = times._kept.cache_info().currsize
    assert not times.is_time("2026-11-20T05:02:52Z" + " " * LONG)
    assert times._kept.cache_info().currsize == before


def test_long_names_of_list_elements_are_not_remembered() -> None:
    before = managed_fields._kept.cache_info().currsize
    assert managed_fields._single("name", "x" * LONG) == 'k:{"name":"%s"}' % ("x" * LONG)
    assert managed_fields._kept.cache_info().currsize == before


def test_large_objects_are_not_remembered_decoded() -> None:
    before = peek._kept.cache_info().currsize
    assert len(peek.decoded(b'{"a":"%b"}' % (b"x" * LONG))["a"]) == LONG
    assert peek._kept.cache_info().currsize == before


def test_leaves_of_large_maps_are_not_remembered() -> None:
    before = managed_fields._kept_leaves.cache_info().currsize
    assert len(managed_fields._added_leaves(["x" * LONG])) == 2
    assert len(managed_fields._added_leaves([f"k{n}" for n in range(LONG)])) == LONG + 1
    assert managed_fields._kept_leaves.cache_info().currsize == before


def test_long_quantities_are_not_remembered_as_clean() -> None:
    before = clean._is_canonical.cache_info().currsize
    assert not clean._is_quantity("1" * LONG)
    assert clean._is_canonical.cache_info().currsize == before


def test_long_labels_are_not_remembered() -> None:
    before = names._is_fine_label.cache_info().currsize
    assert not names._are_fine_labels({"a": "x" * LONG})
    assert not names._are_fine_labels({"x" * LONG: "a"})
    assert names._is_fine_label.cache_info().currsize == before
