"""What is clean needs neither correction nor pruning."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petset.api import decode, schema
from petset.api.clean import is_clean
from petset.api.prune import prune

TYPES = [
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Secret",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.Event",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.apps.v1.StatefulSet",
    "io.k8s.api.apps.v1.ControllerRevision",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
]
SCALARS: dict[str, list[Any]] = {
    "string": ["a", "", "2026-11-20T05:02:52Z"],
    "bytes": ["YQ==", "", "a", "YQ==\n"],
    "boolean": [True, False],
    "int32": [1, 0, -(2**31), 2**31, True, 1.0],
    "int64": [1, 0, 2**63 - 1, 2**63, "1"],
    "double": [1.5, 2, 0],
    "time": ["2026-11-20T05:02:52Z", "2026-11-20T05:02:52.5Z", "2026-11-20T05:02:52+01:00", "x"],
    "microtime": ["2026-11-20T05:02:52.000001Z", "2026-11-20T05:02:52Z", "x", 1],
    "quantity": ["1", "1000m", "0.5", "500m", "1Gi", "1024Mi", "0", "x", 1, "1" * 80],
    "intorstring": [1, "a", 0, 2**31, "50%", False],
    "raw": [{"a": None}, {}, {"b": [1, {"c": ""}]}],
    "any": [{"a": None}, 0, "a", [None]],
}
ODD = st.sampled_from([None, 1, "x", [], {}, [None], {"x": None}, True])


def values(value: schema.Value, depth: int) -> st.SearchStrategy[Any]:
    """Values of a kind, now and then others."""
    if value.item is not None:
        item = values(value.item, depth)
        fine = (
            st.lists(item, max_size=2)
            if value.kind == "list"
            else st.dictionaries(st.sampled_from(["k", "cpu", ""]), item, max_size=2)
        )
    elif value.kind == "object":
        fine = objects(value.type, depth - 1) if depth else st.just({})
    else:
        fine = st.sampled_from(SCALARS[value.kind])
    return st.one_of(fine, fine, fine, fine, ODD)


def objects(name: str, depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of a type, now and then with a field that it does not have."""
    fields = schema.type_of(name).fields

    @st.composite
    def made(draw: st.DrawFn) -> dict[str, Any]:
        names = draw(st.lists(st.sampled_from([*fields, "odd"]), max_size=3, unique=True))
        return {
            key: draw(values(fields[key].value, depth)) if key in fields else 1 for key in names
        }

    return made()


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
def test_what_is_clean_stays_as_it_is(name: str, data: st.DataObject) -> None:
    obj = data.draw(objects(name))
    before = copy.deepcopy(obj)
    if is_clean(name, obj):
        found = decode.check(name, obj)
        assert (found.errors, found.unknown) == ([], [])
        assert orjson.dumps(prune(name, obj)) == orjson.dumps(before)
    assert obj == before
