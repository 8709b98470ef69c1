"""What is read off stored bytes is what decoding them says."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from petset.api import selectors
from petset.api.behaviours import behaviour
from petset.api.registry import by_path
from petset.apiserver import objects, peek
from petset.apiserver.selection import Selection, of_request
from petset.base.http import Request

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


node_names = st.sampled_from(["n1", "", 'n"1', "n\\"])
traps = st.dictionaries(st.sampled_from(["nodeName", "status", 'x"nodeName']) | odd, node_names)
specs = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": traps,
        "volumes": st.lists(traps, max_size=1),
        "nodeName": node_names | st.none(),
        "hostname": st.just('","nodeName":"n1"},"status":{'),
    },
)
pods = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"name": words}, optional={"labels": traps})},
    optional={
        "spec": specs,
        "status": st.fixed_dictionaries(
            {}, optional={"message": odd, "conditions": st.just([{"status": "True"}])}
        ),
    },
)


def nested(pod: dict[str, Any]) -> dict[str, Any]:
    """A pod whose managedFields hold what looks like another."""
    entry = {"fieldsType": "FieldsV1", "fieldsV1": {"spec": {"nodeName": "n1"}, "status": {}}}
    return {**pod, "metadata": {**pod["metadata"], "managedFields": [entry]}}


@given(
    st.permutations(["metadata", "spec", "status"]),
    pods,
    st.sampled_from(["spec.nodeName=n1", "spec.nodeName!=", "spec.nodeName!=n1,metadata.name=x"]),
    st.sampled_from(["", "app"]),
)
def test_nodes_found_in_bytes_select_as_decoded_ones(
    order: list[str], pod: dict[str, Any], fields: str, labelled: str
) -> None:
    resource = by_path("", "v1", "pods")
    assert resource is not None
    query = (("fieldSelector", fields), ("labelSelector", labelled))
    chosen = of_request(Request("GET", "/", query), resource, behaviour("pods"), "")
    ordered = {k: pod[k] for k in order if k in pod}
    cases = [ordered] if "status" not in pod else [ordered, nested(ordered)]
    for case in cases:
        value = objects.maker(case)(7)
        assert chosen.accepts(value) == chosen.matches(orjson.loads(value))
        slot = chosen.slot
        if slot is not None:
            assert slot.read_value(value) == slot.read(orjson.loads(value))


@given(
    st.sampled_from(["", "node-1", "n.example"]),
    pods.filter(lambda pod: "nodeName" not in str(pod)),
)
def test_the_nodes_of_stored_pods_need_no_decoding(name: str, pod: dict[str, Any]) -> None:
    bound = {**pod.get("spec", {}), "nodeName": name} if name else pod.get("spec", {})
    value = objects.maker({**pod, "spec": bound, "status": {"phase": "Pending"}})(7)
    assert peek.node_name(value) == name
