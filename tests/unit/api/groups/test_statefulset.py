"""StatefulSets: the mark of edited claim templates, and the options in annotations."""

from typing import Any

import pytest

from petset.api.apps.v1 import setoptions, statefulset
from petset.api.meta import MutableObj, annotations_of

EDITED = setoptions.CLAIMS_EDITED


def web(size: str = "1Gi", **annotations: str) -> MutableObj:
    claim: dict[str, Any] = {"metadata": {"name": "data"}}
    claim["spec"] = {"resources": {"requests": {"storage": size}}}
    return {
        "metadata": {"name": "web", "generation": 4, "annotations": dict(annotations)},
        "spec": {"volumeClaimTemplates": [claim]},
    }


def updated(new: MutableObj, old: MutableObj) -> MutableObj:
    statefulset.prepare_update(new, old)
    return new


def test_an_edit_of_the_claim_templates_leaves_a_mark_that_stays() -> None:
    first = updated(web("2Gi"), web("1Gi"))
    assert annotations_of(first) == {EDITED: "5"}
    assert annotations_of(updated(web("2Gi", note="x"), first)) == {EDITED: "5", "note": "x"}
    assert annotations_of(updated(web("2Gi", **{EDITED: "9"}), first)) == {EDITED: "5"}


def test_the_same_size_in_other_words_is_no_edit_and_users_do_not_set_the_mark() -> None:
    assert annotations_of(updated(web("1Gi", **{EDITED: "1"}), web("1Gi"))) == {}
    made = web("1Gi", **{EDITED: "1", "note": "x"})
    statefulset.prepare_create(made)
    assert annotations_of(made) == {"note": "x"}


def test_options_have_defaults_and_a_value_that_is_not_understood_counts_as_none() -> None:
    assert setoptions.read({}) == setoptions.Options()
    wrong = dict.fromkeys(
        (
            setoptions.HEAL,
            setoptions.ROLLBACK,
            setoptions.DEADLINE,
            setoptions.PAUSED,
            setoptions.ORDERED_DELETION,
            setoptions.PRIMARY,
            setoptions.RESERVED,
        ),
        "?",
    )
    assert setoptions.read(wrong) == setoptions.Options()
    assert len(list(setoptions.faults(wrong))) == len(wrong)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", set()),
        ("1", {1}),
        ("1,3", {1, 3}),
        ("0-2, 5 ,7-7", {0, 1, 2, 5, 7}),
        ("1,,2", None),
        ("-1", None),
        ("1-", None),
        ("a", None),
        ("2-1", None),
        ("0-10000", None),
        ("0-9999", set(range(10_000))),
        ("4294967296", None),
    ],
)
def test_reserved_ordinals_are_numbers_and_ranges(text: str, found: set[int] | None) -> None:
    annotations = {setoptions.RESERVED: text}
    assert setoptions.read(annotations).reserved == (found or set())
    assert bool(list(setoptions.faults(annotations))) == (found is None)


def test_a_primary_is_named_by_label_and_value() -> None:
    annotations = {setoptions.PRIMARY: "example.com/role=primary"}
    assert setoptions.read(annotations).primary == ("example.com/role", "primary")
    assert not list(setoptions.faults(annotations))
