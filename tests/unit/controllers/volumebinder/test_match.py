"""Which volume a claim gets."""

from typing import Any

import pytest

from petset.controllers.volumebinder import match
from tests.unit.controllers.volumebinder.objects import CLASS_DEFAULT, bound_to, claim, volume


def best(wanted: Any, *volumes: Any, reserved_only: bool = False) -> str:
    found = match.best(wanted, volumes, reserved_only=reserved_only)
    return found["metadata"]["name"] if found else ""


def test_the_smallest_that_is_large_enough_is_taken() -> None:
    volumes = (volume("small", "1Gi"), volume("large", "9Gi"), volume("middle", "3Gi"))
    assert best(claim("2Gi"), *volumes) == "middle"
    assert best(claim("10Gi"), *volumes) == ""


def test_few_access_modes_are_better_than_many() -> None:
    many = volume("many", "1Gi", accessModes=["ReadWriteOnce", "ReadWriteMany"])
    assert best(claim(), many, volume("few", "5Gi")) == "few"
    assert best(claim(accessModes=["ReadWriteMany"]), many, volume("few")) == "many"


@pytest.mark.parametrize(
    "changes",
    [
        {"storageClassName": "other"},
        {"volumeMode": "Block"},
        {"accessModes": ["ReadOnlyMany"]},
        {"claimRef": bound_to("u2", "theirs")},
        {"status": {"phase": "Released"}},
        {"status": {"phase": "Failed"}},
        {"status": {"phase": "Pending"}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_what_does_not_suit_is_left(changes: Any) -> None:
    assert best(claim(), volume(**changes)) == ""


def test_labels_choose() -> None:
    wanted = claim(selector={"matchLabels": {"disk": "ssd"}})
    ssd = volume("ssd", "5Gi", metadata={"labels": {"disk": "ssd"}})
    assert best(wanted, volume("any"), ssd) == "ssd"
    assert best(wanted, volume("any")) == ""


def test_a_volume_that_names_the_claim_goes_before_others_whatever_its_class_and_labels() -> None:
    wanted = claim(storageClassName="fast", selector={"matchLabels": {"disk": "ssd"}})
    kept = volume("kept", "9Gi", claimRef=bound_to(""))
    assert best(wanted, kept, volume("small", storageClassName="fast")) == "kept"
    assert best(wanted, kept, reserved_only=True) == "kept"


@pytest.mark.parametrize(
    "changes",
    [
        {"size": "1Mi"},
        {"volumeMode": "Block"},
        {"accessModes": ["ReadOnlyMany"]},
        {"claimRef": bound_to("u0")},
        {"status": {"phase": "Released"}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_a_volume_that_names_the_claim_and_cannot_serve_it_is_passed_over(changes: Any) -> None:
    kept = volume("kept", **{"claimRef": bound_to(""), **changes})
    assert best(claim(), kept, volume("free")) == "free"


def test_claims_whose_class_waits_take_only_what_was_kept_for_them() -> None:
    assert best(claim(), volume("free"), reserved_only=True) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": "1Mi"}, "requested PV is too small"),
        ({"storageClassName": "x"}, "storageClassName does not match"),
        ({"volumeMode": "Block"}, "incompatible volumeMode"),
        ({"accessModes": ["ReadOnlyMany"]}, "incompatible accessMode"),
        (
            {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
            'the volume is marked for deletion "v"',
        ),
        ({"volumeAttributesClassName": "gold"}, "volumeAttributesClassName does not match"),
        ({}, ""),
    ],
)
def test_the_words_for_a_misfit(changes: Any, words: str) -> None:
    assert match.misfit(claim(), volume(**changes)) == words


def test_of_several_default_classes_the_newest_is_meant() -> None:
    def made(name: str, when: str, mark: str = "true") -> Any:
        marks = {CLASS_DEFAULT: mark}
        return {"metadata": {"name": name, "creationTimestamp": when, "annotations": marks}}

    old, new = made("old", "2026-01-01T00:00:00Z"), made("new", "2026-01-02T00:00:00Z")
    newer = made("newer", "2026-01-03T00:00:00Z", "false")
    for classes in ([old, new, newer], [newer, new, old]):
        found = match.default_class(classes)
        assert found is not None
        assert found["metadata"]["name"] == "new"
    assert match.default_class([newer]) is None


def test_a_class_in_the_old_annotation_counts() -> None:
    marks = {match.CLASS_ANNOTATION: "fast"}
    wanted = claim(metadata={"annotations": marks})
    assert best(wanted, volume("plain"), volume("v", storageClassName="fast")) == "v"
