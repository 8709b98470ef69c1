"""Sets of field paths in the form of FieldsV1."""

import copy
from typing import Any

import pytest

from petset.api.patch import fieldset
from petset.api.patch.fieldset import LEAF

A: Any = {"f:a": LEAF}
AB: Any = {"f:a": {"f:b": LEAF}}
A_AB: Any = {"f:a": {".": LEAF, "f:b": LEAF}}


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (None, None, None),
        (A, None, A),
        (None, A, A),
        (A, AB, A_AB),
        (AB, A, A_AB),
        (AB, {"f:c": LEAF}, {"f:a": {"f:b": LEAF}, "f:c": LEAF}),
        (A, A, A),
        (A_AB, AB, A_AB),
    ],
)
def test_union(one: Any, two: Any, expected: Any) -> None:
    before = copy.deepcopy((one, two))
    assert fieldset.union(one, two) == expected
    assert (one, two) == before


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (None, A, None),
        (A, None, A),
        (A, A, None),
        (A_AB, A, AB),
        (A_AB, AB, A),
        (AB, A, AB),
        (A, AB, A),
        ({"f:a": LEAF, "f:b": LEAF}, A, {"f:b": LEAF}),
        ({"f:a": LEAF}, {"f:a": LEAF, "f:b": LEAF, "f:c": LEAF}, None),
        (A_AB, A_AB, None),
    ],
)
def test_difference(one: Any, two: Any, expected: Any) -> None:
    before = copy.deepcopy((one, two))
    assert fieldset.difference(one, two) == expected
    assert (one, two) == before


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (None, A, None),
        (A, A, A),
        (A, AB, None),
        (A_AB, A, A),
        (A_AB, AB, AB),
        (A_AB, A_AB, A_AB),
        (A, {"f:b": LEAF}, None),
    ],
)
def test_intersection(one: Any, two: Any, expected: Any) -> None:
    assert fieldset.intersection(one, two) == expected


def test_an_unchanged_set_comes_back_as_itself() -> None:
    assert fieldset.difference(A_AB, {"f:z": LEAF}) is A_AB
    assert fieldset.contains(A_AB, AB)
    assert not fieldset.contains(AB, A_AB)
    assert fieldset.contains(A, None)


def test_paths_read_as_in_messages() -> None:
    ports = {
        fieldset.key_of({"protocol": "TCP", "containerPort": port}): {".": LEAF, "f:name": LEAF}
        for port in (443, 80)
    }
    given: Any = {
        "f:spec": {
            "f:ports": ports,
            "f:finalizers": {fieldset.value_of("x/y"): LEAF, "v:3": LEAF},
            "f:list": {"i:1": LEAF},
            "f:plain": LEAF,
        },
        "f:data": {"f:a.b/c": LEAF},
    }
    assert list(fieldset.paths(given)) == [
        ".data.a.b/c",
        ".spec.plain",
        ".spec.finalizers[=3]",
        '.spec.finalizers[="x/y"]',
        ".spec.list[1]",
        '.spec.ports[containerPort=80,protocol="TCP"]',
        '.spec.ports[containerPort=443,protocol="TCP"]',
        '.spec.ports[containerPort=80,protocol="TCP"].name',
        '.spec.ports[containerPort=443,protocol="TCP"].name',
    ]
    assert list(fieldset.paths(None)) == []


def test_sent_sets_come_out_canonical() -> None:
    sent: Any = {
        "f:a": {'k:{"y": 1,  "x":"z"}': {".": {}}, 'v: "s"': {}, "i:3": {}},
        ".": {},
    }
    assert fieldset.read(sent) == {"f:a": {'k:{"x":"z","y":1}': {}, 'v:"s"': {}, "i:3": {}}}
    assert fieldset.read({}) is None


@pytest.mark.parametrize(
    "sent",
    [
        None,
        [],
        {"f:a": 1},
        {"a": {}},
        {"z:a": {}},
        {"k:[]": {}},
        {"k:{": {}},
        {"i:x": {}},
        {'i:"1"': {}},
    ],
)
def test_sets_that_cannot_be_read(sent: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        fieldset.read(sent)


def test_sets_too_deep_are_refused() -> None:
    deep: Any = {}
    for _ in range(fieldset.DEPTH_MAX + 2):
        deep = {"f:a": deep}
    with pytest.raises(ValueError, match="FieldsV1"):
        fieldset.read(deep)
