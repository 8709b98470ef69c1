"""Whether a body may hold a key twice is told as a full look at every object would tell it."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petset.api.bodies import parse_body

TEXTS = st.text('ab"\\/\n\u00e9\U0001f600{}:,[]', max_size=6)
KEYS = st.one_of(st.sampled_from(["a", "b", 'q"', "s\\", '\\"', "\\\\"]), TEXTS)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-5, 2**70), st.booleans(), st.none(), st.floats(0, 9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(KEYS, inner), max_size=4).map(tuple),  # an object as it is written
    ),
    max_leaves=12,
)
OBJECTS = st.lists(st.tuples(KEYS, VALUES), max_size=5).map(tuple)


def written(value: Any, *, plain: bool, gap: str) -> str:
    """JSON text; tuples are objects, which may have a key twice."""
    if isinstance(value, tuple):
        members = (
            f"{json.dumps(k, ensure_ascii=plain)}{gap}:{gap}{written(v, plain=plain, gap=gap)}"
            for k, v in value
        )
        return "{" + f",{gap}".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(v, plain=plain, gap=gap) for v in value) + "]"
    return json.dumps(value, ensure_ascii=plain)


def repeats(value: Any) -> bool:
    if isinstance(value, tuple):
        keys = [k for k, _ in value]
        return len(set(keys)) < len(keys) or any(repeats(v) for _, v in value)
    return isinstance(value, list) and any(map(repeats, value))


@given(OBJECTS, st.booleans(), st.sampled_from(["", " ", "\n\t"]))
def test_repeated_keys_are_found_wherever_they_are(value: Any, plain: bool, gap: str) -> None:
    text = written(value, plain=plain, gap=gap).encode()
    found, twice = parse_body(text, duplicates=True)
    assert found == orjson.loads(text)
    kept = dict(value)  # what a lost member held is not looked at
    seen = len(dict(value)) < len(value) or any(map(repeats, kept.values()))
    assert bool(twice) is seen


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        (rb'{"a":1,"\u0061":2}', ["a"]),
        (rb'{"a\"":1,"b":{"c":"\\","c":"\\\""}}', ["b.c"]),
        (rb'{"a":"\u0022","b":"\\\\"}', []),
        (rb'{"a":[{"b":1},{"b":1,"b":1}]}', ["a[1].b"]),
        (b'{"a":"","b":""}', []),
    ],
)
def test_repeated_keys_are_named(text: bytes, twice: list[str]) -> None:
    assert parse_body(text, duplicates=True)[1] == twice
