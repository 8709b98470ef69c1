"""Merging, pruning and conflicts of server-side apply, on objects alone."""

import copy
from typing import Any

import orjson
import pytest

from petset.api.errors import StatusError
from petset.api.patch import apply, managed
from petset.api.patch.apply import LAST_APPLIED, Applied, Order
from petset.api.patch.managed import Forms, Writer

POD = Forms("v1", "io.k8s.api.core.v1.Pod")
MAP = Forms("v1", "io.k8s.api.core.v1.ConfigMap")
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def order(manager: str, *, force: bool = False, now: str = NOW) -> Order:
    return Order(Writer(manager, managed.APPLY, "v1"), force, now)


def pod(*containers: Any, meta: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "p", **(meta or {})},
        "spec": {**({"containers": list(containers)} if containers else {}), **spec},
    }


def cm(data: Any, **annotations: str) -> dict[str, Any]:
    meta = {"name": "a", **({"annotations": annotations} if annotations else {})}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta, "data": data}


def run(forms: Forms, live: Any, config: Any, entries: Any, by: Order) -> Applied:
    """Apply, and check that nothing that went in was changed."""
    before = copy.deepcopy((live, config, entries))
    made = apply.apply(forms, live, apply.configuration(forms.schema, config), entries, by)
    assert (live, config, entries) == before
    return made


def made_by(forms: Forms, config: Any, manager: str) -> Any:
    return apply.create(apply.configuration(forms.schema, config), order(manager))


def names(obj: Any) -> list[str]:
    return [c["name"] for c in obj["spec"]["containers"]]


@pytest.mark.parametrize(
    ("live", "config", "expected"),
    [
        ("abc", "ca", "bca"),
        ("abc", "abc", "abc"),
        ("abc", "cba", "cba"),
        ("abc", "xbz", "axbcz"),
        ("", "ab", "ab"),
        ("ab", "", "ab"),
        ("abc", "x", "abcx"),
        ("abcd", "db", "acdb"),
        ("abz", "axb", "axbz"),
    ],
)
def test_lists_keep_the_order_of_the_configuration(live: str, config: str, expected: str) -> None:
    before = pod(*({"name": n} for n in live), x=1) if live else pod(containers=[])
    wanted = pod(*({"name": n} for n in config)) if config else pod(containers=[])
    before["spec"].pop("x", None)
    made = run(POD, before, wanted, [], order("me"))
    assert "".join(names(made.obj)) == expected


def test_an_atom_is_replaced_whole() -> None:
    live = pod({"name": "c", "args": ["a", "b"]}, tolerations=[{"key": "x"}])
    config = pod({"name": "c", "args": ["z"]}, tolerations=[{"key": "y"}])
    made = run(POD, live, config, [], order("me", force=True))
    assert made.obj["spec"]["containers"] == [{"name": "c", "args": ["z"]}]
    assert made.obj["spec"]["tolerations"] == [{"key": "y"}]


def test_the_same_again_is_the_very_object_and_list() -> None:
    config = pod({"name": "c", "image": "1"})
    entries = made_by(POD, config, "me")
    made = run(POD, config, copy.deepcopy(config), entries, order("me", now=LATER))
    assert made.obj is config
    assert made.entries is entries


def test_time_moves_when_a_value_or_the_set_does() -> None:
    config = cm({"x": "1"})
    entries = made_by(MAP, config, "me")
    value = run(MAP, config, cm({"x": "2"}), entries, order("me", now=LATER))
    assert value.entries[0]["time"] == LATER
    both = cm({"x": "1", "y": "1"})
    taken = run(MAP, both, both, entries, order("me", now=LATER))
    assert taken.entries[0]["time"] == LATER


def test_a_struct_goes_whole_with_the_defaults_in_it() -> None:
    """Nobody owns the defaults of a probe: they go with the probe."""
    probe = {"httpGet": {"port": 80, "path": "/"}}
    entries = made_by(POD, pod({"name": "c", "livenessProbe": probe}), "me")
    live = pod({"name": "c", "livenessProbe": {**probe, "periodSeconds": 10}})
    made = run(POD, live, pod({"name": "c"}), entries, order("me"))
    assert made.obj["spec"]["containers"] == [{"name": "c"}]


def test_a_struct_stays_when_somebody_owns_a_part() -> None:
    entries = [
        *made_by(POD, pod(securityContext={"runAsUser": 1}), "me"),
        *made_by(POD, pod(securityContext={"runAsGroup": 2}), "other"),
    ]
    live = pod(securityContext={"runAsUser": 1, "runAsGroup": 2})
    made = run(POD, live, pod(hostNetwork=True), entries, order("me"))
    assert made.obj["spec"] == {"securityContext": {"runAsGroup": 2}, "hostNetwork": True}


def test_what_gets_empty_and_has_an_owner_stays() -> None:
    entries = made_by(POD, pod(securityContext={"runAsUser": 1}), "me")
    live = pod(securityContext={"runAsUser": 1})
    made = run(POD, live, pod(securityContext={}), entries, order("me"))
    assert made.obj["spec"] == {"securityContext": {}}


