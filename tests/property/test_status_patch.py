"""A patch of a status that leaves the spec alone leads where checking all of the object leads."""

import copy
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petset.api.behaviours import behaviour
from petset.api.errors import StatusError
from petset.apiserver.call import Backend, Call
from petset.apiserver.route import resolve
from petset.apiserver.verbs import patch
from petset.base.http import Identity, Request

words = st.sampled_from(["", "a", "Ready", "True"])
conditions = st.lists(
    st.fixed_dictionaries({"type": words}, optional={"status": words, "more": words}), max_size=3
)
statuses = st.fixed_dictionaries(
    {},
    optional={
        "phase": words | st.none() | st.integers(0, 2),
        "podIPs": st.lists(st.fixed_dictionaries({"ip": words}), max_size=2),
        "conditions": conditions | st.none(),
        "startTime": st.sampled_from(["2026-01-01T00:00:00Z", "soon"]),
        "$patch": st.sampled_from(["replace", "delete", "merge"]),
    },
)
metas = st.fixed_dictionaries(
    {},
    optional={
        "uid": st.just("1"),
        "labels": st.dictionaries(words, words | st.none(), max_size=2),
        "managedFields": st.just([]),
    },
)
patches = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.just("Pod"),
        "metadata": metas,
        "status": statuses | st.none(),
        "spec": st.sampled_from([{"nodeName": "b"}, {}, None]),
        "other": words,
        "$patch": st.just("replace"),
        "$retainKeys": st.just(["metadata", "status"]),
    },
)
POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {
        "name": "a",
        "uid": "1",
        "labels": {"a": "b"},
        "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
    },
    "spec": {
        "containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}],
        "nodeName": "a",
        "securityContext": {},
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
    "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "True"}]},
}


def outcome(call: Call, media: str, old: dict[str, Any]) -> object:
    try:
        made = patch.reader(call, call.route.resource, media)(old)
    except StatusError as error:
        return error.code, error.message
    return made, call.warnings


@given(
    patches, st.sampled_from([patch.MERGE, patch.STRATEGIC]), st.sampled_from(["Warn", "Strict"])
)
def test_a_status_patch_leads_where_a_patch_of_the_whole_object_leads(
    wanted: dict[str, Any], media: str, validation: str
) -> None:
    whole = resolve("PATCH", "/api/v1/namespaces/n/pods/a", watch=False)
    assert whole is not None
    request = Request("PATCH", "/", body=orjson.dumps(wanted))
    found = []
    for route in (whole, replace(whole, subresource="status")):
        call = Call(
            cast(Backend, None), request, Identity("u"), route, behaviour("pods"),
            validation=validation,
        )  # fmt: skip
        old = copy.deepcopy(POD)
        found.append(outcome(call, media, old))
        assert old == POD
    assert found[0] == found[1]


@pytest.mark.parametrize("media", [patch.MERGE, patch.STRATEGIC])
def test_a_spec_that_a_status_patch_leaves_alone_is_not_copied(media: str) -> None:
    route = resolve("PATCH", "/api/v1/namespaces/n/pods/a/status", watch=False)
    assert route is not None
    request = Request("PATCH", "/", body=b'{"status":{"phase":"Running"}}')
    call = Call(cast(Backend, None), request, Identity("u"), route, behaviour("pods"))
    made = patch.reader(call, route.resource, media)(copy.deepcopy(POD) | {"spec": POD["spec"]})
    assert made["spec"] is POD["spec"]
    assert made["status"]["phase"] == "Running"
