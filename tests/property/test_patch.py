"""Laws that patches keep, whatever the documents."""

import copy
import json as stdlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.api.patch import json, merge, strategic

KEYS = st.sampled_from(["a", "b", "c", "metadata", "spec"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["x", "y"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)
NAMES = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5)
IMAGES = st.sampled_from(["1", "2", "3"])


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def difference(old: Any, new: Any) -> dict[str, Any]:
    """The merge patch that leads from one document to another (neither has nulls in maps)."""
    patch: dict[str, Any] = {k: None for k in old if k not in new}
    for key, value in new.items():
        if key not in old or old[key] != value or type(old[key]) is not type(value):
            both = isinstance(value, dict) and isinstance(old.get(key), dict)
            patch[key] = difference(old[key], value) if both else value
    return patch


@given(DOCUMENTS, DOCUMENTS)
def test_merge_patch_leads_to_the_document_it_was_made_for(old: Any, new: Any) -> None:
    old, new = without_nulls(old), without_nulls(new)
    assert merge.apply(old, difference(old, new)) == new


@given(DOCUMENTS, DOCUMENTS)
def test_merge_patch_is_idempotent_and_changes_no_input(old: Any, patch: Any) -> None:
    before = copy.deepcopy((old, patch))
    once = merge.apply(old, patch)
    assert merge.apply(once, patch) == once
    assert (old, patch) == before


@given(DOCUMENTS, DOCUMENTS)
def test_without_typed_lists_a_strategic_patch_is_a_merge_patch(old: Any, patch: Any) -> None:
    expected = merge.apply({"data": old}, {"data": patch})
    untyped = strategic.apply({"nope": old}, {"nope": patch}, "io.k8s.api.core.v1.ConfigMap")
    assert without_nulls(untyped["nope"]) == without_nulls(expected["data"])


def containers(names: Any, image: str) -> list[dict[str, str]]:
    return [{"name": n, "image": image} for n in names]


@given(NAMES, NAMES, IMAGES)
def test_strategic_list_holds_the_union_with_the_patch_in_its_own_order(
    live: Any, sent: Any, image: str
) -> None:
    original = {"spec": {"containers": containers(live, "0")}}
    before = copy.deepcopy(original)
    patch = {"spec": {"containers": containers(sent, image)}}
    merged = strategic.apply(original, patch, "io.k8s.api.core.v1.Pod")["spec"]["containers"]
    names = [c["name"] for c in merged]
    assert sorted(names) == sorted({*live, *sent})
    assert [n for n in names if n in sent] == sent
    assert [n for n in names if n not in sent] == [n for n in live if n not in sent]
    assert all(c["image"] == (image if c["name"] in sent else "0") for c in merged)
    assert original == before
    again = strategic.apply({"spec": {"containers": merged}}, patch, "io.k8s.api.core.v1.Pod")
    assert again["spec"]["containers"] == merged


@given(NAMES, NAMES)
def test_element_order_keeps_every_element(live: Any, order: Any) -> None:
    original = {"spec": {"containers": containers(live, "0")}}
    patch = {"spec": {"$setElementOrder/containers": [{"name": n} for n in order]}}
    merged = strategic.apply(original, patch, "io.k8s.api.core.v1.Pod")["spec"]["containers"]
    names = [c["name"] for c in merged]
    assert sorted(names) == sorted(live)
    assert [n for n in names if n in order] == [n for n in order if n in live]


@settings(max_examples=50)
@given(DOCUMENTS, VALUES)
def test_json_patch_adds_and_removes_again(old: Any, value: Any) -> None:
    before = stdlib.dumps(old)
    added = json.apply(old, [{"op": "add", "path": "/fresh", "value": value}])
    assert added == {**old, "fresh": value}
    assert json.apply(added, [{"op": "remove", "path": "/fresh"}]) == old
    assert stdlib.dumps(old) == before
