"""What is read off stored bytes is what decoding them says."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from petset.api import selectors
from petset.apiserver import objects, peek
from petset.apiserver.selection import Selection

words = st.sampled_from(["app", "tier", "a.b/c", "", "x"])
odd = st.text(alphabet='{}"\\:,a\n', max_size=5)
labels = st.dictionaries(words | odd, words | odd, max_size=3)
metas = st.fixed_dictionaries(
    {},
    optional={
        "name": words | odd,
        "generateName": words,
        "uid": st.uuids().map(str),
        "generation": st.integers(0, 10**12),
        "creationTimestamp": st.none() | words,
        "deletionGracePeriodSeconds": st.integers(0, 40),
        "labels": labels | st.none(),
        "annotations": st.dictionaries(words | odd, odd, max_size=2),
        "managedFields": st.just([{"fieldsV1": {"f:metadata": {"f:labels": {"f:app": {}}}}}]),
    },
)
objs = st.fixed_dictionaries(
    {"kind": words, "apiVersion": words, "metadata": metas},
    optional={"spec": st.just({"template": {"metadata": {"labels": {"app": "app"}}}})},
)


def selection(text: str) -> Selection:
    return Selection(selectors.parse(text), (), ())


@given(objs, st.sampled_from(["app=app", "tier", "!tier", "app notin (x)", "a.b/c=tier,app"]))
def test_labels_found_in_bytes_select_as_decoded_ones(obj: dict[str, Any], text: str) -> None:
    chosen = selection(text)
    value = objects.maker(obj)(7)
    for _ in range(2):
        assert chosen.accepts(value) == chosen.matches(orjson.loads(value))


@given(labels.filter(lambda found: not any("{" in t or "}" in t for t in map(str, found.items()))))
def test_labels_of_stored_objects_need_no_decoding(found: dict[str, str]) -> None:
    obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "labels": found}}
    text = peek.labels_text(objects.maker(obj)(3))
    assert text is not None
    assert orjson.loads(text) == found
