"""Comparing by meaning needs no rewriting of both sides."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from petset.api.check import parse_ip, same_semantically, semantically

scalars = st.sampled_from([None, "", "a", 0, 1, True, False, 1.0])
keys = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


def varied(value: Any, empties: Any) -> Any:
    """`value` with its empty members replaced or left out."""
    if isinstance(value, dict):
        members = {k: varied(v, empties) for k, v in value.items()}
        voids = [k for k, v in members.items() if semantically(v) in (None, {}, [], "")]
        return {k: v for k, v in members.items() if k not in voids} | dict.fromkeys(voids, empties)
    return [varied(v, empties) for v in value] if isinstance(value, list) else value


@given(values, values)
def test_two_values_are_the_same_where_their_meanings_are(a: Any, b: Any) -> None:
    assert same_semantically(a, b) is (semantically(a) == semantically(b))


@given(values, st.sampled_from([None, "", {}, []]), st.sampled_from([{"x": None}, [], ""]))
def test_what_is_empty_is_the_same_however_it_is_written(a: Any, one: Any, other: Any) -> None:
    a, b = varied(a, one), varied(a, other)
    assert same_semantically(a, b)
    assert semantically(a) == semantically(b)


def test_the_longest_text_of_an_address_is_read() -> None:
    assert parse_ip("ffff:" * 6 + "255.255.255.255") is not None
    assert parse_ip("ffff:" * 7 + "255.255.255.255") is None