def test_an_element_goes_with_its_owner() -> None:
    """Another manager owns a field of the container, but not the container."""
    entries = [
        *made_by(POD, pod({"name": "a"}, {"name": "b"}), "me"),
        {
            "manager": "updater",
            "operation": "Update",
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:containers": {'k:{"name":"b"}': {"f:image": {}}}}},
        },
    ]
    live = pod({"name": "a"}, {"name": "b", "image": "1"})
    made = run(POD, live, pod({"name": "a"}), entries, order("me"))
    assert names(made.obj) == ["a"]
    assert [e["manager"] for e in made.entries] == ["me"]


def test_elements_that_nobody_owns_stay() -> None:
    entries = made_by(POD, pod({"name": "a"}, {"name": "b"}), "me")
    live = pod({"name": "a"}, {"name": "b"}, {"name": "free"})
    made = run(POD, live, pod({"name": "a"}), entries, order("me"))
    assert names(made.obj) == ["a", "free"]


def test_members_of_sets_come_and_go() -> None:
    def with_finalizers(*given: str) -> dict[str, Any]:
        return pod({"name": "c"}, meta={"finalizers": list(given)})

    entries = made_by(POD, with_finalizers("a/a", "b/b"), "me")
    live = with_finalizers("a/a", "x/x", "b/b")
    made = run(POD, live, with_finalizers("b/b", "c/c"), entries, order("me"))
    assert made.obj["metadata"]["finalizers"] == ["x/x", "b/b", "c/c"]


def test_giving_up_everything_leaves_name_and_others() -> None:
    entries = made_by(MAP, cm({"x": "1"}, note="y"), "me")
    made = run(MAP, cm({"x": "1"}, note="y"), cm({}), entries, order("me"))
    assert made.obj == {k: v for k, v in cm({}).items() if k != "data"}


def test_conflicts_only_where_the_value_would_change() -> None:
    entries = made_by(MAP, cm({"x": "1", "y": "1"}), "one")
    live = cm({"x": "1", "y": "1"})
    assert len(run(MAP, live, cm({"x": "1"}), entries, order("two")).entries) == 2
    with pytest.raises(StatusError) as caught:
        run(MAP, live, cm({"x": "2", "y": "2"}), entries, order("two"))
    assert caught.value.code == 409
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .data.x\n- .data.y'
    )
    forced = run(MAP, live, cm({"x": "2", "y": "2"}), entries, order("two", force=True))
    assert [e["manager"] for e in forced.entries] == ["two"]


def test_one_name_as_updater_and_applier_are_two() -> None:
    by = Writer("me", managed.UPDATE, "v1")
    entries = managed.take((), by, {"f:data": {"f:x": {}}}, NOW)
    with pytest.raises(StatusError, match=r'conflict with "me" using v1: \.data\.x'):
        run(MAP, cm({"x": "1"}), cm({"x": "2"}), entries, order("me"))


def test_a_default_left_out_is_no_change() -> None:
    def default(obj: Any) -> None:
        obj["data"].setdefault("d", "default")

    forms = MAP._replace(default=default)
    entries = made_by(MAP, cm({"x": "1"}), "me")
    made = run(forms, cm({"x": "1", "d": "default"}), cm({"x": "1"}), entries, order("me"))
    assert made.entries is entries


def test_kubectl_overrides_what_it_applied_as_a_client_only() -> None:
    text = orjson.dumps(cm({"x": "1", "y": "1"})).decode()
    live = cm({"x": "1", "y": "edited"}, **{LAST_APPLIED: text})
    by = Writer("kubectl-client-side-apply", managed.UPDATE, "v1")
    entries = managed.take((), by, {"f:data": {"f:x": {}, "f:y": {}}}, NOW)
    made = run(MAP, live, cm({"x": "2"}), entries, order("kubectl"))
    assert made.obj["data"]["x"] == "2"
    with pytest.raises(StatusError, match=r"1 conflict.*\.data\.y"):
        run(MAP, live, cm({"x": "2", "y": "2"}), entries, order("kubectl"))
    with pytest.raises(StatusError, match="2 conflicts"):
        run(MAP, live, cm({"x": "2", "y": "2"}), entries, order("me"))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"apiVersion":"v2"}', '{"apiVersion":"v1","kind":"ConfigMap","spec":1}'],
)
def test_an_annotation_that_cannot_be_read_explains_nothing(text: str) -> None:
    live = cm({"x": "1"}, **{LAST_APPLIED: text})
    by = Writer("kubectl-client-side-apply", managed.UPDATE, "v1")
    entries = managed.take((), by, {"f:data": {"f:x": {}}}, NOW)
    with pytest.raises(StatusError, match="1 conflict"):
        run(MAP, live, cm({"x": "2"}), entries, order("kubectl"))


def test_the_annotation_follows_what_is_applied() -> None:
    sent = cm({"x": "1"}, **{LAST_APPLIED: "old", "keep": "1"})
    obj = cm({"x": "1"}, **{LAST_APPLIED: "old"})
    noted = apply.note_last_applied(obj, sent)["metadata"]["annotations"][LAST_APPLIED]
    assert noted == (
        '{"apiVersion":"v1","data":{"x":"1"},"kind":"ConfigMap",'
        '"metadata":{"annotations":{"keep":"1"},"name":"a"}}\n'
    )
    plain = cm({"x": "1"})
    assert apply.note_last_applied(plain, sent) is plain
    huge = cm({"x": "1" * apply.ANNOTATIONS_MAX_BYTES})
    assert LAST_APPLIED not in apply.note_last_applied(obj, huge)["metadata"]["annotations"]
